"""Examples in development mode: found by name, or told which there are."""

import pytest

from projections.settings import SettingsError
from tests.support.source import ROOT
from workers.dev import example


def test_one_is_found_by_name() -> None:
    found = example.find("construction_site")
    assert found.PROGRAMS["payroll"].exists()
    assert len(found.screenful()) < 10


def test_who_misspells_is_told_which_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAYBOOK_PROJECT", str(ROOT))
    with pytest.raises(SettingsError, match=r"'site'; .*: construction_site"):
        example.find("site")

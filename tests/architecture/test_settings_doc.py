"""docs/operating.md: every variable that is read is in its table, with its default."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from api.settings import ApiSettings
from projections.settings import DatabaseSettings, variable
from tests.support.source import LAYERS, ROOT
from workers.settings import LogSettings, WorkerSettings

KINDS: dict[type[Struct], str] = {
    ApiSettings: "serve",
    WorkerSettings: "work",
    LogSettings: "serve",
    DatabaseSettings: "migrate",
}
TEXT = (ROOT / "docs" / "operating.md").read_text("utf-8")
ROWS = {
    row[0]: row
    for row in re.findall(
        r"^\| `(DAYBOOK_\w+)` \| ([^|]+) \| `?([^|`]+)`? \|", TEXT, re.MULTILINE
    )
}
# Names by which the log's settings are handed to the `eventsourcing` library: they are
# never read from the environment.
INNER = {"DAYBOOK_URL", "DAYBOOK_ROLE"}


def settings() -> Iterator[tuple[str, str, str]]:
    """Each field of each process: its variable, who reads it, its default."""
    for kind, reader in KINDS.items():
        for field in msgspec.structs.fields(kind):
            is_none = field.required or field.default is None
            default = "none" if is_none else _shown(field.default)
            yield variable(field.name), reader, default


def _shown(default: Any) -> str:
    return msgspec.json.encode(default).decode().strip('"').removesuffix(".0")


@pytest.mark.parametrize(("name", "reader", "default"), list(settings()))
def test_each_setting_is_listed_with_its_default(
    name: str, reader: str, default: str
) -> None:
    _, readers, listed = ROWS[name]
    assert reader in readers.split(", ")
    assert listed == default


def named_in_code() -> set[str]:
    """Every variable that the product's code spells out."""
    files = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    text = "".join(path.read_text("utf-8") for path in [*files, ROOT / "start.py"])
    return set(re.findall(r"\bDAYBOOK_[A-Z_]*[A-Z]\b", text)) - INNER


def test_every_variable_that_the_code_names_is_described() -> None:
    assert named_in_code() - set(re.findall(r"DAYBOOK_\w+", TEXT)) == set()


def test_every_variable_that_is_listed_exists() -> None:
    known = {name for name, _, _ in settings()} | named_in_code()
    assert ROWS.keys() - known == set()

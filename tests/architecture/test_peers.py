"""docs/peers.md names tests that exist."""

import re

from tests.support.source import ROOT

PAGE = ROOT / "docs" / "peers.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_every_case_it_names_is_there() -> None:
    found = NAMED.findall(PAGE.read_text("utf-8"))
    assert len(found) > 50
    missing = [
        (path, name)
        for path, name in found
        if f"def {name}(" not in (ROOT / "tests" / _full(path)).read_text("utf-8")
    ]
    assert missing == []


def _full(path: str) -> str:
    return f"integration/{path}" if path.startswith("http_api/") else path

"""docs/architecture.md shows the house as it is, and names tests that exist."""

import re

from tests.support import tree
from tests.support.source import ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_the_tree_in_the_documentation_is_the_tree() -> None:
    document = tree.DOCUMENT.read_text("utf-8")
    assert document == tree.rewritten(document), "run `python -m tests.support.tree`"


def test_every_module_says_what_it_is() -> None:
    silent = [line for line in tree.tree().splitlines() if len(line.split()) == 1]
    assert not silent


def test_the_tests_that_the_documentation_names_exist() -> None:
    named = _TEST.findall(tree.DOCUMENT.read_text("utf-8"))
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).exists()
        or f"def {name}" not in (ROOT / file).read_text("utf-8")
    ]
    assert len(named) > 12
    assert not missing

"""Failpoints: armed by the harness alone, by names that are listed and in the code."""

import ast
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from projections.failpoint import NAMES, failpoint, parse
from tests.support.source import Module, modules


def _placed(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "failpoint"
        ):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant):
                    yield str(inner.value)


def test_each_name_stands_in_the_code_once() -> None:
    placed = Counter(name for module in modules() for name in _placed(module))
    assert placed == Counter(list(NAMES))


def test_the_variable_names_failpoints_and_what_happens_there() -> None:
    armed = parse("append.call=kill,lanes.begun=stop", in_harness=True)
    assert armed == {"append.call": signal.SIGKILL, "lanes.begun": signal.SIGSTOP}
    assert parse("", in_harness=False) == {}


@pytest.mark.parametrize(
    "text", ["append.cal=kill", "append.call=end", "append.call", "append.call=kill,"]
)
def test_what_would_test_nothing_is_refused(text: str) -> None:
    with pytest.raises(RuntimeError, match="there is no failpoint"):
        parse(text, in_harness=True)


def test_nothing_is_armed_outside_the_harness() -> None:
    with pytest.raises(RuntimeError, match="test harness only"):
        parse("append.call=kill", in_harness=False)


def test_an_unarmed_failpoint_does_nothing() -> None:
    for name in NAMES:
        failpoint(name)

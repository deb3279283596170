"""A part of the soak `matrix`: crashes at named failpoints lose nothing, double nothing."""

import pytest

from tests.soak import matrix
from tests.soak.matrix import Case

REPRESENTATIVE = [
    Case("append.called", "process", "api"),
    Case("command.called", "postgres", "api"),
    Case("handoff.owed", "postgres", "worker"),
    Case("lanes.begun", "process", "worker"),
    Case("lanes.taken", "nobody", "worker"),
    Case("rebuild.switch", "process", "worker"),
]


@pytest.mark.timeout(240)
def test_crashes_lose_nothing_and_double_nothing() -> None:
    said: list[str] = []
    found = matrix.play(REPRESENTATIVE, lambda case, result: said.append(result))
    assert "FAILED" not in found.values(), said


def test_the_matrix_has_every_failpoint() -> None:
    every = matrix.cases()
    assert set(REPRESENTATIVE) <= set(every)
    assert {case.failpoint for case in every} == set(matrix.NAMES)

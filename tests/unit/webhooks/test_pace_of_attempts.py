"""How many attempts are begun ahead: as many as end in a moment."""

from workers.webhooks.pace import MOST, SECONDS, Pace


def test_as_many_are_begun_ahead_as_ended_in_the_last_window() -> None:
    pace = Pace()
    pace.note(100.0)
    for _ in range(5):
        pace.note(100.0 + SECONDS / 2)
    assert pace.ahead(100.0 + SECONDS / 2) == 0
    assert pace.ahead(100.0 + SECONDS * 1.1) == 6
    assert pace.ahead(100.0 + SECONDS * 1.2) == 6


def test_none_are_begun_ahead_of_slots_that_nobody_leaves() -> None:
    pace = Pace()
    for _ in range(2 * MOST):
        pace.note(100.0)
    assert pace.ahead(100.0 + SECONDS) == MOST
    assert pace.ahead(100.0 + 2.1 * SECONDS) == 0
    assert pace.ahead(100.0 + 5 * SECONDS) == 0

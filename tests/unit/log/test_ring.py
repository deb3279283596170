"""The ring: the newest events, as far as they fit."""

from projections.log.ring import Ring, Shown


def event(position: int, size: int = 10) -> Shown:
    return Shown(position, "a.b", "s", None, b"x" * size)


def places(found: list[Shown] | None) -> list[int] | None:
    return None if found is None else [event.position for event in found]


def test_it_begins_empty_at_the_head() -> None:
    ring = Ring(7)
    assert (ring.floor, ring.head) == (7, 7)
    assert ring.after(7) == []
    assert ring.after(9) == []  # another process has read further than this one
    assert ring.after(6) is None


def test_what_came_after_a_position() -> None:
    ring = Ring(7)
    ring.extend([event(8), event(9), event(10)], 10, 1000)
    assert places(ring.after(7)) == [8, 9, 10]
    assert places(ring.after(9)) == [10]
    assert places(ring.after(10)) == []
    assert ring.after(6) is None


def test_the_oldest_go_when_it_is_full() -> None:
    ring = Ring(0)
    for position in range(1, 8):
        ring.extend([event(position)], position, 35)
    assert (ring.floor, ring.head) == (4, 7)
    assert places(ring.after(4)) == [5, 6, 7]
    assert ring.after(3) is None
    ring.extend([event(8, 100)], 8, 35)
    assert (ring.floor, ring.after(8), ring.after(7)) == (8, [], None)


def test_alike_listeners_share_until_the_log_grows() -> None:
    ring, made = Ring(0), []
    ring.extend([event(1)], 1, 1000)

    def make() -> int:
        made.append(1)
        return len(made)

    assert [ring.share("a", make), ring.share("a", make), ring.share("b", make)] == [
        1,
        1,
        2,
    ]
    ring.extend([event(2)], 2, 1000)
    assert ring.share("a", make) == 3

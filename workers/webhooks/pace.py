"""How many attempts end in a moment: as many more can be begun ahead of their slots."""

SECONDS = 0.016  # four times what asking for the next rows takes
MOST = 64


class Pace:
    """Counts attempts as they end, in windows of SECONDS. Times are of one clock."""

    def __init__(self) -> None:
        self._since = 0.0
        self._count = 0
        self._last = 0

    def note(self, now: float) -> None:
        """One has ended."""
        self._turn(now)
        self._count += 1

    def ahead(self, now: float) -> int:
        """How many will end within a window, if all goes on as it went; MOST at most."""
        self._turn(now)
        return min(MOST, self._last)

    def _turn(self, now: float) -> None:
        passed = now - self._since
        if passed >= SECONDS:
            # After a window in which nobody looked nothing is known of the pace.
            self._last = self._count if passed < 2 * SECONDS else 0
            self._since, self._count = now, 0

"""How fast an endpoint is spoken to: the rate its owner set, and what it asks for itself.

`Rate` is exact: in no window of its length begin more requests than it allows. `Throttle`
halves what may be in flight whenever the endpoint says that it is too much (429), or that
what stands behind it is (502, 504), and lets it grow again by one with each success.
Times are seconds of a monotonic clock.
"""

import math
from collections import deque

SLOW_DOWN = frozenset(
    {429, 502, 504}
)  # Standard Webhooks 1.0, "Operational considerations"
# A request takes a moment to arrive, and not always the same one.
MARGIN_SECONDS = 0.02
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Rate:
    """So many requests a second at most; below one, one in so many seconds."""

    def __init__(self, per_second: float) -> None:
        most = max(1, math.floor(per_second))
        self._window = most / per_second + MARGIN_SECONDS
        self._begun: deque[float] = deque(maxlen=most)

    def room(self, now: float) -> int:
        """How many requests may begin now."""
        begun = self._begun
        while begun and now - begun[0] >= self._window:
            begun.popleft()
        return (begun.maxlen or 0) - len(begun)

    def room_at(self) -> float:
        """When there is room again, if there is none now."""
        return self._begun[0] + self._window if self._begun else 0.0

    def begin(self, now: float) -> None:
        """A request begins."""
        self._begun.append(now)

    def hold(self, now: float) -> None:
        """Nothing begins for a whole window: somebody else may just have filled one."""
        self._begun.extend([now] * (self._begun.maxlen or 0))


class Throttle:
    """How many requests may be in flight, of at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._window = float(most)
        self._pause = SHORTEST_PAUSE
        self.paused_until = 0.0

    def limit(self, most: int) -> None:
        """The webhook's own limit is another now."""
        grown = self._window >= self._most
        self._most = most
        self._window = float(most) if grown else min(self._window, float(most))

    def room(self, now: float, in_flight: int) -> int:
        """How many requests may begin now."""
        if now < self.paused_until:
            return 0
        return max(0, int(self._window) - in_flight)

    def succeeded(self) -> None:
        """The endpoint keeps up."""
        self._pause = SHORTEST_PAUSE
        self._window = min(self._window + 1, float(self._most))

    def failed(
        self, now: float, status_code: int | None, retry_after: float | None
    ) -> None:
        """The endpoint says that it is too much, if it does: fewer at once, after a pause.

        What was in flight together counts once: answers within the pause are of before.
        """
        if status_code not in SLOW_DOWN or now < self.paused_until:
            return
        self._window = max(1.0, self._window / 2)
        asked = min(retry_after or 0.0, LONGEST_PAUSE)
        self.paused_until = now + max(self._pause, asked)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

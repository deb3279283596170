"""Rates: how often something may happen in a window of time, over all API processes.

The count is in Postgres. A window begins with the first request after the last window's
end, so at most the quota is granted between the two. `take` asks for each request and is
exact. `draw` takes a block at a time and gives it out here, without asking: never more than
the quota in all, and less by what other processes hold and do not use.

Once a quota is used up nobody asks again before the window ends. A crash of the server
begins all windows anew; a crash of a process wastes the block that it held.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from domain.errors import Unavailable
from projections import postgres
from projections.postgres import Link
from projections.sql import Queries
from projections.together import Together

T = TypeVar("T")

QUERIES = Queries("projections", "rates.sql")
# A block is this part of a quota, and a process has at most one and a half: ten processes
# that stop in the middle of theirs leave 3.75 % of the quota unused.
BLOCKS = 400
MOST_KEPT = 10_000  # buckets that a process remembers something of


class Quota(NamedTuple):
    """How often something may happen: `size` times in a window of `seconds`."""

    bucket: str
    size: int
    seconds: int = 60


class Taken(NamedTuple):
    """What became of a request: whether it may go on, what is left, until when."""

    is_granted: bool
    left: int
    seconds_left: float


class _Wanted(NamedTuple):
    quota: Quota
    amount: int


class _Given(NamedTuple):
    """What a call brought; `until` is by this process's clock, never later than true."""

    granted: int
    left: int
    until: float


class _Block:
    """What a process may give out of a quota by itself."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.amount, self.left, self.until = 0, 0, 0.0
        self.fetching: asyncio.Task[None] | None = None

    def add(self, given: _Given) -> None:
        """Into the block; what is over from a window that has ended is void."""
        if time.monotonic() >= self.until:
            self.amount = 0
        self.amount += given.granted
        self.left, self.until = given.left, given.until


class Rates:
    """The rates of one process."""

    def __init__(self, link: Link) -> None:
        """`link` is a connection of role daybook_app; it may be shared."""
        self._link = link
        self._together = Together(self._take_all)
        self._used_up: dict[Quota, float] = {}  # until when nothing is left
        self._blocks: dict[Quota, _Block] = {}

    async def take(self, quota: Quota) -> Taken:
        """One of the quota, asked for at the database. Raises Unavailable."""
        if refused := self._refused(quota):
            return refused
        given = await self._together.ask(_Wanted(quota, 1))
        if not given.granted:
            _keep(self._used_up, quota, given.until)
        return Taken(bool(given.granted), given.left, given.until - time.monotonic())

    def drawn(self, quota: Quota) -> Taken | None:
        """One of the block that is here; None when there is none, and `draw` must ask."""
        block = self._blocks.get(quota)
        if block is None or block.amount <= 0:
            return None
        now = time.monotonic()
        if now >= block.until:
            return None
        block.amount -= 1
        if block.amount < quota.size // BLOCKS // 2 and block.fetching is None:
            self._fetch(block)  # ahead, so that nobody waits for it
        return Taken(True, block.left + block.amount, block.until - now)

    async def draw(self, quota: Quota) -> Taken:
        """One of the quota, by blocks. Raises Unavailable."""
        if quota.size < BLOCKS:
            return await self.take(quota)
        while (taken := self.drawn(quota)) is None:
            if refused := self._refused(quota):
                return refused
            block = self._blocks.get(quota)
            if block is None:
                block = _Block(quota)
                _keep(self._blocks, quota, block)
            await asyncio.shield(block.fetching or self._fetch(block))
        return taken

    def _refused(self, quota: Quota) -> Taken | None:
        until = self._used_up.get(quota)
        left = 0.0 if until is None else until - time.monotonic()
        return Taken(False, 0, left) if left > 0 else None

    def _fetch(self, block: _Block) -> asyncio.Task[None]:
        block.fetching = asyncio.create_task(self._add(block))
        # When nobody waits for it, the next who comes by asks again, and hears why not.
        block.fetching.add_done_callback(lambda done: done.exception())
        return block.fetching

    async def _add(self, block: _Block) -> None:
        quota = block.quota
        try:
            given = await self._together.ask(_Wanted(quota, quota.size // BLOCKS))
            if given.granted:
                block.add(given)
            else:
                _keep(self._used_up, quota, given.until)
        finally:
            block.fetching = None

    async def _take_all(self, wanted: Sequence[_Wanted]) -> list[_Given]:
        """One call; those who want of the same bucket are served in their order."""
        amounts: dict[str, _Wanted] = {}
        for quota, amount in wanted:
            before = amounts.get(quota.bucket)
            amounts[quota.bucket] = _Wanted(
                quota, amount + (before[1] if before else 0)
            )
        given = await self._call(list(amounts.values()))
        told = []
        for quota, amount in wanted:
            whole = given[quota.bucket]
            part = min(amount, whole.granted)
            rest = whole.granted - part
            given[quota.bucket] = whole._replace(granted=rest)
            told.append(_Given(part, whole.left + rest, whole.until))
        return told

    async def _call(self, wanted: Sequence[_Wanted]) -> dict[str, _Given]:
        params = {
            "buckets": [quota.bucket for quota, _ in wanted],
            "wanted": [amount for _, amount in wanted],
            "quotas": [quota.size for quota, _ in wanted],
            "seconds": [float(quota.seconds) for quota, _ in wanted],
        }
        sent = time.monotonic()
        rows = await self._rows(params)
        sizes = {quota.bucket: quota.size for quota, _ in wanted}
        # Counted from when it was sent: a window never ends earlier than it says here.
        return {
            row.bucket: _Given(
                row.granted,
                max(0, sizes[row.bucket] - row.used),
                sent + row.seconds_left,
            )
            for row in rows
        }

    async def _rows(self, params: dict[str, Any]) -> list[Any]:
        with contextlib.suppress(*postgres.AWAY):
            return await self._link.rows(QUERIES["take"], params)
        # That connection may only have been left behind by a restart: another may do.
        try:
            return await self._link.rows(QUERIES["take"], params)
        except postgres.AWAY as error:
            raise Unavailable from error


def _keep(kept: dict[Quota, T], quota: Quota, value: T) -> None:
    """What is forgotten is asked again; of blocks, what is left in them is wasted."""
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[quota] = value

"""Claims: of the requests with one `Idempotency-Key` one runs, and the others wait for it.

Who runs holds an advisory lock of a session, so nothing has to be cleared away: when the
process dies its session ends, and the key is free. Whether the request had done its work by
then stands in the key's row, which is written in the transaction of that work. When only
the connection is lost the lock is lost while the request still runs; should another begin
meanwhile, the second of the two to commit finds the row of the first and is rolled back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

import psycopg
from psycopg.types.json import Jsonb

from domain.errors import IdempotencyRunning, Unavailable
from domain.log.entry import Appended, Claim
from projections import postgres
from projections.log import calls
from projections.postgres import Connection, Link
from projections.sql import Queries
from projections.together import Together

QUERIES = Queries("projections.log", "claims.sql")
OPERATOR = UUID(int=0)  # owns the keys of requests that are no tenant's
PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = (0.02, 0.2)  # first and longest, while another process is at it

Name = tuple[UUID, str]  # whose key, and the key


class Kept(NamedTuple):
    """What is known of a key; without a fingerprint, nothing.

    Without a status its answer is to be made, from `positions` in the log where it has
    written there.
    """

    k: int
    is_ours: bool
    fingerprint: bytes | None
    run: UUID | None
    made: UUID | None
    log_tenant_id: UUID | None
    positions: list[int] | None
    replayed: list[bool] | None
    status: int | None
    headers: dict[str, str] | None
    body: bytes | None


class Claims:
    """The claims of one process."""

    def __init__(self, link: Link) -> None:
        """`link` is a connection of role daybook_edge whose session holds the locks."""
        self._link = link
        self._together = Together(self._claim_all)
        # The session may take a lock twice: within the process we take turns ourselves.
        self._turns: WeakValueDictionary[Name, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def claimed(self, name: Name) -> AsyncIterator[Kept]:
        """Until the end nobody else runs what the key names, or it has been answered.

        Raises IdempotencyRunning when another runs it for longer than we wait, and
        Unavailable.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        turn = self._turns.setdefault(name, asyncio.Lock())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await turn.acquire()
        except TimeoutError:
            raise IdempotencyRunning from None
        try:
            kept = await self._claim(name, deadline)
            try:
                yield kept
            finally:
                if kept.is_ours:
                    await self._release(name)
        finally:
            turn.release()

    async def keep(
        self, claim: Claim, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        """Write down what a request was answered. Raises Repeated, Unavailable."""
        try:
            with _refusals():
                await self._link.rows(*_answer(claim, status, headers, body))
        except postgres.AWAY as error:
            raise Unavailable from error

    async def _claim(self, name: Name, deadline: float) -> Kept:
        pause, longest = _PAUSE_SECONDS
        while True:
            kept = await self._together.ask(name)
            if kept.is_ours or kept.status is not None:
                return kept
            if time.monotonic() >= deadline:
                raise IdempotencyRunning
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)

    async def _claim_all(self, names: Sequence[Name]) -> list[Kept]:
        owners, keys = zip(*names, strict=True)
        params = {"owners": list(owners), "keys": list(keys)}
        try:
            rows = await self._link.rows(QUERIES["claim"], params)
        except postgres.AWAY as error:
            raise Unavailable from error
        return [Kept(*row) for row in rows]

    async def _release(self, name: Name) -> None:
        owner, key = name
        try:
            await self._link.rows(QUERIES["release"], {"owner": owner, "key": key})
        except postgres.AWAY:
            pass  # and the lock with the session


async def keep(
    connection: Connection,
    claim: Claim,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> None:
    """The same in a transaction of the caller's. Raises Repeated."""
    with _refusals():
        await connection.execute(*_answer(claim, status, headers, body))


async def receipts(connection: Connection, kept: Kept) -> list[Appended]:
    """What the log answered to the run that was first, told again."""
    positions, replayed = kept.positions or [], kept.replayed or []
    params = {"tenant_id": kept.log_tenant_id, "positions": positions}
    rows = await (await connection.execute(QUERIES["receipts"], params)).fetchall()
    found = {row.position: row for row in rows}
    return [
        Appended(*found[position])._replace(replayed=was_there)
        for position, was_there in zip(positions, replayed, strict=True)
    ]


def _answer(
    claim: Claim, status: int, headers: dict[str, str], body: bytes
) -> tuple[Any, dict[str, Any]]:
    """The statement that writes an answer down, with its parameters."""
    params = {
        "owner": claim.owner,
        "key": claim.key,
        "fingerprint": claim.fingerprint,
        "run": claim.run,
        "made": claim.made,
        "status": status,
        "headers": Jsonb(headers),
        "body": body,
    }
    return QUERIES["keep_answer"], params


@contextmanager
def _refusals() -> Iterator[None]:
    """What a statement of ours refuses is raised as the domain's."""
    try:
        yield
    except psycopg.DatabaseError as error:
        if error.sqlstate != calls.OURS:
            raise
        raise calls.refusal(error) from error

"""The handoff: what is owed is the fold of the log, however it was batched or raced."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from domain import ids
from domain.application import Log
from domain.log.entry import Context, Entry
from domain.webhooks import commands
from domain.webhooks.settings import Settings
from projections.log.appender import Appender
from projections.log.recorder import environment
from projections.log.request_queue import Request
from projections.runner import Runner
from projections.webhooks import filtering
from projections.webhooks.handoff import Handoff
from tests.support.fold import fold_log
from tests.support.waiting import soon

TYPES = (
    "chantier.created",
    "chantier.deleted",
    "heures.validated",
    "heures",
    "a.b.c.d",
)
PATTERNS = (
    ["*"],
    ["chantier.*"],
    ["chantier.*", "chantier.created", "*"],
    ["heures.validated"],
    ["a.b.*", "a.*"],
    ["daybook.*"],
    ["nothing.here"],
)
STREAMS = (["*"], ["*"], ["site/*"], ["site/1", "line/*"], ["s*"])
FILTERS: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    {"data.n": {"$gte": 5}},
    {"$or": [{"data.n": 1}, {"stream": {"$prefix": "line/"}}]},
    {"metadata.urgent": True},
)
OWED = """
    select tenant_id, webhook_id, replay, position, sequence from daybook.owed
    union all
    select tenant_id, webhook_id, replay, position, sequence from daybook.results
"""

AT_HEAD = """
    select log_position = (select max(log_position) from daybook.events) as at_head
    from daybook.checkpoints where name = 'deliveries'
"""


def published(tenant_id: UUID, event_type: str, **fields: Any) -> Request:
    event_id = ids.fresh("evt")
    given = {
        "tenant_id": tenant_id,
        "event_id": event_id,
        "stream": event_id,
        "type": event_type,
        "state": b"{}",
    }
    return Request([Entry(**(given | fields))])


def connected(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, row_factory=namedtuple_row)


def assert_owed_is_the_fold(url: str) -> int:
    """Owed + finished is exactly one for each (webhook, position) that the log owes."""
    with connected(url) as connection:
        rows = connection.execute(OWED).fetchall()
        expected = fold_log(connection).owed
    found = Counter(
        (row.tenant_id, f"$webhook/{ids.encode('wh', row.webhook_id)}", row.position)
        for row in rows
    )
    assert set(found) == expected
    assert set(found.values()) <= {1}
    sequences = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.position):
        sequences[row.webhook_id].append(row.sequence)
    for numbers in sequences.values():
        assert numbers == list(range(1, len(numbers) + 1))
    return len(rows)


async def hand_off_everything(url: str) -> None:
    """Until the checkpoint is at the head; others may be at it too."""
    runner = Runner(url, Handoff(lambda webhooks: None))
    with connected(url) as connection:
        while not connection.execute(AT_HEAD).fetchone().at_head:
            await runner.step()


async def test_each_event_is_owed_by_the_configuration_at_its_own_position(
    database_url: str, tenant_id: UUID
) -> None:
    log = Log(environment(database_url, "daybook_app"))
    append = log.factory.appender.append  # type: ignore[attr-defined]
    webhook_id = ids.new()
    context = Context("test")

    async def run(command: Callable[..., Any], *args: Any) -> None:
        await asyncio.to_thread(command, log, context, tenant_id, webhook_id, *args)

    await append(published(tenant_id, "a.before"))
    await run(commands.create, Settings(url="https://e.example", event_types=["a.*"]))
    await append(published(tenant_id, "a.first"))
    await run(
        commands.configure, Settings(url="https://e.example", event_types=["b.*"])
    )
    await append(published(tenant_id, "a.second"))
    await append(published(tenant_id, "b.third"))
    await run(commands.disable, "manual")
    await append(published(tenant_id, "b.while_disabled"))
    await run(commands.enable)
    await run(commands.delete)
    await append(published(tenant_id, "b.after"))

    await hand_off_everything(database_url)

    with connected(database_url) as connection:
        owed = connection.execute(
            "select position from daybook.owed order by 1"
        ).fetchall()
        names = dict(
            connection.execute("select position, type from daybook.events").fetchall()
        )
    assert [names[row.position] for row in owed] == [
        "a.first",
        "b.third",
        "b.while_disabled",
    ]
    assert_owed_is_the_fold(database_url)
    await asyncio.to_thread(log.close)


async def test_a_webhook_is_not_owed_the_events_about_itself(
    database_url: str, tenant_id: UUID
) -> None:
    """Those of its own stream, and those of the streams below it: replays, deaths."""
    log = Log(environment(database_url, "daybook_app"))
    watcher, watched = ids.new(), ids.new()
    patterns = ["daybook.*", "*"]
    settings = Settings(url="https://e.example", event_types=patterns)

    def configure() -> None:
        context = Context("test")
        commands.create(log, context, tenant_id, watcher, settings)
        commands.create(log, context, tenant_id, watched, settings)
        for webhook_id in (watcher, watched):
            commands.disable(log, context, tenant_id, webhook_id, "manual")
        for webhook_id in (watcher, watched):
            commands.report_deaths(
                log,
                context,
                tenant_id,
                webhook_id,
                1,
                count=1,
                since="2026-11-20T08:00:00.000000Z",
                last_position=1,
            )

    await asyncio.to_thread(configure)
    await hand_off_everything(database_url)

    with connected(database_url) as connection:
        rows = connection.execute(
            "select webhook_id, position from daybook.owed"
        ).fetchall()
    assert sorted((row.webhook_id, row.position) for row in rows) == sorted(
        [(watcher, 2), (watcher, 4), (watcher, 6), (watched, 3), (watched, 5)]
    )
    assert_owed_is_the_fold(database_url)
    await asyncio.to_thread(log.close)


class Configurator:
    """Makes, changes, disables, enables and deletes webhooks at random."""

    def __init__(self, log: Log, tenants: list[UUID], chance: random.Random) -> None:
        self._log, self._tenants, self._chance = log, tenants, chance
        self._live: list[tuple[UUID, UUID]] = []
        self.changes = 0

    def change(self) -> None:
        """One change."""
        chosen = self._chance.choice(PATTERNS)
        settings = Settings(
            url="https://e.example",
            event_types=chosen,
            streams=self._chance.choice(STREAMS),
            filter=self._chance.choice(FILTERS),
        )
        if len(self._live) < 5:
            return self._do(commands.create, self._new(), settings)
        pair, kind = self._chance.choice(self._live), self._chance.random()
        if kind < 0.2:
            self._do(commands.create, self._new(), settings)
        elif kind < 0.7:
            self._do(commands.configure, pair, settings)
        elif kind < 0.8:
            self._do(commands.disable, pair, "manual")
        elif kind < 0.9:
            self._do(commands.enable, pair)
        else:
            self._live.remove(pair)
            self._do(commands.delete, pair)
        return None

    def _new(self) -> tuple[UUID, UUID]:
        self._live.append((self._chance.choice(self._tenants), ids.new()))
        return self._live[-1]

    def _do(
        self, command: Callable[..., Any], pair: tuple[UUID, UUID], *args: Any
    ) -> None:
        command(self._log, Context("test"), *pair, *args)
        self.changes += 1


@pytest.mark.timeout(110)
async def test_twenty_thousand_events_while_webhooks_come_change_and_go(
    database_url: str,
) -> None:
    """Publishers, configuration and two competing handoffs, all at once."""
    log = Log(environment(database_url, "daybook_app"))
    appender: Appender = log.factory.appender  # type: ignore[attr-defined]
    tenants = [ids.new() for _ in range(4)]
    chance = random.Random(20_000)
    configurator = Configurator(log, tenants, chance)

    async def publish() -> None:
        for _ in range(400):
            batch = [
                published(
                    chance.choice(tenants),
                    chance.choice(TYPES),
                    stream=f"{chance.choice(['site', 'line'])}/{chance.randrange(3)}",
                    state=b'{"n":%d}' % chance.randrange(10),
                    metadata=b'{"urgent":true}' if chance.random() < 0.5 else None,
                )
                for _ in range(50)
            ]
            await asyncio.gather(*map(appender.append, batch))

    async def configure(publishing: asyncio.Task[None]) -> None:
        while not publishing.done():
            await asyncio.to_thread(configurator.change)

    handoffs = [
        asyncio.create_task(Runner(database_url, Handoff(lambda webhooks: None)).run())
        for _ in range(2)
    ]
    publishing = asyncio.create_task(publish())
    await asyncio.gather(publishing, configure(publishing))
    await hand_off_everything(database_url)
    for handoff in handoffs:
        handoff.cancel()
    await asyncio.gather(*handoffs, return_exceptions=True)

    assert configurator.changes > 100
    assert await asyncio.to_thread(assert_owed_is_the_fold, database_url) > 10_000
    await asyncio.to_thread(log.close)


async def owed_types(url: str) -> list[str]:
    await hand_off_everything(url)
    with connected(url) as connection:
        rows = connection.execute(
            "select e.type from daybook.owed o join daybook.events e"
            " using (tenant_id, position) order by position"
        ).fetchall()
    return [row.type for row in rows]


async def test_streams_and_payload_choose_among_what_the_type_matches(
    database_url: str, tenant_id: UUID
) -> None:
    log = Log(environment(database_url, "daybook_app"))
    append = log.factory.appender.append  # type: ignore[attr-defined]
    settings = Settings(
        url="https://e.example",
        event_types=["a.*"],
        streams=["site/*"],
        filter={"data.n": {"$gt": 1}, "subject": "worker/1", "actor.type": "key"},
    )
    given = {
        "stream": "site/1",
        "state": b'{"n":2}',
        "subject": "worker/1",
        "actor": "key:key_1",
    }
    changes: dict[str, dict[str, Any]] = {
        "a.wanted": {},
        "b.of_another_type": {},
        "a.of_another_stream": {"stream": "line/1"},
        "a.of_too_little": {"state": b'{"n":1}'},
        "a.of_nothing": {"state": b"{}"},
        "a.about_another": {"subject": "worker/2"},
        "a.by_another": {"actor": "operator"},
        "a.wanted_too": {"stream": "site/2/3", "state": b'{"n":[0,1e400]}'},
    }
    await asyncio.to_thread(
        commands.create, log, Context("test"), tenant_id, ids.new(), settings
    )
    for event_type, changed in changes.items():
        await append(published(tenant_id, event_type, **(given | changed)))

    assert await owed_types(database_url) == ["a.wanted", "a.wanted_too"]
    assert_owed_is_the_fold(database_url)
    await asyncio.to_thread(log.close)


async def test_a_filter_that_cannot_be_judged_keeps_only_its_own_webhook(
    database_url: str, tenant_id: UUID
) -> None:
    """Neither one that today's rules refuse nor one that looks at too much stops it."""
    log = Log(environment(database_url, "daybook_app"))
    append = log.factory.appender.append  # type: ignore[attr-defined]

    def make() -> list[UUID]:
        made = [ids.new() for _ in range(3)]
        filters = ({"data.n": {"$ne": 0}}, {"data.n": {"$ne": 0}}, None)
        for webhook_id, chosen in zip(made, filters, strict=True):
            settings = Settings(
                url="https://e.example", event_types=["*"], filter=chosen
            )
            commands.create(log, Context("test"), tenant_id, webhook_id, settings)
        return made

    broken, picky, plain = await asyncio.to_thread(make)
    with connected(database_url) as connection:
        connection.execute(
            "update daybook.webhook_versions set filter = '{\"$nor\": 5}'"
            " where webhook_id = %s",
            [broken],
        )
    await append(published(tenant_id, "a.one", state=b'{"n":1}'))
    large = b'{"n":[' + b",".join([b"1"] * 20_001) + b"]}"
    await append(published(tenant_id, "a.large", state=large))
    await append(published(tenant_id, "a.two", state=b'{"n":1}'))

    await hand_off_everything(database_url)

    with connected(database_url) as connection:
        rows = connection.execute(
            "select webhook_id, sequence, type from daybook.owed"
            " join daybook.events using (tenant_id, position) order by position"
        ).fetchall()
    assert {w: [(r.sequence, r.type) for r in rows if r.webhook_id == w]
            for w in (broken, picky, plain)} == {
        broken: [],
        picky: [(1, "a.one"), (2, "a.two")],
        plain: [(1, "a.one"), (2, "a.large"), (3, "a.two")],
    }  # fmt: skip
    await asyncio.to_thread(log.close)


async def test_filters_that_take_long_get_smaller_batches(
    database_url: str, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(environment(database_url, "daybook_app"))
    append = log.factory.appender.append  # type: ignore[attr-defined]
    settings = Settings(
        url="https://e.example", event_types=["a.*"], filter={"data.n": 1}
    )
    await asyncio.to_thread(
        commands.create, log, Context("test"), tenant_id, ids.new(), settings
    )
    await asyncio.gather(
        *(append(published(tenant_id, "a.x", state=b'{"n":1}')) for _ in range(20))
    )
    monkeypatch.setattr(filtering, "LONGEST_SECONDS", -1.0)
    runner = asyncio.create_task(
        Runner(database_url, Handoff(lambda webhooks: None)).run()
    )
    try:
        with connected(database_url) as connection:
            await soon(lambda: connection.execute(AT_HEAD).fetchone().at_head)  # type: ignore[union-attr]
    finally:
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
    assert assert_owed_is_the_fold(database_url) == 20
    await asyncio.to_thread(log.close)

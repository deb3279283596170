"""The worker process: projections and deliveries, side by side on one event loop."""

import asyncio
import contextlib
import functools
from collections.abc import Collection, Sequence
from uuid import UUID

import structlog

from domain.application import Log
from domain.webhooks.address import open_ports
from projections import postgres
from projections.context import BoundedContext, Contexts
from projections.log import wakeup
from projections.log.recorder import environment
from projections.postgres import Link
from projections.rebuild import Rebuilder
from projections.runner import Runner
from projections.vault import Vault
from projections.webhooks.handoff import Handoff
from projections.webhooks.lanes import QUERIES
from workers import sweeping
from workers.settings import WorkerSettings
from workers.webhooks import egress_proxy, forgetting
from workers.webhooks.aiohttp_sender import AiohttpSender
from workers.webhooks.confined_sender import ConfinedSender, MakeSender
from workers.webhooks.courier import Courier
from workers.webhooks.disabling import Disabler
from workers.webhooks.dispatcher import Dispatcher
from workers.webhooks.ending import Ender
from workers.webhooks.keeper import Keeper
from workers.webhooks.lane import Lanes
from workers.webhooks.mourning import Mourner
from workers.webhooks.replayer import Replayer
from workers.webhooks.settling import Settler
from workers.webhooks.tester import Tester

log = structlog.get_logger("daybook.worker")

STOP_SECONDS = 1.0  # for the statement that begins attempts just now
UPKEEP_SECONDS = 24 * 3600.0
# Read models have fewer, larger batches for it; who waits for one looks as often.
GATHER_SECONDS = 0.02
# For test deliveries: one that waits for a connection does so within its own deadline.
SPARE_CONNECTIONS = 50


class Worker:
    """Everything one worker process runs, the projections of `contexts` beside ours.

    Make it inside its event loop.
    """

    def __init__(
        self, settings: WorkerSettings, contexts: Sequence[BoundedContext] = ()
    ) -> None:
        url, together = settings.database_url, Contexts(contexts)
        self._settings = settings
        self._wake = asyncio.Event()
        self._lanes = Lanes()
        self._application = Log(environment(url, "daybook_worker"), together.aggregates)
        self._sender = ConfinedSender(_sending(settings))
        vault = Vault(settings.secret_keys)
        # For what is seldom: single statements, so that none waits for a transaction.
        self._chores = Link(url, "daybook_worker", "chores")
        self._ender = Ender(self._chores, self._lanes)
        self._keeper = Keeper(
            url, self._lanes, self._ender, settings.lease_seconds, self._wake.set
        )
        self._settler = Settler(
            url, self._lanes, Disabler(self._application), vault, self._wake.set
        )
        self._courier = Courier(
            self._keeper,
            self._settler,
            self._sender,
            vault,
            slots=settings.concurrency,
            wake=self._wake.set,
        )
        self._dispatcher = Dispatcher(
            url,
            lanes=self._lanes,
            keeper=self._keeper,
            courier=self._courier,
            wake=self._wake,
        )
        self._replayer = Replayer(self._chores, self._lanes, self._application)
        self._mourner = Mourner(self._chores, self._keeper, self._application)
        self._tester = Tester(self._chores, self._sender, vault)
        self._runners = _runners(url, Handoff(self._owed), together)
        self._rebuilder = Rebuilder(url, together.read_models)
        self._told = asyncio.Event()

    def may_send(self) -> bool:
        """Whether its lease holds: else it is not heard of, and begins no request."""
        return self._keeper.may_begin()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is in flight and free the lanes."""
        url = self._settings.database_url
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("listener", wakeup.listen(url, "daybook_worker", self._hear)),
                *((name, runner.run()) for name, runner in self._runners.items()),
                ("rebuilds", self._rebuilder.run()),
                ("keeper", self._keeper.run()),
                ("dispatcher", self._dispatcher.run()),
                ("settler", self._settler.run()),
                ("replayer", self._replayer.run()),
                ("mourner", self._mourner.run()),
                ("tester", self._tester.run()),
                ("notices", self._tell_others()),
                ("upkeep", self._upkeep()),
                ("sweeping", sweeping.run(self._chores)),
                ("forgetting", forgetting.run(self._chores)),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopping, *tasks], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {stopping}:
                await task  # a loop that ended is a defect: end the process with it
        finally:
            stopping.cancel()
            await self._end(tasks)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Begin nothing more, let requests in flight come back, settle, leave."""
        kept = [task for task in tasks if task.get_name() in ("settler", "keeper")]
        self._dispatcher.stop()
        beginning = [task for task in tasks if task.get_name() == "dispatcher"]
        await asyncio.wait(beginning, timeout=STOP_SECONDS)
        await _cancel([task for task in tasks if task not in kept])
        await self._courier.drain(self._settings.grace_seconds)
        with contextlib.suppress(*postgres.AWAY):
            await self._dispatcher.put_back()
        await self._dispatcher.close()
        await self._settler.drain()
        await _cancel(kept)
        await self._keeper.leave()
        await self._ender.close()
        await self._settler.close()
        await self._tester.close()
        await self._sender.close()
        await self._chores.close()
        await asyncio.to_thread(self._application.close)

    def _hear(self, channel: str) -> None:
        if channel == "daybook_log":
            for runner in self._runners.values():
                runner.wake()
        else:
            self._keeper.hurry()
            self._tester.wake()
            self._rebuilder.wake()

    def _owed(self, webhooks: Collection[UUID]) -> None:
        """The handoff gave these webhooks rows: ours begin now, others are told."""
        if not self._lanes.hint(webhooks):
            self._keeper.hurry()
            self._told.set()
        self._wake.set()

    async def _tell_others(self) -> None:
        """NOTIFY for lanes that other workers own."""
        while True:
            await self._told.wait()
            self._told.clear()
            with contextlib.suppress(*postgres.AWAY):
                await self._chores.rows(QUERIES["notify_work"])

    async def _upkeep(self) -> None:
        """Once a day: partitions for the months to come."""
        while True:
            try:
                await self._chores.rows(QUERIES["make_partitions"])
            except postgres.AWAY:
                await asyncio.sleep(5)
            else:
                await asyncio.sleep(UPKEEP_SECONDS)


def _runners(url: str, handoff: Handoff, together: Contexts) -> dict[str, Runner]:
    """Of every projection. Somebody's handler may do more than to write rows: it waits for
    the disk. And deliveries go before what is only read."""
    runners = {each.name: Runner(url, each) for each in together.every_projection}
    for each in together.read_models:
        runners[each.name] = Runner(url, each, waits=False, gathers=GATHER_SECONDS)
    runners[handoff.name] = Runner(url, handoff, waits=False)
    return runners


def _sending(settings: WorkerSettings) -> MakeSender:
    """Makes a sender for the webhooks of some networks."""
    return functools.partial(
        AiohttpSender,
        settings.development,
        ports=open_ports(settings.webhook_ports),
        connections=settings.concurrency + SPARE_CONNECTIONS,
        proxy=egress_proxy.parse(settings.egress_proxy)
        if settings.egress_proxy
        else None,
    )


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

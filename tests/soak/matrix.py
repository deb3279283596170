"""Every failpoint, and what dies there: the process, or Postgres while the process stands.

The product runs as processes and is driven over HTTP. One of them comes by an armed
failpoint; it is killed there, or it is stopped there, Postgres is killed, and it goes on,
or it hangs there until its leases and its transaction are over, and goes on. Then
everything comes to rest, and nothing is lost and nothing done twice.
`python3 start.py soak matrix` prints the matrix; the suite runs a part of it.
"""

import argparse
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from rich.console import Console
from rich.table import Table

from domain import ids
from projections.failpoint import NAMES
from tests.support import counting, truth
from tests.support.processes import Cluster, Process, Product, cluster, expect, product
from tests.support.recording import Recorder, recording
from tests.support.waiting import eventually
from workers import logs
from workers.settings import LogSettings

VICTIMS = {"process": "it dies", "postgres": "Postgres dies", "nobody": "it hangs"}
HANG_SECONDS = 7.0  # the server cuts off an idle transaction after 5
FILLING = 6000  # events: a rebuild then takes more than one batch
FILLED = ("rebuild.batch", "rebuild.batched")  # which need that
CLIENTS = 3


class Case(NamedTuple):
    """Where, who dies, and which process comes by."""

    failpoint: str
    victim: str
    process: str

    def __str__(self) -> str:
        return f"{self.failpoint} of {self.process}, {VICTIMS[self.victim]}"


def cases(names: Sequence[str] = tuple(NAMES)) -> list[Case]:
    """The whole matrix, or that of some failpoints."""
    return [
        Case(name, victim, process)
        for name in names
        for process in _processes(name)
        for victim in VICTIMS
    ]


def _processes(failpoint: str) -> Sequence[str]:
    if failpoint.startswith("append."):
        return ("api",)
    if failpoint.startswith("command."):  # a worker's is to disable a webhook
        return ("api", "worker")
    return ("worker",)


class Stage:
    """The product on a cluster that may be killed, a tenant, a webhook, and the truth."""

    def __init__(self, postgres: Cluster, made: Product, recorder: Recorder) -> None:
        self._postgres, self._made, self._recorder = postgres, made, recorder
        self._api = made.serve()
        self._worker = made.work()
        _, key = made.tenant()
        self._client = made.client(key)
        self._acknowledged: dict[str, int] = {}
        self._webhooks: dict[str, str] = {}
        self._described = ""
        self._subscribe("/all", ["matrix.event"])

    def fill(self) -> None:
        """Events that nobody is owed."""
        for start in range(0, FILLING, 1000):
            events = [
                {"type": "matrix.filling", "stream": f"f/{number % 50}", "data": {}}
                for number in range(start, start + 1000)
            ]
            body = {"events": events}
            expect(self._client.post("/api/v1/events/batch", json=body), 202)

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def logs(self) -> str:
        """What the processes printed last."""
        return self._made.logs()

    def run(self, case: Case) -> float:
        """One case; how many seconds it took from the end to being at rest again."""
        process = self._api if case.process == "api" else self._worker
        self._restart_armed(process, case)
        driving = threading.Thread(target=self._drive(case))
        driving.start()
        if case.victim == "process":
            self._await_death(process, case)
            began = time.monotonic()
            self._disarm(process)
            process.start()
        else:
            self._await_stop(process, case)
            began = time.monotonic()
            if case.victim == "postgres":
                self._postgres.kill()
            else:
                threading.Event().wait(HANG_SECONDS)
                began = time.monotonic()
            assert process.running is not None
            process.running.send_signal(signal.SIGCONT)
        driving.join()
        self._publish()
        self._wait(truth.is_at_rest)
        seconds = time.monotonic() - began
        assert process.running is not None
        assert process.running.poll() is None, f"{case}: it ended by itself"
        self._judge()
        return seconds

    # ---- dying -----------------------------------------------------------------------

    def _restart_armed(self, process: Process, case: Case) -> None:
        action = "kill" if case.victim == "process" else "stop"
        assert process.stop() == 0
        process.environ["DAYBOOK_TEST_HARNESS"] = "1"
        process.environ["DAYBOOK_FAILPOINTS"] = f"{case.failpoint}={action}"
        process.start()
        if process is self._api:
            self._made.wait_until_ready()
        elif case.failpoint != "lanes.taken":  # there it does not get so far
            self._wait(lambda admin: admin.execute(OWNED).fetchall())

    def _disarm(self, process: Process) -> None:
        del process.environ["DAYBOOK_FAILPOINTS"]

    def _await_death(self, process: Process, case: Case) -> None:
        running = process.running
        assert running is not None
        eventually(lambda: running.poll() is not None, 30)
        assert running.returncode == -signal.SIGKILL, case

    def _await_stop(self, process: Process, case: Case) -> None:
        assert process.running is not None
        status = Path(f"/proc/{process.running.pid}/stat")
        # The third field, after the name in brackets, is the state.
        eventually(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", 30)
        self._disarm(process)

    # ---- driving ---------------------------------------------------------------------

    def _drive(self, case: Case) -> Callable[[], None]:
        """What makes a process come by."""
        if case.failpoint.startswith("command"):
            return self._configure if case.process == "api" else self._go
        if case.failpoint.startswith("rebuild"):
            return self._rebuild
        if case.failpoint.startswith("replays"):
            return self._replay
        if case.failpoint == "lanes.begun_again":
            self._recorder.answers["/all"].append(503)
        return self._publish

    def _publish(self) -> None:
        clients = [threading.Thread(target=self._publish_some) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def _publish_some(self) -> None:
        for _ in range(3):
            event = _event("matrix.event")
            answer = self._insist("POST", "/api/v1/events", event)
            self._acknowledged[event["id"]] = answer["position"]
        batch = [_event("matrix.event") for _ in range(3)]
        answer = self._insist("POST", "/api/v1/events/batch", {"events": batch})
        for event, receipt in zip(batch, answer["events"], strict=True):
            self._acknowledged[event["id"]] = receipt["position"]

    def _configure(self) -> None:
        self._described = ids.fresh("evt")
        path = f"/api/v1/webhooks/{self._webhooks['/all']}"
        self._insist("PATCH", path, {"description": self._described})

    def _go(self) -> None:
        """A receiver is gone for good: the worker disables its webhook, by a command."""
        path = f"/gone-{len(self._webhooks)}"
        event_type = f"matrix.gone.n{len(self._webhooks)}"
        self._recorder.answers[path].extend([410] * 5)
        self._subscribe(path, [event_type])
        event = _event(event_type)
        answer = self._insist("POST", "/api/v1/events", event)
        self._acknowledged[event["id"]] = answer["position"]

    def _replay(self) -> None:
        path = f"/api/v1/webhooks/{self._webhooks['/all']}/replay"
        self._publish()
        self._insist("POST", path, {"from": "beginning"})

    def _rebuild(self) -> None:
        with self._made.operator() as operator:
            expect(operator.post("/api/v1/projections/streams/rebuild", json={}), 202)

    def _subscribe(self, path: str, event_types: list[str]) -> None:
        body = {
            "url": self._recorder.url + path,
            "event_types": event_types,
            "retry": "fast",
        }
        webhook = self._insist("POST", "/api/v1/webhooks", body)
        self._webhooks[path] = webhook["id"]
        self._recorder.secrets[path] = webhook["secret"]

    def _insist(self, method: str, path: str, body: Any) -> Any:
        """Until it is answered; the same again whatever happened."""
        pause = threading.Event()
        while True:
            try:
                response = self._client.request(method, path, json=body)
            except httpx.TransportError:
                pause.wait(0.05)
                continue
            if response.is_success:
                return response.json()
            assert response.status_code == 503, response.text
            pause.wait(0.05)

    # ---- the truth -------------------------------------------------------------------

    def _wait(self, holds: Callable[[truth.Admin], Any]) -> None:
        with counting.admin(self._postgres.url) as admin:
            eventually(lambda: holds(admin), 40)

    def _judge(self) -> None:
        with counting.admin(self._postgres.url) as admin:
            truth.assert_log_is_dense_and_has(admin, self._acknowledged)
            truth.assert_owed_once(admin)
            truth.assert_replays_owed_once(admin)
            truth.assert_read_models_are_folds(admin)
            for path, webhook_id in self._webhooks.items():
                truth.assert_arrivals_are_accounted_for(
                    admin, self._recorder, path, webhook_id
                )
            self._judge_webhooks(admin)

    def _judge_webhooks(self, admin: truth.Admin) -> None:
        """What was configured holds; who was gone is disabled, once."""
        rows = admin.execute(WEBHOOKS).fetchall()
        found = {ids.encode("wh", row.webhook_id): row for row in rows}
        for path, webhook_id in self._webhooks.items():
            webhook = found[webhook_id]
            assert webhook.version == webhook.events
            assert webhook.state == ("active" if path == "/all" else "disabled")
            assert webhook.disablings == (0 if path == "/all" else 1)
        assert (found[self._webhooks["/all"]].description or "") == self._described


OWNED = """
    select from lanes join owners using (owner) where lease_until > clock_timestamp()
"""
WEBHOOKS = """
    select w.*, e.events, e.disablings from webhooks w
    cross join lateral (
        select count(*) as events,
            count(*) filter (where topic = 'daybook.webhook.disabled') as disablings
        from events e where e.tenant_id = w.tenant_id and e.stream = (
            select own_stream from webhook_ranges r
            where r.webhook_id = w.webhook_id limit 1)) e
"""


def _event(event_type: str) -> dict[str, Any]:
    return {"id": ids.fresh("evt"), "type": event_type, "data": {"n": 1}}


@contextmanager
def stage(*, filled: bool) -> Iterator[Stage]:
    """The product with all that it needs."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(cluster())
        made = stack.enter_context(product(postgres.url, folder))
        recorder = stack.enter_context(recording())
        ready = Stage(postgres, made, recorder)
        stack.callback(ready.close)
        if filled:
            ready.fill()
        ready._wait(truth.is_at_rest)
        yield ready


def play(
    chosen: Sequence[Case], tell: Callable[[Case, str], object]
) -> dict[Case, str]:
    """Every case; a fresh stage after one that failed. What came of each."""
    found: dict[Case, str] = {}
    waiting = list(chosen)
    while waiting:
        with stage(filled=any(case.failpoint in FILLED for case in waiting)) as on:
            while waiting:
                case = waiting.pop(0)
                try:
                    found[case] = f"ok {on.run(case):.1f} s"
                except Exception as error:
                    found[case] = "FAILED"
                    tell(case, f"FAILED: {error!r}\n{on.logs()}")
                    break
                tell(case, found[case])
    return found


def table(found: dict[Case, str]) -> Table:
    """The matrix."""
    shown = Table("failpoint", "process", "where it ends", *VICTIMS.values())
    for name, about in NAMES.items():
        for process in _processes(name):
            results = [found.get(Case(name, victim, process), "") for victim in VICTIMS]
            if any(results):
                shown.add_row(name, process, about, *results)
    return shown


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="failpoints; all of them if none")
    given = parser.parse_args()
    console = Console()
    chosen = cases(given.names or tuple(NAMES))
    with logs.writing(LogSettings(log_level="error")):
        found = play(chosen, lambda case, result: console.print(f"{case}: {result}"))
    console.print(table(found))
    failed = sum(result == "FAILED" for result in found.values())
    console.print(
        f"{len(found)} crashes, {failed} failed; seconds are until all is at rest"
    )
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()

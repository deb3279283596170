"""The construction site's programs beside it: real processes, killed, and told twice."""

import itertools
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.construction_site.context import CONTEXT
from migrations import runner
from projections.context import Contexts
from tests.support.network import free_port
from tests.support.processes import Product, expect, product
from tests.support.source import ROOT
from tests.support.waiting import eventually

PROGRAMS = ROOT / "examples" / "construction_site" / "integrations"
MOUNTED = {
    "DAYBOOK_CONTEXTS": "examples.construction_site.context:CONTEXT",
    "PYTHONPATH": str(ROOT),
}
UNLIMITED = {"DAYBOOK_LIMIT_DEFAULT": "1000000", "DAYBOOK_LIMIT_AUTH": "1000000"}


@dataclass
class Chat:
    """Takes what a Slack-compatible incoming webhook takes; `answers` come first."""

    url: str
    posted: list[dict[str, Any]]
    answers: list[int]


@dataclass
class Program:
    """One of the three, with its folder."""

    name: str
    data: Path
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it says goes to a file."""
        with (self.data / "out.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAMS / f"{self.name}.py"],
                env=self.environ,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def is_listening(self) -> bool:
        """Whether it has its webhook, and can be reached."""
        return "listening" in text_of(self.data / "out.log")

    def rows(self, query: str) -> list[Any]:
        """What is in its own database."""
        path = self.data / f"{self.name}.sqlite3"
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchall()


@dataclass
class Site:
    """The product with a tenant, and everything that runs beside it."""

    client: httpx.Client
    app: httpx.Client  # the same tenant at an API with the construction site mounted
    chat: Chat
    programs: dict[str, Program]

    def publish(self, events: list[dict[str, Any]]) -> list[str]:
        """Publish all at once; their ids."""
        answer = self.client.post("/api/v1/events/batch", json={"events": events})
        return [event["id"] for event in expect(answer, 202)["events"]]

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """All events of a type, as the log has them."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"type": kind, "limit": 500}
        while True:
            page = self.client.get("/api/v1/events", params=query).json()
            found += page["data"]
            if not page["next"]:
                return found
            query["cursor"] = page["next"]

    def webhook(self, name: str) -> str:
        """The path of a program's webhook; it is one."""
        page = self.client.get("/api/v1/webhooks").json()
        [webhook_id] = [each["id"] for each in page["data"] if each["name"] == name]
        return f"/api/v1/webhooks/{webhook_id}"

    def replay(self, name: str) -> int:
        """Send a program everything again; how many deliveries succeeded."""
        body = {"from": "beginning"}
        answer = self.client.post(f"{self.webhook(name)}/replay", json=body)
        path = f"/api/v1/replays/{expect(answer, 202)['id']}"
        return int(eventually(lambda: self._completed(path), 20)["succeeded"])

    def _completed(self, path: str) -> Any:
        found = self.client.get(path).json()
        return found if found["state"] == "completed" else None


@pytest.fixture
def chat() -> Iterator[Chat]:
    made = Chat("", [], [])

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = made.answers.pop() if made.answers else 200
            if status == 200:
                made.posted.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}/services/T/B/x"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(database_url: str, tmp_path: Path, chat: Chat) -> Iterator[Site]:
    (tmp_path / "app").mkdir()
    with (
        product(database_url, tmp_path, UNLIMITED) as made,
        product(database_url, tmp_path / "app", UNLIMITED | MOUNTED) as mounted,
    ):
        runner.migrate(database_url, Contexts((CONTEXT,)).folders)
        mounted.work()
        made.serve()
        mounted.serve()
        _, key = made.tenant()
        programs = {
            name: a_program(name, tmp_path, made, key, chat)
            for name in ("payroll", "chat_alert", "automation")
        }
        try:
            with made.client(key) as client, mounted.client(key) as app:
                for program in programs.values():
                    eventually(program.is_listening, 30)
                yield Site(client, app, chat, programs)
        finally:
            for program in programs.values():
                program.kill()


def a_program(name: str, folder: Path, made: Product, key: str, chat: Chat) -> Program:
    """The program, started."""
    data = folder / name
    data.mkdir()
    environ = os.environ | {
        "DAYBOOK_API_URL": made.api_url,
        "DAYBOOK_API_KEY": key,
        "PORT": str(free_port()),
        "DATA": str(data),
        "SLACK_URL": chat.url,
        "NO_PROXY": "127.0.0.1",
    }
    program = Program(name, data, environ)
    program.start()
    return program


@pytest.mark.timeout(180)
def test_the_programs_beside_the_site(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    """One test, as all of it is started once; each step knows what those before it left."""
    a_day_reaches_payroll_chat_and_automation(site, record_property)
    payroll_killed_for_1000_validations_is_equal_to_the_log(site)
    hours_that_cannot_be_entered_are_shown_and_hold_nothing(site)
    only_serious_incidents_are_posted_and_a_lost_one_again(site)
    a_site_has_a_folder_until_it_is_archived(site)


# ---- all of it ---------------------------------------------------------------------------


def a_day_reaches_payroll_chat_and_automation(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    """The construction site's commands, and what the programs make of them."""
    place = {"nom": "Villa", "adresse": "12 chemin des Vignes"}
    chantier_id = made(site, "/chantiers", place)["chantier_id"]
    days = {"debut": "2026-11-16", "fin": "2026-11-20"}
    planned = {"ouvrier_id": "karim-b", "chantier_id": chantier_id}
    made(site, "/planning/affectations", planned | days)
    hours = planned | {"date": "2026-11-16", "minutes": 480, "par": "karim-b"}
    booked = made(site, "/pointages", hours)["heures_id"]
    validate = {"par": "chef-a"}
    made(site, f"/pointages/{booked}/validate", validate, 200)
    validated_at = time.monotonic()
    line = f"select minutes, valide_par from hours where heures_id = '{booked}'"
    paid = eventually(lambda: site.programs["payroll"].rows(line), 5)
    record_property("payroll_seconds", time.monotonic() - validated_at)
    assert paid == [(480, "chef-a")]
    told = {"chantier_id": chantier_id, "description": "Wide", "par": "karim-b"}
    for title, priority in (("Lamp", "basse"), ("Crack", "critique")):
        made(site, "/signalements", told | {"titre": title, "priorite": priority})
    eventually(lambda: len(site.chat.posted) == 1)
    assert "Crack" in site.chat.posted.pop()["text"]
    sheet = site.programs["automation"].data / "sites" / chantier_id / "sheet.md"
    assert text_of(sheet).startswith("# Villa\n")


def made(
    site: Site, path: str, body: dict[str, Any], status: int = 201
) -> dict[str, Any]:
    """What a command of the construction site answers."""
    answer = site.app.post(f"/api/v1{path}", json=body)
    found: dict[str, Any] = expect(answer, status)
    return found


# ---- payroll -----------------------------------------------------------------------------


def validated(number: int) -> dict[str, Any]:
    """Somebody's hours of a day, validated."""
    data = {
        "heures_id": f"h_{number}",
        "chantier_id": "ch_1",
        "ouvrier_id": f"ouv_{number % 40}",
        "date": f"2026-11-{number % 28 + 1:02}",
        "minutes": 420 + number % 90,
        "valide_par": "chef_1",
    }
    return {"type": "heures.validated", "stream": f"heures/h_{number}", "data": data}


def payroll_killed_for_1000_validations_is_equal_to_the_log(site: Site) -> None:
    """And killed once more while it catches up, and given all of them again."""
    payroll = site.programs["payroll"]
    # given: a payroll that is told by webhook, and told again
    site.publish([validated(number) for number in range(19)])
    eventually(lambda: count(payroll) == 20)  # with that of the day
    assert payroll.rows("select 1 from hours where brought_by = 'webhook'")
    assert site.replay("payroll") == 20
    # when: it is away for 1,000 validations
    payroll.kill()
    site.publish([validated(number) for number in range(19, 1019)])
    payroll.start()
    eventually(lambda: count(payroll) > 20, 20)
    payroll.kill()  # and once more, while it catches up
    payroll.start()
    # then: it has each of them once, as the log has them
    eventually(lambda: count(payroll) >= 1020, 20)
    assert entered(payroll) == logged(site)
    assert len(payroll.rows("select distinct heures_id from hours")) == 1020
    # and given all of them once more, it is the same
    payroll.kill()
    place = {"to": "beginning"}
    seek = site.client.post("/api/v1/consumers/payroll/seek", json=place)
    assert expect(seek, 200)["lag_events"] >= 1020
    payroll.start()
    eventually(lambda: is_up_to_date(site), 20)
    assert entered(payroll) == logged(site)
    assert payroll.rows("select * from refused") == []


def count(payroll: Program) -> int:
    return int(payroll.rows("select count(*) from hours")[0][0])


def entered(payroll: Program) -> list[tuple[Any, ...]]:
    query = "select event_id, heures_id, ouvrier_id, date, minutes from hours"
    return [tuple(row) for row in payroll.rows(query + " order by position")]


def logged(site: Site) -> list[tuple[Any, ...]]:
    names = ("heures_id", "ouvrier_id", "date", "minutes")
    return [
        (event["id"], *(event["data"][name] for name in names))
        for event in site.recorded("heures.validated")
    ]


def is_up_to_date(site: Site) -> bool:
    consumer = site.client.get("/api/v1/consumers/payroll").json()
    return bool(consumer["lag_events"] == 0)


def hours_that_cannot_be_entered_are_shown_and_hold_nothing(site: Site) -> None:
    """They stand among the refused ones, with the reason."""
    payroll = site.programs["payroll"]
    wrong = validated(5000)
    wrong["data"]["minutes"] = 0
    again = validated(0)  # the same hours, by another event
    odd = validated(5002)
    odd["data"]["minutes"] = ["480"]
    ids = site.publish([wrong, again, odd, validated(5001)])
    # The webhook's circuit may be open after its absence: the consumer brings them.
    eventually(lambda: payroll.rows("select 1 from hours where heures_id = 'h_5001'"))
    refused = dict(payroll.rows("select event_id, why from refused"))
    assert set(refused) == set(ids[:3])
    assert "0 minutes" in refused[ids[0]] and "heures_id" in refused[ids[1]]
    assert "minutes" in refused[ids[2]]


# ---- chat alert --------------------------------------------------------------------------


def incident(number: int, priority: str) -> dict[str, Any]:
    data = {
        "signalement_id": f"sig_{number}",
        "chantier_id": "ch_1",
        "titre": f"Fissure <{number}>",
        "description": "Mur nord & angle",
        "priorite": priority,
        "signale_par": "ouv_3",
    }
    stream = f"signalement/sig_{number}"
    return {"type": "signalement.created", "stream": stream, "data": data}


def only_serious_incidents_are_posted_and_a_lost_one_again(site: Site) -> None:
    """By the webhook's filter, in a replay too; and no test of the webhook is."""
    site.chat.answers.append(503)  # the chat is away for the first
    priorities = ["haute", "basse", "moyenne", "critique"]
    first, *_ = site.publish([incident(1, priorities[0])])
    path = f"/api/v1/webhook-deliveries?event_id={first}"
    [lost] = eventually(lambda: failed(site, path))
    retry = f"/api/v1/webhook-deliveries/{lost['id']}/retry"
    expect(site.client.post(retry, json={}), 202)
    eventually(lambda: len(site.chat.posted) == 1)
    site.publish([incident(n, p) for n, p in enumerate(priorities[1:], 2)])
    eventually(lambda: len(site.chat.posted) == 2)
    assert site.replay("chat alert") == 3  # with that of the day: the filter holds too
    tested = {"type": "signalement.created", "data": incident(9, "haute")["data"]}
    answer = site.client.post(f"{site.webhook('chat alert')}/test", json=tested)
    assert expect(answer, 200)["status_code"] == 204  # checked, and not posted
    texts = [message["text"] for message in site.chat.posted]
    assert len(texts) == 2
    assert [text.partition(":")[2].split("*")[1] for text in texts] == [
        "haute",
        "critique",
    ]
    assert "&lt;1&gt;" in texts[0]


def failed(site: Site, path: str) -> list[Any]:
    found = site.client.get(path).json()["data"]
    return [each for each in found if each["state"] == "retrying"]


# ---- automation --------------------------------------------------------------------------


def of_site(kind: str, **data: Any) -> dict[str, Any]:
    data = {"chantier_id": "ch_9"} | data
    return {"type": f"chantier.{kind}", "stream": "chantier/ch_9", "data": data}


LIFE = [
    of_site("created", nom="Villa", adresse="12 rue des Vignes", statut="ouvert"),
    of_site("updated", nom="Villa Lumière", adresse="12 rue des Vignes"),
    of_site("statut_changed", ancien_statut="ouvert", nouveau_statut="en_cours"),
]


def a_site_has_a_folder_until_it_is_archived(site: Site) -> None:
    """Which a replay does not bring back; what people wrote in it stays."""
    data = site.programs["automation"].data
    place, archived = data / "sites" / "ch_9", data / "archive" / "ch_9"
    site.publish(LIFE)
    sheet = "# Villa Lumière\n\nadresse: 12 rue des Vignes\nstatut: en_cours\n"
    eventually(lambda: text_of(place / "sheet.md") == sheet)
    ticked = text_of(place / "checklist.md").replace("[ ]", "[x]")
    (place / "checklist.md").write_text(ticked, "utf-8")
    site.publish([of_site("deleted"), of_site("created", chantier_id="../../oops")])
    eventually((archived / "sheet.md").exists)
    assert site.replay("automation") == 6  # with that of the day
    assert not place.exists() and not (data.parent / "oops").exists()
    assert text_of(archived / "sheet.md") == sheet
    assert text_of(archived / "checklist.md") == ticked


def text_of(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def test_a_sites_fields_are_the_same_in_any_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(PROGRAMS))
    source: dict[str, Any] = {"__name__": "automation"}
    exec((PROGRAMS / "automation.py").read_text("utf-8"), source)
    merged: Callable[..., dict[str, Any]] = source["merged"]
    events = [event | {"position": n} for n, event in enumerate(LIFE, 1)]
    ends = []
    for order in itertools.permutations([*events, events[0]]):
        found: dict[str, Any] = {}
        for event in order:
            found = merged(found, event)
        ends.append(found)
    assert all(end == ends[0] for end in ends)
    assert ends[0]["nom"] == ["Villa Lumière", 2] and ends[0]["statut"][0] == "en_cours"

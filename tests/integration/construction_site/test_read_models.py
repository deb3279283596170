"""The read models are a fold of the log: followed, and made anew while traffic goes on."""

import datetime
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from domain import ids
from domain.application import Log
from examples.construction_site.company import loading
from examples.construction_site.context import CONTEXT
from projections.log.recorder import environment
from tests.integration.http_api.conftest import OPERATOR_KEY, Account, Server
from tests.support.waiting import eventually

Weeks = dict[tuple[str, str], tuple[int, int]]


@pytest.fixture(scope="module")
def seeded(server: Server, account: Account) -> None:
    """The company's eight weeks."""
    log = Log(environment(server.database_url, "daybook_app"), CONTEXT.aggregates)
    try:
        loading.load(log, ids.decode("ten", account.tenant_id))
    finally:
        log.close()


@pytest.fixture
def operator(server: Server) -> Iterator[httpx.Client]:
    with server.client(OPERATOR_KEY) as client:
        yield client


def events(server: Server, account: Account) -> list[tuple[str, dict[str, Any]]]:
    """All of the tenant's, by the log."""
    with server.admin() as admin:
        rows = admin.execute(
            "select topic, state from events where tenant_id = %s order by position",
            [ids.decode("ten", account.tenant_id)],
        ).fetchall()
    return [(topic, json.loads(state)) for topic, state in rows]


def folded(happened: list[tuple[str, dict[str, Any]]]) -> Weeks:
    """What the weeks are, counted event by event."""
    booked: Counter[tuple[str, str]] = Counter()
    validated: Counter[tuple[str, str]] = Counter()
    for topic, data in happened:
        if not topic.startswith("heures."):
            continue
        day = datetime.date.fromisoformat(data["date"])
        monday = day - datetime.timedelta(days=day.weekday())
        key = (data["ouvrier_id"], monday.isoformat())
        if topic == "heures.created":
            booked[key] += data["minutes"]
        elif topic == "heures.updated":
            booked[key] += data["minutes"] - data["anciennes_minutes"]
        elif topic == "heures.rejected":
            booked[key] -= data["minutes"]
        else:
            validated[key] += data["minutes"]
    return {key: (booked[key], validated[key]) for key in booked}


def shown(server: Server, account: Account) -> Weeks:
    """The live rows."""
    with server.admin() as admin:
        rows = admin.execute(
            "select ouvrier_id, semaine, minutes_saisies, minutes_validees"
            " from weekly_hours where tenant_id = %s"
            " and generation = live_generation('weekly_hours')",
            [ids.decode("ten", account.tenant_id)],
        ).fetchall()
    return {(worker, str(monday)): tuple(minutes) for worker, monday, *minutes in rows}


def caught_up(server: Server, account: Account) -> bool:
    return shown(server, account) == folded(events(server, account))


@pytest.mark.usefixtures("seeded")
def test_weekly_hours_are_the_fold_of_the_log(server: Server, account: Account) -> None:
    eventually(lambda: caught_up(server, account))
    happened = events(server, account)
    weeks = shown(server, account)
    assert len({worker for worker, _ in weeks}) >= 40
    paid = sum(data["minutes"] for topic, data in happened if "validated" in topic)
    assert sum(validated for _, validated in weeks.values()) == paid


@pytest.mark.usefixtures("seeded")
def test_the_board_counts_what_there_is(account: Account) -> None:
    def board() -> dict[str, dict[str, Any]]:
        lines = account.get("/api/v1/chantiers", limit=100)["data"]
        return {line["chantier_id"]: line for line in lines}

    head = account.get("/api/v1/events", order="desc", limit=1)["data"][0]["position"]
    account.get("/api/v1/chantiers", at_least=head)
    lines = board()
    assert lines["villa-lumiere"]["statut"] == "receptionne"
    sites = ("villa-lumiere", "halle-nord", "ecole-jaures")
    assert sum(lines[site]["affectations"] for site in sites) == 940
    assert all(0 <= lines[site]["signalements_ouverts"] < 10 for site in sites)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("model", ["weekly_hours", "site_board"])
def test_it_is_made_anew_while_hours_are_booked(
    server: Server, account: Account, operator: httpx.Client, model: str
) -> None:
    # given
    path = f"/api/v1/projections/{model}/rebuild"
    client = account.client
    # when
    started = operator.post(path)
    assert started.status_code == 202, started.text
    booked = 0
    while (found := operator.get(path).json())["state"] == "running" or booked < 20:
        hours = {
            "ouvrier_id": f"{model}-{booked % 3}",
            "chantier_id": "halle-nord",
            "date": f"2026-11-{16 + booked % 5}",
            "minutes": 60,
            "par": "k",
        }
        made = client.post("/api/v1/pointages", json=hours)
        assert made.status_code == 201, made.text
        booked += 1
    # then
    assert (found["state"], found["parity"]["equal"]) == ("switched", True)
    eventually(lambda: caught_up(server, account))


@pytest.mark.usefixtures("seeded")
def test_its_streams_are_those_that_it_keeps_from_publishers(server: Server) -> None:
    with server.admin() as admin:
        rows = admin.execute(
            "select distinct split_part(stream, '/', 1) || '/' from events"
            " where topic = any(%s)",
            [list(CONTEXT.meanings)],
        ).fetchall()
    assert {stream for (stream,) in rows} == set(CONTEXT.streams)

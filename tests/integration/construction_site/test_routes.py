"""The construction site over HTTP: each of its events, its rules, its place among ours."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from examples.construction_site.domain import catalog
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    Server,
    open_account,
)
from tests.support.recording import Recorder, recording
from tests.support.waiting import eventually


def call(
    client: httpx.Client, method: str, path: str, body: Any = None, status: int = 200
) -> Any:
    """What an answer of this status says."""
    response = client.request(method, f"/api/v1{path}", json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def a_site(client: httpx.Client) -> str:
    body = {"nom": "Villa", "adresse": "12 chemin des Vignes"}
    return str(call(client, "POST", "/chantiers", body, 201)["chantier_id"])


def all_events(client: httpx.Client) -> None:
    """Every command once."""
    site = a_site(client)
    moved = {"nom": "Villa Lumière", "adresse": "12 chemin des Vignes"}
    call(client, "PUT", f"/chantiers/{site}", moved)
    spare = a_site(client)
    call(client, "POST", f"/chantiers/{spare}/statut", {"statut": "ferme"})
    call(client, "DELETE", f"/chantiers/{spare}", status=204)

    days = {"chantier_id": site, "debut": "2026-11-16", "fin": "2026-11-20"}
    plan = call(
        client, "POST", "/planning/affectations", {"ouvrier_id": "k", **days}, 201
    )
    one = f"/planning/affectations/{plan['affectation_id']}"
    call(client, "PUT", one, days | {"fin": "2026-11-18"})
    call(client, "DELETE", one, status=204)

    hours = {
        "ouvrier_id": "k",
        "chantier_id": site,
        "date": "2026-11-16",
        "minutes": 200,
    }
    booked = call(client, "POST", "/pointages", hours | {"par": "k"}, 201)
    one = f"/pointages/{booked['heures_id']}"
    call(client, "POST", f"{one}/reject", {"par": "chef", "motif": "too few"})
    call(client, "PUT", one, {"minutes": 240, "par": "k"})
    call(client, "POST", f"{one}/validate", {"par": "chef"})

    told = {"titre": "Crane", "description": "It leans.", "priorite": "haute"}
    incident = call(
        client,
        "POST",
        "/signalements",
        {"chantier_id": site, "par": "k", **told},
        201,
    )
    one = f"/signalements/{incident['signalement_id']}"
    call(client, "PUT", one, told | {"priorite": "critique"})
    call(client, "POST", f"{one}/cloturer", {"resolution": "Upright.", "par": "chef"})

    document = {"nom": "plan.pdf", "taille": 9, "sha256": "0" * 64, "par": "chef"}
    folder = f"/documents/{site}/documents"
    put = call(client, "POST", folder, document, 201)
    call(client, "DELETE", f"{folder}/{put['document_id']}", status=204)


def test_each_of_sixteen_event_types_is_delivered(account: Account) -> None:
    with recording() as recorder:
        check_delivered(account, recorder)


def check_delivered(account: Account, recorder: Recorder) -> None:
    webhook = account.webhook(url=f"{recorder.url}/all")
    recorder.secrets["/all"] = webhook["secret"]
    all_events(account.client)
    wanted = set(catalog.MEANINGS)
    assert len(wanted) == 16

    def arrived() -> set[str]:
        return {json.loads(one.body)["type"] for one in list(recorder.arrivals["/all"])}

    eventually(lambda: arrived() == wanted)
    assert all(one.is_verified for one in recorder.arrivals["/all"])


def test_read_models_show_what_a_write_did(client: httpx.Client) -> None:
    site = a_site(client)
    body = {"chantier_id": site, "date": "2026-11-18", "minutes": 240}
    for minutes in (240, 200):
        booked = {"ouvrier_id": site, "par": "k"} | body | {"minutes": minutes}
        one = call(client, "POST", "/pointages", booked, 201)["heures_id"]
    done = client.post(f"/api/v1/pointages/{one}/validate", json={"par": "chef"})
    at_least = done.headers["Daybook-Position"]
    weeks = call(client, "GET", f"/ouvriers/{site}/semaines?at_least={at_least}")
    assert weeks["data"] == [
        {"semaine": "2026-11-16", "minutes_saisies": 440, "minutes_validees": 200}
    ]
    board = call(client, "GET", f"/chantiers?limit=100&at_least={at_least}")["data"]
    [line] = [line for line in board if line["chantier_id"] == site]
    assert line == {
        "chantier_id": site,
        "nom": "Villa",
        "adresse": "12 chemin des Vignes",
        "statut": "ouvert",
        "affectations": 0,
        "signalements_ouverts": 0,
        "minutes_saisies": 440,
        "minutes_validees": 200,
    }


def test_handlers_put_up_a_notice_of_each_event(client: httpx.Client) -> None:
    site = a_site(client)
    call(client, "POST", f"/chantiers/{site}/statut", {"statut": "en_cours"})
    told = {"titre": "Crack", "description": "Wide", "priorite": "haute"}
    body = {"chantier_id": site, **told, "par": "karim-b"}
    answer = client.post("/api/v1/signalements", json=body)
    behind = f"?at_least={answer.headers['daybook-position']}"
    notices = call(client, "GET", f"/chantiers/{site}/avis{behind}")["data"]
    assert [notice["text"] for notice in notices] == [
        "karim-b reports (haute): Crack",
        "From ouvert to en_cours",
        "Villa is opened: 12 chemin des Vignes",
    ]


def test_the_boards_pages_go_both_ways(client: httpx.Client) -> None:
    last = client.post("/api/v1/chantiers", json={"nom": "a", "adresse": "b"}).headers[
        "Daybook-Position"
    ]
    a_site(client)
    first = call(client, "GET", f"/chantiers?limit=1&at_least={last}")
    second = call(client, "GET", f"/chantiers?limit=1&cursor={first['next']}")
    again = call(client, "GET", f"/chantiers?limit=1&cursor={second['prev']}")
    assert again["data"] == first["data"] != second["data"]


BOOKED = {"ouvrier_id": "k", "date": "2026-11-16", "minutes": 60, "par": "k"}


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/pointages", BOOKED | {"chantier_id": "none"}, "#/chantier_id"),
        ("/pointages", BOOKED | {"chantier_id": "a b"}, "#/chantier_id"),
        ("/pointages", BOOKED | {"chantier_id": "x", "more": 1}, "#/more"),
        ("/chantiers", {"nom": "Villa"}, "#/adresse"),
        ("/chantiers", {"nom": "", "adresse": "x"}, "#/nom"),
    ],
)
def test_what_is_wrong_is_named(
    client: httpx.Client, path: str, body: dict[str, Any], pointer: str
) -> None:
    problem = call(client, "POST", path, body, 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_rule_is_a_problem_with_its_place(client: httpx.Client) -> None:
    site = a_site(client)
    days = {"chantier_id": site, "debut": "2026-11-16", "fin": "2026-11-20"}
    wanted = {"ouvrier_id": site, **days}
    call(client, "POST", "/planning/affectations", wanted, 201)
    problem = call(client, "POST", "/planning/affectations", wanted, 422)
    assert problem["code"] == "invalid"
    assert problem["errors"][0]["pointer"] == "#/debut"


@pytest.mark.parametrize(
    "path",
    [
        "/chantiers/none",
        "/chantiers/%00",
        "/pointages/none",
        "/planning/affectations/none",
        "/planning/affectations/k.none",
        "/signalements/a%20b",
    ],
)
def test_what_is_not_there(client: httpx.Client, path: str) -> None:
    assert call(client, "GET", path, status=404)["code"] == "not_found"


def test_a_repeat_with_its_key_does_nothing_twice(client: httpx.Client) -> None:
    site = a_site(client)
    body = {"ouvrier_id": site, "chantier_id": site}
    days = {"debut": "2026-11-16", "fin": "2026-11-16"}
    answers = [
        client.post(
            "/api/v1/planning/affectations",
            json=body | days,
            headers={"Idempotency-Key": site},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


def test_publishers_cannot_say_what_commands_say(client: httpx.Client) -> None:
    forged = {"type": "heures.validated", "data": {}}
    problem = call(client, "POST", "/events", forged, 422)
    assert problem["code"] == "type_reserved"
    into = {"type": "other", "stream": "pointages/1", "data": {}}
    assert call(client, "POST", "/events", into, 422)["code"] == "invalid"
    path = "/webhook-events/heures.validated"
    assert call(client, "PUT", path, {}, 422)["code"] == "type_reserved"


def test_the_catalogue_has_schema_and_example(client: httpx.Client) -> None:
    for name, meaning in catalog.MEANINGS.items():
        shown = call(client, "GET", f"/webhook-events/{name}")
        assert shown["example"] == meaning.example
        assert shown["schema"]["properties"].keys() == meaning.example.keys()
        assert shown["system"]


def test_another_tenant_sees_none_of_it(client: httpx.Client, server: Server) -> None:
    site = a_site(client)
    with server.client(OPERATOR_KEY) as operator:
        other = open_account(server, operator, "other")
    assert call(other.client, "GET", f"/chantiers/{site}", status=404)
    assert call(other.client, "GET", "/chantiers")["data"] == []
    assert call(other.client, "GET", "/ouvriers/k/semaines")["data"] == []
    other.close()


def test_scopes_are_asked_for(account: Account) -> None:
    body = {"nom": "Villa", "adresse": "x"}
    reader = account.with_scopes("events:read")
    assert call(reader, "POST", "/chantiers", body, 403)["code"] == "scope_missing"
    writer = account.with_scopes("events:write")
    assert call(writer, "GET", "/chantiers", status=403)["code"] == "scope_missing"


def test_of_assignments_that_come_at_once_one_is_made(client: httpx.Client) -> None:
    site = a_site(client)
    days = {"debut": "2026-11-16", "fin": "2026-11-20"}
    wanted = {"ouvrier_id": site, "chantier_id": site, **days}

    def ask(number: int) -> int:
        path = "/api/v1/planning/affectations"
        return client.post(path, json=wanted).status_code

    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(ask, range(8)))
    # Whoever is overtaken decides anew, and finds the days taken.
    assert found[201] == 1
    assert found.keys() <= {201, 422, 409}

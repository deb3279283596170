"""Two tenants on one server: to each of them the other is not there.

The routes are those of the running application: one that is added today is asked today, or
fails until `belongings.py` knows how to ask it.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import registry
from projections.runner import Runner
from projections.webhooks.handoff import Handoff
from tests.integration.http_api import belongings
from tests.integration.http_api.belongings import (
    BODIES,
    NAMES_SOMETHING,
    NAMING,
    OWNED,
    WAITING,
    Route,
    called,
    needed,
    places,
    tenants_routes,
)
from tests.integration.http_api.conftest import (
    Account,
    Server,
    open_account,
)

ROUTES = list(tenants_routes())
WITH_IDS = [route for route in ROUTES if places(route[1])]
LISTS = [route for route in ROUTES if belongings.is_list(route[2])]
NOBODYS = {place: nobodys for place, (_, nobodys) in OWNED.items()}


def label(route: Route) -> str:
    return f"{route[0]} {route[1]}"


@pytest.fixture(scope="module")
def post(server: Server) -> Callable[[], None]:
    """Do what workers do with what was published, but for sending it."""

    async def all_of_it() -> None:
        for projection in (Handoff(lambda touched: None), *registry.REBUILDABLE):
            runner = Runner(server.database_url, projection)
            while await runner.step():
                pass

    return lambda: asyncio.run(all_of_it())


@pytest.fixture(scope="module")
def victim(server: Server, operator: httpx.Client) -> Iterator[Account]:
    """The tenant whose things are looked for."""
    opened = open_account(server, operator, "victim")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def theirs(victim: Account, post: Callable[[], None]) -> dict[str, str]:
    """One of each of its things."""
    return belongings.settle(victim, post)


@pytest.fixture(scope="module")
def before(victim: Account, theirs: dict[str, str]) -> dict[str, Any]:
    """All that it sees, before anybody else did anything."""
    return belongings.view(victim, theirs)


# That everything is asked.


def test_every_id_in_a_path_is_known() -> None:
    asked = {place for _, path, _ in WITH_IDS for place in places(path)}
    assert asked == OWNED.keys(), "tell tests/integration/http_api/belongings.py"


def test_every_body_is_known() -> None:
    asked = {(method, path) for method, path, one in ROUTES if needed(one.body)}
    assert asked == BODIES.keys(), "tell tests/integration/http_api/belongings.py"


def test_everything_that_names_something_is_known() -> None:
    kinds = {one.query for _, _, one in ROUTES} | {
        one.body for _, _, one in ROUTES if one.body
    }
    named = {name for kind in kinds for name in _members(kind)}
    naming = {name for name in named if NAMES_SOMETHING.fullmatch(name)}
    assert naming - NAMING.keys() == set(), "tell belongings.py what they name"


def _members(kind: Any) -> Iterator[str]:
    """The names of a body's members, and of those within them."""
    described, components = msgspec.json.schema_components([kind])
    del described
    for component in components.values():
        yield from component.get("properties", {})


# What is another's is what is nobody's.


def alike(response: httpx.Response, named: dict[str, str]) -> tuple[int, str]:
    """An answer without what may differ: the ids asked for, the request, who and when."""
    text = response.text
    for name in named.values():
        text = text.replace(name, "<it>")
    text = re.sub(r'"request_id":"[^"]*"|"created_by":{[^}]*}', "", text)
    return response.status_code, re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<then>", text)


@pytest.mark.parametrize("route", WITH_IDS, ids=label)
def test_anothers_is_nobodys(
    server: Server,
    operator: httpx.Client,
    victim: Account,
    theirs: dict[str, str],
    before: dict[str, Any],
    route: Route,
) -> None:
    answers = []
    for named in (theirs, NOBODYS):
        asking = open_account(server, operator, "asking")
        answers.append(alike(called(asking.client, route, named), named))
        asking.close()
    assert answers[0] == answers[1]
    method, path, _ = route
    if method != "PUT" or path in BODIES:
        assert answers[0][0] == 404
    assert belongings.view(victim, theirs) == before


@pytest.mark.parametrize("route", LISTS, ids=label)
def test_anothers_cursor_is_no_cursor(
    victim: Account, account: Account, theirs: dict[str, str], route: Route
) -> None:
    """Not of the list of the same name, and not of what has the same id."""
    page = called(victim.client, route, theirs, params={"limit": 1})
    cursor = page.json()["next"]
    assert cursor, "the tenant must own two of these: see belongings.py"
    answer = called(account.client, route, theirs, params={"cursor": cursor})
    nobodys = called(account.client, route, NOBODYS, params={"cursor": cursor})
    assert alike(answer, theirs) == alike(nobodys, NOBODYS)
    if not places(route[1]):
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


FILTERS = [
    pytest.param(route, name, id=f"{label(route)}?{name}")
    for route in ROUTES
    if route[1] not in WAITING
    for name in route[2].query.__struct_fields__
    if NAMING.get(name)
]


@pytest.mark.parametrize(("route", "name"), FILTERS)
def test_a_filter_finds_nothing_of_anothers(
    account: Account, theirs: dict[str, str], route: Route, name: str
) -> None:
    own = {
        place: make(account)
        for place, (make, _) in OWNED.items()
        if place in places(route[1])
    }
    place = NAMING[name] or ""
    found = [
        alike(called(account.client, route, own, params={name: one[place]}), one)
        for one in (theirs, NOBODYS)
    ]
    assert found[0] == found[1]
    assert found[0][0] == 200


@pytest.mark.parametrize("route", ROUTES, ids=label)
def test_a_key_does_not_speak_for_another_tenant(
    account: Account, victim: Account, theirs: dict[str, str], route: Route
) -> None:
    headers = {"Daybook-Tenant": victim.tenant_id}
    response = called(account.client, route, theirs, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "scope_missing")


def test_the_ids_of_events_are_each_tenants_own(
    account: Account, other: Account
) -> None:
    first = other.publish("a.b", id="the-very-same", data={"theirs": True})
    again = account.client.post(
        "/api/v1/events", json={"type": "c.d", "id": "the-very-same", "data": {}}
    )
    assert again.status_code == 202
    assert again.headers.get("Idempotent-Replayed") is None
    assert account.get("/api/v1/events/the-very-same")["type"] == "c.d"
    seen = other.get("/api/v1/events/the-very-same")
    assert (seen["data"], seen["position"]) == ({"theirs": True}, first["position"])


def test_idempotency_keys_are_each_tenants_own(
    account: Account, other: Account
) -> None:
    event, headers = {"type": "a.b", "data": {}}, {"Idempotency-Key": "the-very-same"}
    first = other.client.post("/api/v1/events", json=event, headers=headers)
    second = account.client.post("/api/v1/events", json=event, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["id"] != first.json()["id"]
    again = other.client.post("/api/v1/events", json=event, headers=headers)
    assert again.json() == first.json()


def test_another_tenants_event_is_no_cause(account: Account, other: Account) -> None:
    cause = other.publish()["id"]
    deeper = other.publish(causation_id=cause)["id"]
    sent = account.publish(causation_id=deeper)["id"]
    assert account.get(f"/api/v1/events/{sent}")["depth"] == 0
    assert other.get(f"/api/v1/events/{deeper}")["depth"] == 1


# Whatever one does, the other sees what it saw.

WRITES = [route for route in ROUTES if route[0] != "GET" and route[1] not in WAITING]
WHOSE = ("own", "theirs", "nobodys")
# What the operator does to the one, by the path under it.
OPERATED: list[tuple[str, str, Any]] = [
    ("PATCH", "", {"name": "another name"}),
    ("PATCH", "", {"settings": {"strict_types": True}}),
    ("PATCH", "", {"settings": {"limits": {"webhooks": 2}}}),
    ("PATCH", "", {"settings": {"strict_types": None, "limits": None}}),
    ("POST", "/suspend", {}),
    ("POST", "/resume", {}),
]
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(WRITES), st.sampled_from(WHOSE)),
    st.sampled_from(OPERATED),
)


def meddle(account: Account, route: Route, whose: str, theirs: dict[str, str]) -> None:
    """Do anything to anything."""
    named = {"theirs": theirs}.get(whose, NOBODYS)
    if whose == "own":
        named = NOBODYS | _some_of(account, places(route[1]))
    response = called(account.client, route, named)
    assert response.status_code < 500, response.text


def _some_of(account: Account, wanted: list[str]) -> dict[str, str]:
    """Its own, as far as it may have any: it may be strict, suspended, or owed nothing."""
    own = {}
    for place in wanted:
        with contextlib.suppress(AssertionError, LookupError):
            own[place] = OWNED[place][0](account)
    return own


def test_nothing_that_one_does_is_seen_by_the_other(
    server: Server,
    operator: httpx.Client,
    victim: Account,
    theirs: dict[str, str],
    post: Callable[[], None],
) -> None:
    post()
    seen = belongings.view(victim, theirs)

    @settings(max_examples=15, deadline=None, database=None, derandomize=True)
    @given(st.lists(ACTIONS, min_size=1, max_size=10))
    def hold(actions: list[Any]) -> None:
        account = open_account(server, operator, "meddler")
        path = f"/api/v1/tenants/{account.tenant_id}"
        for action in actions:
            if len(action) == 2:
                meddle(account, *action, theirs)
            else:
                method, under, body = action
                done = operator.request(method, f"{path}{under}", json=body)
                assert done.status_code == 200
        post()
        account.close()
        assert belongings.view(victim, theirs) == seen

    hold()

"""What a tenant can own, by the place of its id in a path; and how to ask for all of it.

Whoever adds a route with another id, another body that needs members, or another member
that names something, adds it here: the tests of two tenants fail until it is there.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec

from api.operation import Operation
from domain import ids
from domain.tenancy.api_key import SCOPES
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_authentication import ROUTES

Route = tuple[str, str, Operation]


def tenants_routes() -> Iterator[Route]:
    """Every route that a tenant's key can call."""
    for method, path, one in ROUTES:
        if (
            one
            and not one.is_public
            and (not one.scopes or set(one.scopes) & {*SCOPES})
        ):
            yield method, path, one


def places(path: str) -> list[str]:
    """The path up to each of its ids: what each of them names."""
    return [path[: match.end()] for match in re.finditer(r"\{\w+\}", path)]


DELIVERY = "/api/v1/webhook-deliveries/{delivery_id}"

# Paths to one thing each -> how a tenant comes to own one more, and what is nobody's.


def _event(owner: Account) -> str:
    return str(owner.publish()["id"])


def _stream(owner: Account) -> str:
    name = f"s/{uuid.uuid4().hex}"
    owner.publish(stream=name)
    return str(owner.publish(stream=name)["stream"])


def _webhook(owner: Account) -> str:
    return str(owner.webhook(name=uuid.uuid4().hex)["id"])


def _key(owner: Account) -> str:
    body = {"name": "one", "scopes": ["events:read"]}
    return str(owner.client.post("/api/v1/keys", json=body).json()["id"])


def _event_type(owner: Account) -> str:
    name = f"t.{uuid.uuid4().hex}"
    path = f"/api/v1/webhook-events/{name}"
    assert owner.client.put(path, json={}).status_code == 200
    return name


def _consumer(owner: Account) -> str:
    name = f"c-{uuid.uuid4().hex}"
    path = f"/api/v1/consumers/{name}"
    made = owner.client.put(path, json={"start": "beginning"})
    assert made.status_code == 201, made.text
    return name


def _delivery(owner: Account) -> str:
    """The newest; what was published is owed by now."""
    page = owner.get("/api/v1/webhook-deliveries")
    return str(page["data"][0]["id"])


def _replay(owner: Account) -> str:
    """The second of two of its newest webhook; a tenant may have two such webhooks."""
    webhooks = owner.get("/api/v1/webhooks")["data"] or [{"id": _webhook(owner)}]
    path = f"/api/v1/webhooks/{webhooks[-1]['id']}/replay"
    for _ in range(2):
        made = owner.client.post(path, json={"from": "beginning"})
    return str(made.json()["id"])


OWNED: dict[str, tuple[Callable[[Account], str], str]] = {
    "/api/v1/events/{event_id}": (_event, "evt_" + "0" * 26),
    "/api/v1/streams/{stream}": (_stream, "s/nobodys"),
    "/api/v1/webhooks/{webhook_id}": (_webhook, "wh_" + "0" * 26),
    "/api/v1/keys/{key_id}": (_key, "key_" + "0" * 26),
    "/api/v1/webhook-events/{event_type}": (_event_type, "t.nobodys"),
    "/api/v1/replays/{replay_id}": (_replay, "rpl_" + "0" * 26),
    "/api/v1/consumers/{name}": (_consumer, "c-nobodys"),
    DELIVERY: (
        _delivery,
        ids.delivery(ids.DeliveryKey(2**40, 1)),
    ),
}

# Bodies that are right but for the ids in them, for routes that need one.
HOOK = {"url": "https://example.com/hook", "event_types": ["*"]}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/events"): {"type": "a.b", "data": {}},
    ("POST", "/api/v1/events/batch"): {"events": [{"type": "a.b", "data": {}}]},
    ("POST", "/api/v1/keys"): {"name": "x", "scopes": ["events:read"]},
    ("POST", "/api/v1/webhooks"): HOOK,
    ("POST", "/api/v1/webhooks/match"): {"type": "a.b"},
    ("PUT", "/api/v1/webhooks/{webhook_id}"): HOOK,
    ("POST", "/api/v1/webhooks/{webhook_id}/replay"): {"from": "beginning"},
    ("POST", "/api/v1/consumers/{name}/ack"): {"position": 1},
    ("POST", "/api/v1/consumers/{name}/seek"): {"to": "beginning"},
}
# Parameters and members that name something -> the path to it. None: it names nothing that
# can be looked up, or a test of its own says what becomes of it.
NAMING: dict[str, str | None] = {
    "webhook_id": "/api/v1/webhooks/{webhook_id}",
    "event_id": "/api/v1/events/{event_id}",
    "replay_id": "/api/v1/replays/{replay_id}",
    "stream": "/api/v1/streams/{stream}",
    "tenant_id": None,  # test_keys.py, test_tenancy.py
    "id": None,  # test_the_ids_of_events_are_each_tenants_own
    "causation_id": None,  # test_another_tenants_event_is_no_cause
    "correlation_id": None,  # looked up by nobody
    "source_id": None,  # of its source; unique within the tenant
    "external_id": None,  # the operator's
    "fresh_ids": None,  # a yes or no
    "delivery_ids": None,  # test_redrive.py
}
NAMES_SOMETHING = re.compile(r"(.*_)?ids?|stream")
# They wait for somebody who is not there in these tests: a worker, the next event.
WAITING = {
    "/api/v1/webhooks/{webhook_id}/test",
    "/api/v1/events/sse",
}


def filled(path: str, named: dict[str, str]) -> str:
    """The path with each id that `named` has for the place."""
    found = path
    for place in places(path):
        found = found.replace(place[place.rindex("{") :], named[place])
    return found


def called(
    client: httpx.Client, route: Route, named: dict[str, str], **more: Any
) -> httpx.Response:
    """One route with these ids, and a body that is right if it takes one."""
    method, path, one = route
    body = None if one.body is None else BODIES.get((method, path), {})
    return client.request(method, filled(path, named), json=body, **more)


def needed(kind: type[msgspec.Struct] | None) -> bool:
    """Whether a body has members that must be there."""
    return kind is not None and any(f.required for f in msgspec.structs.fields(kind))


def is_list(one: Operation) -> bool:
    """Whether it answers page by page."""
    return "cursor" in one.query.__struct_fields__


def view(owner: Account, named: dict[str, str]) -> dict[str, Any]:
    """All that a tenant can read: its lists, and each thing of `named`, one by one."""
    seen = {}
    for route in tenants_routes():
        method, path, _ = route
        if method == "GET" and path not in WAITING:
            response = called(owner.client, route, named)
            seen[path] = (response.status_code, _without_times(response.text))
    return seen


def _without_times(text: str) -> str:
    """A key is used by whoever looks, and statistics end now; nobody else changed that."""
    text = re.sub(r'"(since|until|start)":"[^"]*"|"seconds":[0-9.]+', "", text)
    text = re.sub(r'"last_used_at":("[^"]*"|null)', "", text)
    return re.sub(r'"request_id":"[^"]*"', "", text)


def settle(owner: Account, post: Callable[[], None]) -> dict[str, str]:
    """Two of everything for the tenant, posted everywhere; the ids of one of each."""
    one: dict[str, str] = {}
    for _ in range(2):
        one |= {p: make(owner) for p, (make, _) in OWNED.items() if p != DELIVERY}
    for _ in range(2):
        owner.publish()
    post()
    _bury(owner, one["/api/v1/webhooks/{webhook_id}"])
    return one | {DELIVERY: _delivery(owner)}


def _bury(owner: Account, webhook_id: str) -> None:
    """What a webhook is owed is dead by now; it holds, so it is still owed."""
    with owner.server.admin() as admin:
        webhook = [ids.decode("wh", webhook_id)]
        admin.execute(
            "update owed set attempts = 1, held_at = now() where webhook_id = %s",
            webhook,
        )
        admin.execute(
            "update lanes set sent_through = 1000 where webhook_id = %s", webhook
        )

"""Who may do what: every route has a scope, and it is asked before anything else."""

import json
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from api import operation
from api.app import create_app
from api.operation import OPERATOR, Operation
from api.settings import ApiSettings
from domain.tenancy import api_key
from domain.tenancy.api_key import SCOPES
from projections.vault import generate_keys
from tests.integration.http_api.conftest import OPERATOR_KEY, Account

PUBLIC = {
    "/",
    "/docs",
    "/docs/docs.css",
    "/problems/{code}",
    "/openapi.json",
    "/asyncapi.json",
    "/api/v1/events/ws",  # as a page, it only says that it is none
    "/health/live",
    "/health/ready",
    "/health/system",
    "/metrics",  # by the guard only: it asks for the operator's key itself
}


def routes() -> list[tuple[str, str, Operation | None]]:
    settings = ApiSettings(
        database_url="", secret_keys=generate_keys(), operator_key=OPERATOR_KEY
    )
    return [
        (method, route.path_format, operation.of(handler))
        for route in create_app(settings).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    ]


# Litestar keeps them in sets; parallel runs must collect the same tests in one order.
ROUTES = sorted(routes(), key=lambda found: found[:2])


def test_every_route_says_who_may_call_it() -> None:
    assert [path for _, path, one in ROUTES if one is None] == []
    assert {path for _, path, one in ROUTES if one and one.is_public} == PUBLIC
    known = {*SCOPES, OPERATOR}
    asked = {scope for _, _, one in ROUTES if one for scope in one.scopes}
    assert asked == known
    free = [
        path for _, path, one in ROUTES if one and not one.is_public | bool(one.scopes)
    ]
    assert free == ["/api/v1/me"]


CALLS = [
    pytest.param(method, path, one.scopes, id=f"{method} {path}")
    for method, path, one in ROUTES
    if one and not one.is_public
]


def filled(path: str) -> str:
    """A path with ids that name nothing."""
    return path.replace("{", "x").replace("}", "x")


@pytest.mark.parametrize(("method", "path", "scopes"), CALLS)
def test_no_key_no_answer(
    stranger: httpx.Client, method: str, path: str, scopes: tuple[str, ...]
) -> None:
    response = stranger.request(method, filled(path))
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.fixture(scope="session")
def keyring(server: Any, operator: httpx.Client) -> dict[str, str]:
    """For each scope a key that has all others, and one key for each alone."""
    tenant = operator.post("/api/v1/tenants", json={"name": "scopes"}).json()["id"]
    keys = {}
    for scope in SCOPES:
        for name, scopes in (
            (f"only {scope}", [scope]),
            (f"all but {scope}", [one for one in SCOPES if one != scope]),
        ):
            body = {"name": name, "scopes": scopes, "tenant_id": tenant}
            keys[name] = operator.post("/api/v1/keys", json=body).json()["key"]
    return keys


@pytest.mark.parametrize(("method", "path", "scopes"), CALLS)
def test_the_scope_comes_first(
    server: Any,
    operator: httpx.Client,
    keyring: dict[str, str],
    method: str,
    path: str,
    scopes: tuple[str, ...],
) -> None:
    """Whatever the id and the body: without the scope it is 403, with it, it is not."""
    if not scopes:
        return
    for scope in SCOPES:
        for name in (f"only {scope}", f"all but {scope}"):
            owned = {scope} if name.startswith("only") else set(SCOPES) - {scope}
            # Not read to the end unless it is refused: streams have no end.
            with (
                server.client(keyring[name]) as client,
                client.stream(method, filled(path)) as response,
            ):
                refused = response.read() if response.status_code == 403 else b""
            if owned & set(scopes):
                assert response.status_code not in (401, 403), name
            else:
                assert response.status_code == 403, name
                assert json.loads(refused)["code"] == "scope_missing"
    by_operator = operator.request(method, filled(path)).status_code
    assert (by_operator == 403) == (OPERATOR not in scopes)


BAD_KEYS = {
    "none": None,
    "empty": "",
    "no scheme": "{key}",
    "basic": "Basic {key}",
    "short": "Bearer dbk_x",
    "unknown": "Bearer " + api_key.generate(),
    "typo": "Bearer {key}x",
    "latin": b"Bearer \xe9",
    "two": "Bearer {key} {key}",
    "nearly the operator's": f"Bearer {OPERATOR_KEY}x",
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_bad_keys(account: Account, stranger: httpx.Client, name: str) -> None:
    value = BAD_KEYS[name]
    if isinstance(value, str):
        value = value.format(key=account.key).encode()
    headers = [] if value is None else [(b"Authorization", value)]
    response = stranger.get("/api/v1/events", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


def test_the_scheme_has_no_case(account: Account, stranger: httpx.Client) -> None:
    headers = {"Authorization": f"bearer {account.key}"}
    assert stranger.get("/api/v1/events", headers=headers).status_code == 200


def test_a_key_speaks_for_its_own_tenant(
    account: Account, other: Account, operator: httpx.Client
) -> None:
    operator.patch(
        f"/api/v1/tenants/{account.tenant_id}",
        json={"external_id": f"own-{account.tenant_id}"},
    )

    def status(client: httpx.Client, named: str, path: str = "/api/v1/me") -> int:
        return client.get(path, headers={"Daybook-Tenant": named}).status_code

    assert status(account.client, account.tenant_id) == 200
    assert status(account.client, f"own-{account.tenant_id}") == 200
    assert status(account.client, other.tenant_id) == 403
    assert status(account.client, "ten_x") == 403
    assert status(account.client, "") == 403
    assert status(operator, account.tenant_id, "/api/v1/tenants") == 403

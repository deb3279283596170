"""Health: what everybody may know, what the operator sees, when it is not well."""

import httpx
import psycopg
import pytest
from psycopg import sql

from api.settings import ApiSettings
from migrations import runner
from projections.schema_version import SCHEMA_VERSION
from projections.vault import generate_keys
from tests.integration.http_api.conftest import (
    OPERATOR_KEY,
    Account,
    running,
)
from tests.support import postgres
from tests.support.waiting import eventually

READY, SYSTEM = "/health/ready", "/health/system"
AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


def settings(database_url: str) -> ApiSettings:
    return ApiSettings(
        database_url=database_url,
        secret_keys=generate_keys(),
        operator_key=OPERATOR_KEY,
    )


def test_the_code_knows_the_last_migration() -> None:
    assert runner.files()[-1].version == SCHEMA_VERSION


def test_alive_and_ready(stranger: httpx.Client) -> None:
    assert stranger.get("/health/live").json() == {"status": "live"}
    response = stranger.get(READY)
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_figures_are_for_the_operator(account: Account, operator: httpx.Client) -> None:
    assert account.client.get(READY).json() == {"status": "ready"}
    shown = operator.get(READY).json()
    assert {name: one["status"] for name, one in shown["checks"].items()} == {
        "database": "ok",
        "migrations": "ok",
        "memory": "ok",
        "configuration": "ok",
    }
    assert shown["checks"]["memory"]["rss_mb"] > 10
    assert shown["version"]


def test_the_system_moves(database_url: str) -> None:
    with running(settings(database_url)) as url:

        def system() -> httpx.Response:
            return httpx.get(url + SYSTEM, headers=AS_OPERATOR)

        assert system().json()["status"] == "ready"
        tenant = {"name": "demo"}
        httpx.post(f"{url}/api/v1/tenants", json=tenant, headers=AS_OPERATOR)
        behind = {one["name"]: one for one in system().json()["projections"]}
        assert behind["deliveries"]["lag_events"] == 1
        assert behind["deliveries"]["state"] == "running"
        assert system().status_code == 200
        with postgres.connect(database_url) as admin:
            admin.execute(
                "update checkpoints set advanced_at = now() - interval '1 hour'"
            )
        # It has been idle for an hour, and had something to do for a moment only.
        assert system().status_code == 200
        _forget_when(database_url)
        stuck = system()
        assert (stuck.status_code, stuck.json()["status"]) == (503, "behind")
        assert stuck.headers["Retry-After"]
        assert httpx.get(url + SYSTEM).json() == {"status": "behind"}
        assert httpx.get(url + READY).status_code == 200
        with postgres.connect(database_url) as admin:
            admin.execute("update checkpoints set log_position = 1")
        assert system().status_code == 200


def test_a_projection_that_is_held(database_url: str) -> None:
    """Somebody's wish, and an alert all the same: events are accepted and not delivered."""
    with running(settings(database_url)) as url:
        tenant = {"name": "demo"}
        httpx.post(f"{url}/api/v1/tenants", json=tenant, headers=AS_OPERATOR)
        with postgres.connect(database_url) as admin:
            admin.execute(
                "update checkpoints set paused_by = 'operator',"
                " advanced_at = now() - interval '1 hour'"
            )
        _forget_when(database_url)
        shown = httpx.get(url + SYSTEM, headers=AS_OPERATOR)
        ready = httpx.get(url + READY, headers=AS_OPERATOR)
    assert (shown.status_code, shown.json()["status"]) == (503, "behind")
    assert {one["state"] for one in shown.json()["projections"]} == {"paused"}
    assert ready.status_code == 200


@pytest.mark.parametrize("path", [READY, SYSTEM])
def test_a_server_that_became_unsafe(database_url: str, path: str) -> None:
    """Start-up refuses it; one that runs does not serve any more."""
    name = database_url.rpartition("/")[2]
    with postgres.connect(database_url) as admin:
        admin.execute(f"alter database {name} set synchronous_commit = off".encode())
    with running(settings(database_url)) as url:
        response = httpx.get(url + path, headers=AS_OPERATOR)
    assert (response.status_code, response.json()["status"]) == (503, "unready")
    assert response.json()["checks"]["configuration"] == {
        "status": "unsafe",
        "unsafe": ["synchronous_commit"],
    }


def _forget_when(database_url: str) -> None:
    """The waiting event is an hour old now; only a superuser can say so."""
    with postgres.connect(database_url) as admin:
        admin.execute("update events set recorded_at = now() - interval '1 hour'")


@pytest.mark.parametrize("path", [READY, SYSTEM])
def test_a_database_of_an_older_version(database_url: str, path: str) -> None:
    with postgres.connect(database_url) as admin:
        admin.execute(
            "delete from public.schema_migrations where version = %s", (SCHEMA_VERSION,)
        )
    with running(settings(database_url)) as url:
        response = httpx.get(url + path, headers=AS_OPERATOR)
    assert (response.status_code, response.json()["status"]) == (503, "unready")
    assert response.json()["checks"]["migrations"]["status"] == "pending"


def test_the_database_goes_and_comes_back(server_url: str, database_url: str) -> None:
    """Refused with Retry-After meanwhile; nothing has to be restarted."""
    with running(settings(database_url)) as url, httpx.Client(base_url=url) as client:
        client.headers.update(AS_OPERATOR)
        tenant = client.post("/api/v1/tenants", json={"name": "a"}).json()["id"]
        scopes = ["events:write", "events:read"]
        body = {"name": "k", "scopes": scopes, "tenant_id": tenant}
        key = client.post("/api/v1/keys", json=body).json()["key"]
        headers = {"Authorization": f"Bearer {key}"}
        event = {"type": "a", "data": {}}

        def publish() -> httpx.Response:
            return client.post(
                "/api/v1/events", json=event, headers=headers, timeout=20
            )

        before = publish().json()["position"]
        _lock_out(server_url, database_url, out=True)
        for path in (READY, SYSTEM):
            response = client.get(path)
            assert (response.status_code, response.json()["status"]) == (503, "unready")
        for response in (publish(), client.get("/api/v1/tenants")):
            problem = response.json()
            assert (response.status_code, problem["code"]) == (503, "unavailable")
            assert response.headers["Retry-After"] == "1"
            assert client.get("/health/live").status_code == 200
        _lock_out(server_url, database_url, out=False)
        eventually(lambda: client.get(READY).status_code == 200)
        eventually(lambda: publish().status_code == 202)
        page = client.get("/api/v1/events", headers=headers).json()
        positions = [one["position"] for one in page["data"]]
        assert positions == list(range(before, before + len(positions)))


def _lock_out(server_url: str, database_url: str, *, out: bool) -> None:
    name = database_url.rpartition("/")[2]
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("alter database {} allow_connections {}").format(
                sql.Identifier(name), sql.Literal(not out)
            )
        )
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s",
            (name,),
        )

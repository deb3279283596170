"""docker-compose.yml: each service's own command, with its own settings, does its job.

There is no Docker here: the commands run from this environment, with what the file gives
them and nothing else; only the database, the ports and the secrets are the test's.
"""

import json
import os
import re
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from projections.vault import generate_keys
from tests.support.processes import ALL, DAYBOOK, Process
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
EXAMPLE = (ROOT / ".env.example").read_text()

# ${NAME}, ${NAME:-default} and ${NAME:?message}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
_PORT = re.compile(r"\b(8484|8485|9484)\b")


def test_the_services_are_those_that_the_product_needs() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "api", "worker", "receiver"}
    assert set(OURS) == set(SERVICES) - {"postgres"}


def test_no_secret_has_a_default() -> None:
    for name, service in SERVICES.items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY", variable):
                # Without its secrets the receiver does not start.
                wanted = r"\$\{\w+:-\}" if name == "receiver" else r"\$\{\w+:\?[^}]+\}"
                assert re.fullmatch(wanted, value), f"{name}: {variable}"


def test_the_example_names_each_variable_and_no_secret() -> None:
    given = dict(re.findall("^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert set(given) == {m[1] for m in _VARIABLE.finditer(json.dumps(SERVICES))}
    assert {name for name, value in given.items() if value} == {"DAYBOOK_DEVELOPMENT"}


def test_each_service_waits_for_what_it_needs() -> None:
    def conditions(name: str) -> dict[str, str]:
        needed = SERVICES[name]["depends_on"]
        return {other: how["condition"] for other, how in needed.items()}

    assert conditions("migrate") == {"postgres": "service_healthy"}
    assert conditions("api") == {"migrate": "service_completed_successfully"}
    assert conditions("worker") == {"migrate": "service_completed_successfully"}
    assert conditions("receiver") == {"worker": "service_started"}
    long_lived = set(SERVICES) - {"migrate"}
    assert {name for name in SERVICES if "healthcheck" in SERVICES[name]} == long_lived


def test_the_receiver_is_where_the_workers_loopback_leads() -> None:
    assert SERVICES["receiver"]["network_mode"] == "service:worker"
    assert SERVICES["api"]["ports"] == ["127.0.0.1:8484:8484"]


def test_the_database_is_the_postgres_service() -> None:
    for name in ("migrate", "api", "worker"):
        url = SERVICES[name]["environment"]["DAYBOOK_DATABASE_URL"]
        assert url == (
            "postgresql://daybook:${POSTGRES_PASSWORD:?set it in .env}"
            "@postgres:5432/daybook"
        )
    environment = SERVICES["postgres"]["environment"]
    assert environment["POSTGRES_USER"] == environment["POSTGRES_DB"] == "daybook"


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


class Compose:
    """The services as processes on this machine."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self._database_url = database_url
        self._folder = folder
        self._ports = {port: free_port() for port in ("8484", "8485", "9484")}
        self.env = {
            "POSTGRES_PASSWORD": secrets.token_hex(24),
            "DAYBOOK_SECRET_KEYS": generate_keys(),
            "DAYBOOK_OPERATOR_KEY": f"dbo_{secrets.token_hex(32)}",
            "DAYBOOK_DEVELOPMENT": "true",
        }
        self.api_url = f"http://127.0.0.1:{self._ports['8484']}"
        self.receiver_url = f"http://127.0.0.1:{self._ports['8485']}"
        self.processes: dict[str, Process] = {}

    def start(self, name: str) -> Process:
        """Run a service's command with its environment."""
        log = self._folder / f"{name}.log"
        command = self._given(OURS[name]["command"])
        process = Process(command, self._environ(name), log)
        process.start()
        self.processes[name] = process
        return process

    def is_healthy(self, name: str) -> bool:
        """What the service's own health check says; fails when the service has ended."""
        running = self.processes[name].running
        assert running is not None
        assert running.poll() is None, self.logs()
        kind, *command = self._given(OURS[name]["healthcheck"]["test"])
        assert kind == "CMD"
        checked = subprocess.run(
            command, env=self._environ(name), check=False, capture_output=True
        )
        return checked.returncode == 0

    def post(self, key: str, path: str, body: dict[str, Any]) -> Any:
        """What the API answers to this key."""
        response = httpx.post(
            f"{self.api_url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
        )
        assert response.is_success, response.text
        return response.json()

    def arrivals(self) -> list[Any]:
        """What the receiver says has arrived."""
        listed = httpx.get(f"{self.receiver_url}/arrivals", trust_env=False)
        return list(listed.json()["data"])

    def logs(self) -> str:
        """What the processes printed."""
        return "\n".join(p.log.read_text()[-4000:] for p in self.processes.values())

    def _environ(self, name: str) -> dict[str, str]:
        path = f"{DAYBOOK.parent}{os.pathsep}{os.defpath}"
        environ = self._given(OURS[name]["environment"])
        if "DAYBOOK_DATABASE_URL" in environ:
            environ["DAYBOOK_DATABASE_URL"] = self._database_url
        return {"PATH": path, "DAYBOOK_PROJECT": str(self._folder), **environ}

    def _given(self, part: Any) -> Any:
        """A part of the file with its variables filled in, and ports that are free."""
        text = _VARIABLE.sub(self._value, json.dumps(part))
        return json.loads(_PORT.sub(lambda match: self._ports[match[1]], text))

    def _value(self, match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        return self.env.get(name) or (rest if how == "-" else "")


@pytest.fixture
def compose(empty_database_url: str, tmp_path: Path) -> Iterator[Compose]:
    made = Compose(empty_database_url, tmp_path)
    yield made
    for process in made.processes.values():
        process.kill()


def healthy(compose: Compose, name: str) -> Callable[[], bool]:
    return lambda: compose.is_healthy(name)


def make_webhook(compose: Compose) -> tuple[dict[str, Any], str]:
    """A webhook to the receiver, and a key of its tenant."""
    operator = compose.env["DAYBOOK_OPERATOR_KEY"]
    tenant = compose.post(operator, "/tenants", {"name": "t"})
    wanted = {"name": "k", "tenant_id": tenant["id"], "scopes": ALL}
    key = compose.post(operator, "/keys", wanted)["key"]
    wanted = {"url": f"{compose.receiver_url}/hooks/any", "event_types": ["*"]}
    return compose.post(key, "/webhooks", wanted), key


def test_every_service_does_its_job(compose: Compose, empty_database_url: str) -> None:
    migrate = compose.start("migrate").running
    assert migrate is not None
    assert migrate.wait(timeout=60) == 0, compose.logs()

    for name in ("api", "worker"):
        compose.start(name)
    for name in ("api", "worker"):
        eventually(healthy(compose, name), 60)
    with psycopg.connect(empty_database_url) as connection:
        alive = "select 1 from daybook.owners where lease_until > clock_timestamp()"
        assert connection.execute(alive).fetchall() == [(1,)]

    webhook, key = make_webhook(compose)
    compose.env["DAYBOOK_WEBHOOK_SECRETS"] = webhook["secret"]
    compose.start("receiver")
    eventually(healthy(compose, "receiver"), 30)
    event = compose.post(key, "/events", {"type": "a.b", "data": {}})
    [arrival] = eventually(compose.arrivals)

    assert arrival["webhook_id"] == event["id"]
    assert arrival["verified"] is True
    for name in ("receiver", "worker", "api"):
        assert compose.processes[name].stop() == 0, compose.logs()


def test_without_its_secrets_the_receiver_does_not_start(compose: Compose) -> None:
    receiver = compose.start("receiver").running
    assert receiver is not None
    assert receiver.wait(timeout=30) == 2
    assert "--secret" in compose.logs()

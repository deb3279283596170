"""The `daybook` command against a running API: projections, events, tenants and keys."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from tests.integration.http_api.conftest import OPERATOR_KEY, Account, Server
from tests.integration.http_api.test_projections import follow, rebuild
from tests.support.processes import DAYBOOK
from tests.support.waiting import eventually
from workers import cli

Run = Callable[..., Result]


@pytest.fixture
def environ(server: Server, account: Account, tmp_path: Any) -> dict[str, str]:
    """What the command finds around it."""
    return {
        "DAYBOOK_API_URL": server.url,
        "DAYBOOK_API_KEY": account.key,
        "DAYBOOK_OPERATOR_KEY": OPERATOR_KEY,
        "DAYBOOK_DATABASE_URL": server.database_url,
        "DAYBOOK_DATA_DIR": str(tmp_path),
        "COLUMNS": "200",
    }


@pytest.fixture
def quiet() -> Iterator[None]:
    """The API is in this process too: its log is not what a command prints."""
    with capture_logs():
        yield


@pytest.fixture
def daybook(environ: dict[str, str], quiet: None) -> Run:
    """Run a command in this process; its result."""

    def run(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli.main, words, env=environ)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def admin(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """A connection that sees everything; at the end nothing is left of the test."""
    with server.admin() as connection:
        yield connection
        connection.execute("delete from projection_errors")
        connection.execute("delete from rebuilds")
        connection.execute("update checkpoints set error = null, paused_by = null")


def lines(result: Result) -> list[list[str]]:
    return [line.split() for line in result.output.splitlines() if line.strip()]


# Projections.


def test_projections_are_listed(daybook: Run, admin: Any) -> None:
    head, deliveries, streams = lines(daybook("projections", "list"))
    assert head[:4] == ["name", "version", "state", "lag_events"]
    assert deliveries[:3] == ["deliveries", "1", "running"]
    assert streams[:3] == ["streams", "1", "running"]


def test_paused_and_resumed(daybook: Run, admin: Any) -> None:
    assert daybook("projections", "pause", "streams").output == "paused\n"
    assert lines(daybook("projections", "list"))[2][2] == "paused"
    refused = daybook("doctor", code=1).output
    assert "paused by operator" in refused
    assert daybook("projections", "resume", "streams").output == "running\n"
    unknown = daybook("projections", "pause", "nothing", code=1).output
    assert "There is nothing here" in unknown


def test_the_doctor_speaks_to_programs_too(daybook: Run, admin: Any) -> None:
    found = [
        json.loads(line)
        for line in daybook("doctor", "--json", code=1).output.splitlines()
    ]
    named = {each["what"]: each for each in found}
    assert named["schema"]["is_well"] is True
    assert named["workers"]["is_well"] is False
    assert "daybook work" in named["workers"]["detail"]


def test_the_doctor_says_what_keeps_a_projection(daybook: Run, admin: Any) -> None:
    admin.execute("update checkpoints set error = 'ValueError: no'")
    assert "stopped" in daybook("doctor", code=1).output
    admin.execute("update checkpoints set needs = 'version 9'")
    assert "needs newer code" in daybook("doctor", code=1).output
    admin.execute("update checkpoints set needs = null")


def test_errors_are_listed_and_decided_on(
    daybook: Run, server: Server, account: Account, admin: Any
) -> None:
    account.publish(stream="bad/1")
    account.publish(stream="bad/1")
    admin.execute(
        "insert into projection_errors"
        " (name, log_position, tenant_id, stream, state, error)"
        " select 'streams', log_position, tenant_id, stream, 'parked', '[no] reason'"
        " from events where stream = 'bad/1' order by log_position desc limit 2"
    )
    found = lines(daybook("projections", "errors", "streams"))
    assert [row[1] for row in found[1:]] == ["parked", "parked"]
    assert found[1][-2:] == ["[no]", "reason"]
    first, second = (row[0] for row in found[1:])
    assert daybook("projections", "skip", "streams", first).output == "skipped\n"
    assert "tried again" in daybook("projections", "retry", "streams", second).output
    follow(server)
    [_, left] = lines(daybook("projections", "errors", "streams"))
    assert left[:2] == [first, "skipped"]


def test_a_rebuild_is_watched_to_its_end(
    daybook: Run, server: Server, account: Account, admin: Any
) -> None:
    account.publish()
    follow(server)

    def work() -> None:
        query = "select count(*) from rebuilds where state = 'running'"
        eventually(lambda: admin.execute(query).fetchone() == (1,))
        rebuild(server)

    worker = threading.Thread(target=work)
    worker.start()
    output = daybook("projections", "rebuild", "streams").output
    worker.join()
    assert "the new rows are live" in output
    refused = daybook("projections", "rebuild", "deliveries", code=1).output
    assert "a record of what was done" in refused


def test_rebuilds_that_wait_fail_or_are_cancelled(daybook: Run, admin: Any) -> None:
    words = ("projections", "rebuild", "streams")

    def ends_as(state: str) -> None:
        query = "update rebuilds set state = %s, error = 'no', parity = %s"
        parity = json.dumps({"equal": False, "live": [1], "rebuilt": [2]})
        running = f"{query} where state = 'running'"
        eventually(lambda: admin.execute(running, [state, parity]).rowcount)

    for state, code, said in (
        ("ready", 0, "--accept or --cancel"),
        ("failed", 1, "failed: no; the old rows stay"),
    ):
        thread = threading.Thread(target=ends_as, args=[state])
        thread.start()
        assert said in daybook(*words, code=code).output
        thread.join()
        if state == "ready":
            assert daybook(*words, "--cancel").output == "cancelled\n"


def test_ctrl_c_leaves_a_rebuild_running(
    daybook: Run, environ: dict[str, str], admin: Any
) -> None:
    command = [DAYBOOK, "projections", "rebuild", "streams"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        query = "select count(*) from rebuilds where state = 'running'"
        eventually(lambda: admin.execute(query).fetchone() == (1,))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "It goes on without you" in output
    assert lines(daybook("projections", "list"))[2][-2] == "running"
    assert daybook(*command[1:], "--cancel").output == "cancelled\n"


# Events.


def test_tail_shows_what_comes(environ: dict[str, str], account: Account) -> None:
    account.publish("a.before")
    command = [DAYBOOK, "events", "tail", "--type", "a.*"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        read: list[str] = []
        reader = threading.Thread(target=lambda: read.extend(process.stdout or ()))
        reader.start()
        published: list[int] = []

        def first_is_read() -> bool:
            published.append(account.publish("a.b", data={"n": 1})["position"])
            return bool(read)

        eventually(first_is_read)
        account.publish("b.b")
        last = account.publish("a.c", data={"long": "x" * 500})["position"]
        eventually(lambda: any(line.startswith(f"{last} ") for line in read))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        reader.join()
    shown = [line.split() for line in read]
    positions = [int(line[0]) for line in shown]
    assert positions == [*published[published.index(positions[0]) :], last]
    assert shown[0][2] == "a.b" and shown[0][-2:] == ['{"n":', "1}"]
    assert "a.before" not in {line[2] for line in shown}
    assert all(len(line) < 250 for line in read)


def test_tail_from_a_position(environ: dict[str, str], account: Account) -> None:
    made = [account.publish()["position"] for _ in range(3)]
    command = [DAYBOOK, "events", "tail", "--after", str(made[0])]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        found = [int(process.stdout.readline().split()[0]) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert found == made[1:]


def test_get_shows_one_event(daybook: Run, account: Account) -> None:
    made = account.publish("a.b", data={"straße": 1})
    shown = json.loads(daybook("events", "get", made["id"]).output)
    assert (shown["id"], shown["data"], shown["deliveries"]) == (
        made["id"],
        {"straße": 1},
        [],
    )
    assert "nothing" in daybook("events", "get", "evt_absent", code=1).output


def test_stats_count_by_type(daybook: Run, account: Account) -> None:
    assert lines(daybook("events", "stats"))[-1] == ["0", "events"]
    for kind in ("a", "b", "a", "a"):
        account.publish(kind)
    found = lines(daybook("events", "stats"))
    assert found[1:3] == [["a", "3"], ["b", "1"]]
    assert found[3][:2] == ["4", "events"] and found[3][-1].endswith("/s")
    assert lines(daybook("events", "stats", "--last", "2"))[1:2] == [["a", "2"]]


# The rest of what goes over the API.


def test_tenants_and_keys(daybook: Run) -> None:
    tenant = daybook("tenants", "create", "Northside").output.strip()
    assert tenant in daybook("tenants", "list").output
    of_tenant = ("--tenant", tenant)
    key = daybook("keys", "create", "k", *of_tenant, "--scope", "events:read").output
    [_, row] = lines(daybook("keys", "list", *of_tenant))
    assert key.startswith(row[2]) and row[3] == "events:read"
    rotated = daybook("keys", "rotate", row[0], "--overlap", "60").output
    assert rotated != key and rotated.startswith(row[2][:4])
    assert daybook("keys", "revoke", row[0], *of_tenant).output == "revoked\n"


def test_a_key_for_all_tenants_is_asked_for_by_name(daybook: Run) -> None:
    wanted = ("keys", "create", "p", "--scope", "events:read")
    daybook(*wanted, code=2)
    daybook(*wanted, "--platform", "--tenant", "ten_x", code=2)
    key = daybook(*wanted, "--platform", "--days", "7").output
    rows = [row for row in lines(daybook("keys", "list", "--platform")) if "p" in row]
    assert any(key.startswith(row[2]) and "tenants:act" in row for row in rows)


def test_a_tenant_is_set_suspended_and_ended(
    daybook: Run, account: Account, tmp_path: Any
) -> None:
    one = account.tenant_id
    shown = daybook(
        "tenants", "set", one, "--strict-types", "--retention-days", "30",
        "--webhooks", "default", "--external-id", f"x-{one}",
    ).output  # fmt: skip
    assert shown == daybook("tenants", "show", one).output
    members = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert members["settings.strict_types"] == "True"
    assert members["settings.retention_days"] == "30"
    assert members["settings.limits.webhooks"] == "-"
    daybook("tenants", "set", one, "--webhooks", "many", code=2)
    assert daybook("tenants", "suspend", one, "--reason", "x").output == "suspended\n"
    assert daybook("tenants", "resume", one).output == "active\n"
    file = str(tmp_path / "copy.ndjson")
    assert "SHA-256" in daybook("tenants", "export", one, file).output
    assert "Aborted" in daybook("tenants", "offboard", one, file, code=1).output
    daybook("tenants", "export", "x", file, code=2)
    assert members["state"] == "active"


def test_trigger_publishes(daybook: Run, account: Account) -> None:
    daybook("trigger", "x.y", "--data", '{"n":1}', "--stream", "s/1")
    [event] = account.get("/api/v1/events", stream="s/1")["data"]
    assert (event["type"], event["data"]) == ("x.y", {"n": 1})
    assert "not JSON" in daybook("trigger", "x.y", "--data", "{", code=2).output

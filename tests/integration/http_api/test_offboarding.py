"""A tenant's own copy of its data, and its end."""

import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from domain import ids
from tests.integration.http_api.conftest import Account
from tests.support.waiting import eventually
from workers import exporting, offboarding
from workers.exporting import ExportError

ODD = b'{"type":"odd.one","data":{"n":1e2,\n  "m":100.0,\r\n "s":"a\\nb","b":1, "a":2}}'


def one(account: Account) -> UUID:
    return ids.decode("ten", account.tenant_id)


def lines(path: Path, kind: str) -> list[dict[str, Any]]:
    read = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [line for line in read if line["kind"] == kind]


def export(account: Account, path: Path) -> exporting.Exported:
    return exporting.export(account.server.database_url, one(account), path)


def end(account: Account, path: Path) -> exporting.Exported:
    """Without the wait for other processes: there are none."""
    url, told = account.server.database_url, lambda text: None
    return offboarding.offboard(url, one(account), path, told, wait_seconds=0)


def many(account: Account, count: int) -> None:
    events = [{"type": "a.b", "data": {"n": n}} for n in range(count)]
    body = {"events": events}
    assert account.client.post("/api/v1/events/batch", json=body).status_code == 202


def test_all_of_it_is_there(account: Account, other: Account, tmp_path: Path) -> None:
    headers = {"Content-Type": "application/json"}
    account.client.post("/api/v1/events", content=ODD, headers=headers)
    account.publish("with.all", subject="s", metadata={"k": 1}, stream="a/b")
    webhook = account.webhook()
    account.client.put("/api/v1/webhook-events/a.b", json={"description": "d"})
    many(account, 1000)
    many(account, 1000)
    other.publish("not.ours")
    path = tmp_path / "copy.ndjson"
    exported = export(account, path)
    # then: each event as the API shows it
    events = lines(path, "event")
    shown, cursor = [], None
    while cursor or not shown:
        more = {"cursor": cursor} if cursor else {}
        page = account.get("/api/v1/events", type=["*", "daybook.*"], limit=500, **more)
        shown += page["data"]
        cursor = page["next"]
    assert [{**event, "kind": "event"} for event in shown] == events
    assert exported.events == len(events) == events[-1]["position"]
    assert (
        b'"data":{"n":1e2,   "m":100.0,   "s":"a\\nb","b":1, "a":2}'
        in path.read_bytes()
    )
    # and what is set, without what opens anything
    things = {line["thing"]: line["settings"] for line in lines(path, "configuration")}
    assert things["webhook"]["webhook_id"] == webhook["id"]
    assert things["event_type"]["description"] == "d"
    assert things["tenant"]["tenant_id"] == account.tenant_id
    assert things["key"]["key_id"].startswith("key_")
    text = path.read_text()
    assert not any(word in text for word in ("digest", "sealed", "not.ours"))
    # and the end says so
    whole = path.read_bytes()
    before = whole[: whole.rindex(b'{"kind":"end"')]
    [last] = lines(path, "end")
    assert last["sha256"] == hashlib.sha256(before).hexdigest()
    assert last["events"] == exported.events
    assert exported.sha256 == hashlib.sha256(whole).hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_that_was_cut_off_goes_on(account: Account, tmp_path: Path) -> None:
    many(account, 20)
    whole = tmp_path / "whole.ndjson"
    export(account, whole)
    content = whole.read_bytes()
    path = tmp_path / "cut.ndjson"
    places = [0, 1, 40, *range(100, len(content), 531), len(content) - 1, len(content)]
    for place in places:
        path.write_bytes(content[:place])
        assert export(account, path).events == 22
        for kind in ("export", "event", "configuration"):
            assert lines(path, kind) == lines(whole, kind)
        assert len(lines(path, "end")) == 1


def test_one_that_was_finished_goes_on(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "copy.ndjson"
    first = export(account, path)
    account.publish("late.one")
    account.webhook()
    second = export(account, path)
    assert second.events == first.events + 2
    assert [line["type"] for line in lines(path, "event")][-2] == "late.one"
    things = [line["thing"] for line in lines(path, "configuration")]
    assert things.count("webhook") == things.count("tenant") == 1


@pytest.mark.parametrize("content", [b"notes\n", b'{"kind":"export","version":1}\n'])
def test_a_file_of_something_else_is_left_alone(
    account: Account, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="something else"):
        export(account, path)
    assert path.read_bytes() == content


def test_anothers_export_is_something_else(
    account: Account, other: Account, tmp_path: Path
) -> None:
    path = tmp_path / "copy.ndjson"
    export(account, path)
    content = path.read_bytes()
    with pytest.raises(ExportError, match="something else"):
        export(other, path)
    assert path.read_bytes() == content


def test_a_hole_in_the_file_is_seen(account: Account, tmp_path: Path) -> None:
    many(account, 3)
    path = tmp_path / "copy.ndjson"
    export(account, path)
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(content[:2] + content[3:]))
    with pytest.raises(ExportError, match="position 2 is missing"):
        export(account, path)


def test_an_absent_tenant_leaves_no_file(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "copy.ndjson"
    with pytest.raises(ExportError, match="no such tenant"):
        exporting.export(account.server.database_url, ids.new(), path)
    assert not path.exists()


def test_a_tenant_ends(
    account: Account,
    other: Account,
    operator: httpx.Client,
    hand_off: Callable[[], None],
    tmp_path: Path,
) -> None:
    account.webhook()
    account.publish()
    other.publish()
    hand_off()
    path = tmp_path / "copy.ndjson"
    exported = end(account, path)
    # then: its keys are no keys (the API is another process, and remembers for a second),
    # and what it was owed is cancelled
    eventually(lambda: account.client.get("/api/v1/me").status_code == 401)
    place = f"/api/v1/tenants/{account.tenant_id}"
    assert operator.get(place).json()["state"] == "offboarded"
    with account.server.admin() as admin:
        states = admin.execute(
            "select distinct state from deliveries where tenant_id = %s", [one(account)]
        ).fetchall()
    assert states == [("cancelled",)]
    # and the copy has its end, too
    types = [line["type"] for line in lines(path, "event")]
    assert types[-4:] == [
        "daybook.tenant.suspended",
        "daybook.webhook.deleted",
        "daybook.key.revoked",
        "daybook.tenant.offboarded",
    ]
    assert exported.events == len(types)
    # and it is for good, however often it is said; the neighbour goes on
    assert end(account, path).events == exported.events
    resumed = operator.post(f"{place}/resume")
    assert (resumed.status_code, resumed.json()["code"]) == (422, "invalid")
    key = {"name": "k", "scopes": ["events:read"], "tenant_id": account.tenant_id}
    [fault] = operator.post("/api/v1/keys", json=key).json()["errors"]
    assert (fault["pointer"], fault["detail"]) == (
        "#/tenant_id",
        "it was offboarded, for good",
    )
    other.publish()


def test_a_platform_key_does_not_find_one_that_has_ended(
    account: Account, operator: httpx.Client, tmp_path: Path
) -> None:
    body = {"name": "p", "scopes": ["tenants:act", "events:read"]}
    key = operator.post("/api/v1/keys", json=body).json()["key"]
    end(account, tmp_path / "copy.ndjson")
    headers = {"Daybook-Tenant": account.tenant_id}
    with account.server.client(key) as client:
        answer = client.get("/api/v1/events", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_one_that_was_cut_off_in_between_is_repeated(
    account: Account, operator: httpx.Client, tmp_path: Path
) -> None:
    account.webhook()
    operator.post(f"/api/v1/tenants/{account.tenant_id}/suspend")
    path = tmp_path / "copy.ndjson"
    end(account, path)
    types = [line["type"] for line in lines(path, "event")]
    assert types.count("daybook.tenant.suspended") == 1
    again = end(account, path)
    assert again.events == len(types)

"""Streams, and everything as it was: at a position, at a time, after a restore."""

import itertools
import urllib.parse
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.http_api.conftest import Account, Server
from tests.integration.http_api.test_projections import follow

STREAMS, EVENTS = "/api/v1/streams", "/api/v1/events"
Follow = Callable[[], None]


@pytest.fixture
def up_to_date(server: Server) -> Follow:
    """Let the read model read what has been published."""
    return lambda: follow(server)


@pytest.fixture
def published(account: Account, up_to_date: Follow) -> list[dict[str, Any]]:
    """Twelve events of three streams, and of one that is made of punctuation."""
    streams = itertools.cycle(["site/1", "site/10", "Site/2", "a~b:c@d+e=f-g.h"])
    made = [account.publish(stream=next(streams)) for _ in range(12)]
    up_to_date()
    return made


def names(page: dict[str, Any]) -> list[str]:
    return [stream["stream"] for stream in page["data"]]


def state(made: list[dict[str, Any]], stream: str, position: int) -> tuple[int, int]:
    """The stream's version and position then, by looking at every event."""
    seen = [e for e in made if e["stream"] == stream and e["position"] <= position]
    return len(seen), max(e["position"] for e in seen)


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


ALL = ["Site/2", "a~b:c@d+e=f-g.h", "site/1", "site/10"]


# The list.


def test_streams_by_name(account: Account, published: list[dict[str, Any]]) -> None:
    page = account.get(STREAMS)
    assert names(page) == ALL
    for stream in page["data"]:
        version, position = state(published, stream["stream"], 10**9)
        assert (stream["version"], stream["position"]) == (version, position)
        [last] = [e for e in published if e["position"] == position]
        assert stream["updated_at"] == last["recorded_at"]


@pytest.mark.parametrize("as_of", [False, True])
@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ALL),
        ("site/1", ["site/1", "site/10"]),
        ("site/10", ["site/10"]),
        ("s", ["site/1", "site/10"]),
        ("a~b:c@d+e=f-", ["a~b:c@d+e=f-g.h"]),
        ("site/2", []),
    ],
)
def test_a_prefix(
    account: Account,
    published: list[dict[str, Any]],
    prefix: str,
    found: list[str],
    as_of: bool,
) -> None:
    params = {"as_of": published[-1]["position"]} if as_of else {}
    assert names(account.get(STREAMS, prefix=prefix, **params)) == found


@pytest.mark.parametrize("as_of", [False, True])
def test_pages_and_back(
    account: Account, published: list[dict[str, Any]], as_of: bool
) -> None:
    given = {"as_of": published[-1]["position"]} if as_of else {}
    params: dict[str, Any] = {"limit": 3} | given
    first = account.get(STREAMS, **params)
    second = account.get(STREAMS, **params, cursor=first["next"])
    back = account.get(STREAMS, **params, cursor=second["prev"])
    assert (names(first), names(second)) == (ALL[:3], ALL[3:])
    assert back["data"] == first["data"]
    assert (second["next"], back["prev"]) == (None, None)


def test_daybooks_own_streams_must_be_asked_for(
    account: Account, up_to_date: Follow
) -> None:
    account.webhook()
    account.publish(stream="mine")
    up_to_date()
    assert names(account.get(STREAMS)) == ["mine"]
    ours = names(account.get(STREAMS, prefix="$"))
    assert ours and all(name.startswith("$") for name in ours)
    page = account.get(f"{STREAMS}/{ours[-1]}")
    assert page["stream"] == ours[-1]
    assert all(event["type"].startswith("daybook.") for event in page["data"])


# The list as it was.


def test_streams_at_every_position(
    account: Account, published: list[dict[str, Any]]
) -> None:
    for event in published:
        position = event["position"]
        page = account.get(STREAMS, as_of=position)
        begun = {e["stream"] for e in published if e["position"] <= position}
        assert names(page) == [name for name in ALL if name in begun]
        for stream in page["data"]:
            assert (stream["version"], stream["position"]) == state(
                published, stream["stream"], position
            )
    assert account.get(STREAMS, as_of=0)["data"] == []


def test_the_past_needs_no_read_model(account: Account, up_to_date: Follow) -> None:
    """What the model has not read yet is in it all the same, and once."""
    account.publish(stream="b")
    account.publish(stream="d")
    up_to_date()
    for stream in ("a", "b", "c", "e"):
        last = account.publish(stream=stream)
    assert names(account.get(STREAMS)) == ["b", "d"]
    assert names(account.get(STREAMS, as_of=last["position"])) == list("abcde")
    assert names(account.get(STREAMS, as_of=last["position"] - 1)) == list("abcd")
    first = account.get(STREAMS, as_of=last["position"], limit=2)
    params = {"as_of": last["position"], "limit": 2, "cursor": first["next"]}
    assert names(account.get(STREAMS, **params)) == ["c", "d"]
    [b] = account.get(STREAMS, as_of=last["position"], prefix="b")["data"]
    assert b["version"] == 2


def test_streams_at_a_time(account: Account, published: list[dict[str, Any]]) -> None:
    moment = published[1]["recorded_at"]
    assert names(account.get(STREAMS, as_of=moment)) == ["site/1", "site/10"]
    before = datetime.fromisoformat(moment) - timedelta(microseconds=1)
    assert names(account.get(STREAMS, as_of=before.isoformat())) == ["site/1"]
    assert names(account.get(STREAMS, as_of="2999-01-01T00:00:00+02:00")) == ALL
    assert account.get(STREAMS, as_of="1999-01-01T00:00:00Z")["data"] == []


# One stream.


def test_a_stream_with_its_events(
    account: Account, published: list[dict[str, Any]]
) -> None:
    for name in ALL:
        mine = [e for e in published if e["stream"] == name]
        for path in (name, urllib.parse.quote(name, safe="")):
            page = account.get(f"{STREAMS}/{path}")
            assert (page["stream"], page["version"]) == (name, 3)
            assert [e["id"] for e in page["data"]] == [e["id"] for e in mine]
            assert page["position"] >= published[-1]["position"]
    listed = account.get(EVENTS, stream="site/1")
    assert account.get(f"{STREAMS}/site/1")["data"] == listed["data"]


def test_a_streams_pages(account: Account) -> None:
    made = [account.publish(stream="long")["position"] for _ in range(7)]
    account.publish(stream="other")
    pages = [account.get(f"{STREAMS}/long", limit=3)]
    while pages[-1]["next"]:
        cursor = pages[-1]["next"]
        pages.append(account.get(f"{STREAMS}/long", limit=3, cursor=cursor))
    found = [[event["position"] for event in page["data"]] for page in pages]
    assert found == [made[:3], made[3:6], made[6:]]
    assert [page["version"] for page in pages] == [7, 7, 7]
    assert [page["position"] for page in pages] == [made[2], made[5], made[6] + 1]
    back = account.get(f"{STREAMS}/long", limit=3, cursor=pages[-1]["prev"])
    assert back["data"] == pages[1]["data"]


def test_a_stream_as_it_was(account: Account, published: list[dict[str, Any]]) -> None:
    for event in published[3:]:
        for as_of in (event["position"], event["recorded_at"]):
            page = account.get(f"{STREAMS}/site/1", as_of=as_of)
            version, position = state(published, "site/1", event["position"])
            assert page["version"] == len(page["data"]) == version
            assert page["data"][-1]["position"] == position
            assert page["position"] == event["position"]
    assert refusal(account.client.get(f"{STREAMS}/site/1?as_of=0")) == (
        404,
        "not_found",
    )


@pytest.mark.parametrize(
    "path",
    ["nothing", "a//b", "site/%2E/1", "a/%2E%2E/site/1", "a%00b", "%C3%A9", "$", "$$a"],
)
def test_streams_that_are_not_there(
    account: Account, published: list[dict[str, Any]], path: str
) -> None:
    # As it stands: httpx would tidy the path up.
    url = httpx.URL(account.client.base_url, raw_path=f"{STREAMS}/{path}".encode())
    response = account.client.get(url)
    assert refusal(response) == (404, "not_found")


def test_another_tenants_stream_is_absent(
    account: Account, other: Account, published: list[dict[str, Any]]
) -> None:
    assert refusal(other.client.get(f"{STREAMS}/site/1")) == (404, "not_found")
    assert other.get(STREAMS)["data"] == []
    assert other.get(STREAMS, as_of="2999-01-01T00:00:00Z")["data"] == []


# Events as they were.


def test_events_as_of_a_position_or_a_time(
    account: Account, published: list[dict[str, Any]]
) -> None:
    p = [event["position"] for event in published]

    def found(**params: Any) -> list[int]:
        page = account.get(EVENTS, **params)
        return [event["position"] for event in page["data"]]

    assert found(as_of=p[4]) == p[:5]
    assert found(as_of=published[4]["recorded_at"]) == p[:5]
    assert found(as_of=p[4], order="desc", limit=2) == [p[4], p[3]]
    assert found(as_of=p[4], stream="site/1") == [p[0], p[4]]
    assert found(as_of=p[4], after=p[2]) == p[3:5]
    assert found(as_of=p[4], before=p[2]) == p[:2]
    assert found(as_of=p[4], after=p[6]) == []
    assert found(as_of=0) == []
    assert account.get(EVENTS, as_of=p[4])["position"] == p[4]
    first = account.get(EVENTS, as_of=p[4], limit=3)
    assert found(as_of=p[4], limit=3, cursor=first["next"]) == p[3:5]
    wrong = {"as_of": p[5], "limit": 3, "cursor": first["next"]}
    response = account.client.get(EVENTS, params=wrong)
    assert refusal(response) == (400, "cursor_invalid")


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "a local time": (EVENTS, {"as_of": "2026-01-01T00:00:00"}, "as_of"),
    "a word": (EVENTS, {"as_of": "now"}, "as_of"),
    "nothing": (STREAMS, {"as_of": ""}, "as_of"),
    "too far": (STREAMS, {"as_of": 2**53}, "as_of"),
    "far too far": (f"{STREAMS}/a", {"as_of": "9" * 400}, "as_of"),
    "below": (f"{STREAMS}/a", {"as_of": -1}, "as_of"),
    "other digits": (EVENTS, {"as_of": "٣"}, "as_of"),
    "early": (EVENTS, {"as_of": "0001-01-01T00:00:00+10:00"}, "as_of"),
    "a star": (STREAMS, {"prefix": "a*"}, "prefix"),
    "an empty segment": (STREAMS, {"prefix": "a//"}, "prefix"),
    "long": (STREAMS, {"prefix": "a" * 300}, "prefix"),
    "nul": (STREAMS, {"prefix": "a\x00"}, "prefix"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters(account: Account, name: str) -> None:
    path, params, parameter = BAD[name]
    response = account.client.get(path, params=params)
    assert refusal(response) == (422, "invalid")
    assert [e["parameter"] for e in response.json()["errors"]] == [parameter]


@pytest.mark.parametrize("path", [EVENTS, STREAMS, f"{STREAMS}/site/1"])
def test_a_position_still_to_come(
    account: Account, published: list[dict[str, Any]], path: str
) -> None:
    response = account.client.get(path, params={"as_of": 10**9})
    assert refusal(response) == (409, "log_rewound")


# After a restore.


@pytest.mark.parametrize("path", [EVENTS, f"{STREAMS}/site/1"])
def test_a_cursor_of_the_log_before_a_restore(
    server: Server, account: Account, published: list[dict[str, Any]], path: str
) -> None:
    cursor = account.get(path, limit=1)["next"]
    with server.admin() as admin:
        [(before,)] = admin.execute("select id from log_incarnation").fetchall()
        change = "update log_incarnation set id = %s"
        admin.execute(change, [uuid.uuid4()])
        response = account.client.get(path, params={"limit": 1, "cursor": cursor})
        fresh = account.get(path, limit=1)["next"]
        assert account.get(path, limit=1, cursor=fresh)["data"]
        admin.execute(change, [before])
    assert refusal(response) == (409, "log_rewound")
    assert account.get(path, limit=1, cursor=cursor)["data"]


def test_names_stay_names_after_a_restore(
    server: Server, account: Account, published: list[dict[str, Any]]
) -> None:
    cursor = account.get(STREAMS, limit=1)["next"]
    with server.admin() as admin:
        [(before,)] = admin.execute("select id from log_incarnation").fetchall()
        admin.execute("update log_incarnation set id = %s", [uuid.uuid4()])
        assert names(account.get(STREAMS, limit=1, cursor=cursor)) == ALL[1:2]
        admin.execute("update log_incarnation set id = %s", [before])

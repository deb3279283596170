"""Lists of events: filters, order, cursors in both directions, while data arrives."""

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.http_api.conftest import Account

EVENTS = "/api/v1/events"
OURS = "daybook.*"


def pages(account: Account, **params: Any) -> Iterator[dict[str, Any]]:
    """All pages of a list, by `next`."""
    page = account.get(EVENTS, **params)
    yield page
    while page["next"]:
        page = account.get(EVENTS, **params | {"cursor": page["next"]})
        yield page


def positions(page: dict[str, Any]) -> list[int]:
    return [event["position"] for event in page["data"]]


@pytest.fixture
def events(account: Account) -> list[dict[str, Any]]:
    """Twenty of a.b, a.c, a.c.d, b, each in one of two streams."""
    types = itertools.cycle(["a.b", "a.c", "a.c.d", "b"])
    batch = [
        {"type": next(types), "data": {"n": n}, "stream": f"s/{n % 2}"}
        for n in range(20)
    ]
    answer = account.client.post("/api/v1/events/batch", json={"events": batch})
    published: list[dict[str, Any]] = answer.json()["events"]
    return published


def test_all_in_log_order(account: Account, events: list[dict[str, Any]]) -> None:
    page = account.get(EVENTS)
    assert positions(page) == [event["position"] for event in events]
    assert (page["next"], page["prev"]) == (None, None)
    assert page["position"] == events[-1]["position"]
    assert "deliveries" not in page["data"][0]


def test_newest_first(account: Account, events: list[dict[str, Any]]) -> None:
    found = list(pages(account, order="desc", limit=7))
    assert [len(page["data"]) for page in found] == [7, 7, 6]
    newest_first = [event["position"] for event in reversed(events)]
    assert [p for page in found for p in positions(page)] == newest_first
    assert found[0]["position"] == events[-1]["position"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_back_by_prev(
    account: Account, events: list[dict[str, Any]], order: str
) -> None:
    forwards = list(pages(account, order=order, limit=6))
    page = forwards[-1]
    for expected in reversed(forwards[:-1]):
        page = account.get(EVENTS, order=order, limit=6, cursor=page["prev"])
        assert page["data"] == expected["data"]
    assert page["prev"] is None


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_are_stable_while_events_arrive(account: Account, order: str) -> None:
    first = [account.publish()["position"] for _ in range(6)]
    seen: list[int] = []
    page = account.get(EVENTS, order=order, limit=2)
    while True:
        seen += positions(page)
        account.publish()
        if len(seen) >= 6 or not page["next"]:
            break
        page = account.get(EVENTS, order=order, limit=2, cursor=page["next"])
    assert seen[:6] == (first if order == "asc" else first[::-1])


def test_position_is_where_to_go_on(account: Account) -> None:
    """Polled by `after`, every event is seen once, whatever the filter."""
    seen: list[int] = []
    after = 0
    wanted = []
    for n in range(30):
        published = account.publish("yes" if n % 3 else "no")["position"]
        wanted += [published] if n % 3 else []
        page = account.get(EVENTS, type="yes", after=after, limit=2)
        assert page["position"] >= after
        after = page["position"]
        seen += positions(page)
    assert seen == wanted


def test_an_empty_log(account: Account) -> None:
    page = account.get(EVENTS)
    assert (page["data"], page["next"], page["prev"]) == ([], None, None)


FILTERS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "a type": ({"type": "a.c"}, [1, 5, 9, 13, 17]),
    "a prefix": ({"type": "a.c.*"}, [2, 6, 10, 14, 18]),
    "everything under": ({"type": "a.*", "limit": 4}, [0, 1, 2, 4]),
    "two": ({"type": ["b", "a.b"], "limit": 4}, [0, 3, 4, 7]),
    "everything": ({"type": "*", "limit": 3}, [0, 1, 2]),
    "no such": ({"type": "c"}, []),
    "half a word": ({"type": "a.c.d.*"}, []),
    "a stream": ({"stream": "s/1", "limit": 3}, [1, 3, 5]),
    "streams": ({"stream": "s/*", "limit": 3}, [0, 1, 2]),
    "no such stream": ({"stream": "s"}, []),
    "both": ({"type": "a.c", "stream": "s/1", "limit": 2}, [1, 5]),
    "neither": ({"type": "a.c", "stream": "s/0"}, []),
    "newest": ({"type": "a.c", "order": "desc", "limit": 2}, [17, 13]),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(account: Account, events: list[dict[str, Any]], name: str) -> None:
    params, expected = FILTERS[name]
    page = account.get(EVENTS, **params)
    assert [event["data"]["n"] for event in page["data"]] == expected


def test_between_positions(account: Account, events: list[dict[str, Any]]) -> None:
    p = [event["position"] for event in events]
    assert positions(account.get(EVENTS, after=p[3], before=p[6])) == p[4:6]
    assert positions(account.get(EVENTS, after=p[3], before=p[4])) == []
    assert positions(account.get(EVENTS, after=p[6], before=p[3])) == []
    assert positions(account.get(EVENTS, before=p[1])) == p[:1]
    assert account.get(EVENTS, before=p[6])["position"] == p[5]
    assert account.get(EVENTS, after=p[-1])["position"] == p[-1]
    assert positions(account.get(EVENTS, before=10**15)) == p


def test_between_times(account: Account) -> None:
    published = [account.publish() for _ in range(8)]
    times = [one["recorded_at"] for one in published]
    p = [one["position"] for one in published]
    assert positions(account.get(EVENTS, since=times[3])) == p[3:]
    assert positions(account.get(EVENTS, until=times[3])) == p[:3]
    assert positions(account.get(EVENTS, since=times[2], until=times[5])) == p[2:5]
    assert positions(account.get(EVENTS, since="1999-01-01T00:00:00+05:30")) == p
    assert positions(account.get(EVENTS, since="2999-01-01T00:00:00Z")) == []
    assert account.get(EVENTS, until="1999-01-01T00:00:00Z")["data"] == []
    late = datetime.fromisoformat(times[-1]) + timedelta(microseconds=1)
    assert positions(account.get(EVENTS, since=late.isoformat())) == []


def test_a_subject(account: Account) -> None:
    wanted = [account.publish(subject="worker/1")["position"] for _ in range(2)]
    account.publish(subject="worker/2")
    account.publish()
    assert positions(account.get(EVENTS, subject="worker/1")) == wanted


def test_ours_must_be_asked_for(account: Account) -> None:
    account.publish()
    account.webhook()
    assert [event["type"] for event in account.get(EVENTS)["data"]] == ["a.b"]
    [event] = account.get(EVENTS, type="daybook.webhook.*")["data"]
    assert event["type"] == "daybook.webhook.created"
    assert event["data"]["settings"]["url"] == "https://example.com/hook"
    assert event["actor"]["type"] == "key"
    everything = account.get(EVENTS, type=["*", OURS])
    assert positions(everything) == list(range(1, everything["position"] + 1))


def test_many_types_are_walked_in_one_pass(account: Account) -> None:
    """Beyond a hundred types the list is found another way; it is the same list."""
    batch = [{"type": f"many.t{n:03}", "data": {}} for n in range(150)]
    account.client.post("/api/v1/events/batch", json={"events": batch})
    account.publish("other")
    found = list(pages(account, type="many.*", limit=100))
    assert [len(page["data"]) for page in found] == [100, 50]


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "limit 0": ({"limit": 0}, "limit", "invalid"),
    "limit 501": ({"limit": 501}, "limit", "invalid"),
    "limit text": ({"limit": "many"}, "limit", "invalid"),
    "limit float": ({"limit": "1.5"}, "limit", "invalid"),
    "limit exponent": ({"limit": "1e2"}, "limit", "invalid"),
    "after null": ({"after": "null"}, "after", "invalid"),
    "since a number": ({"since": "0.5"}, "since", "invalid"),
    "since null": ({"since": "null"}, "since", "invalid"),
    "limit twice": ({"limit": [1, 2]}, "limit", "invalid"),
    "limit empty": ({"limit": ""}, "limit", "invalid"),
    "after negative": ({"after": -1}, "after", "invalid"),
    "after huge": ({"after": 2**53}, "after", "invalid"),
    "before text": ({"before": "now"}, "before", "invalid"),
    "order": ({"order": "up"}, "order", "invalid"),
    "since local": ({"since": "2026-01-01T00:00:00"}, "since", "invalid"),
    "since early": ({"since": "0001-01-01T00:00:00+10:00"}, "since", "invalid"),
    "until text": ({"until": "tomorrow"}, "until", "invalid"),
    "type": ({"type": "a*"}, "type", "pattern_invalid"),
    "type empty": ({"type": ""}, "type", "pattern_invalid"),
    "type nul": ({"type": "a\x00"}, "type", "pattern_invalid"),
    "types": ({"type": ["a"] * 101}, "type", "pattern_invalid"),
    "stream": ({"stream": "*a"}, "stream", "pattern_invalid"),
    "subject": ({"subject": "\x00"}, "subject", "invalid"),
    "unknown": ({"types": "a"}, "types", "unknown_field"),
    "not built": ({"at_least": 1}, "at_least", "unknown_field"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters(account: Account, name: str) -> None:
    params, parameter, code = BAD[name]
    response = account.client.get(EVENTS, params=params)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, code)
    [error] = problem["errors"]
    assert (error["parameter"], error["code"]) == (parameter, code)


def test_a_place_beyond_the_log(account: Account) -> None:
    account.publish()
    response = account.client.get(EVENTS, params={"after": 1000})
    assert (response.status_code, response.json()["code"]) == (409, "log_rewound")


def test_cursors_are_for_one_list_of_one_tenant(
    account: Account, other: Account
) -> None:
    for _ in range(3):
        account.publish()
    cursor = account.get(EVENTS, type="a.*", limit=1)["next"]
    assert account.get(EVENTS, type="a.*", limit=2, cursor=cursor)["data"]
    wrong: list[tuple[Account, str, dict[str, Any]]] = [
        (account, EVENTS, {"cursor": cursor}),
        (account, EVENTS, {"cursor": cursor, "type": "b.*"}),
        (account, EVENTS, {"cursor": cursor, "type": "a.*", "order": "desc"}),
        (account, "/api/v1/webhooks", {"cursor": cursor}),
        (other, EVENTS, {"cursor": cursor, "type": "a.*"}),
        (account, EVENTS, {"cursor": cursor[:-1], "type": "a.*"}),
        (account, EVENTS, {"cursor": cursor[2:], "type": "a.*"}),
        (account, EVENTS, {"cursor": "", "type": "a.*"}),
        (account, EVENTS, {"cursor": "c_", "type": "a.*"}),
        (account, EVENTS, {"cursor": "c_ü", "type": "a.*"}),
    ]
    for whose, path, params in wrong:
        response = whose.client.get(path, params=params)
        assert (response.status_code, response.json()["code"]) == (
            400,
            "cursor_invalid",
        ), params


@pytest.mark.parametrize(
    "event_id", ["evt_00000000000000000000000000", "short", "with.dots.in", "%00%00"]
)
def test_absent_events(account: Account, event_id: str) -> None:
    response = account.client.get(f"{EVENTS}/{event_id}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_another_tenants_event_is_absent(account: Account, other: Account) -> None:
    theirs = account.client.get(f"{EVENTS}/{other.publish()['id']}")
    absent = account.client.get(f"{EVENTS}/evt_00000000000000000000000000")
    ignored = {"instance", "request_id"}
    assert theirs.status_code == absent.status_code == 404
    assert {k: v for k, v in theirs.json().items() if k not in ignored} == {
        k: v for k, v in absent.json().items() if k not in ignored
    }
    assert account.get(EVENTS)["data"] == []

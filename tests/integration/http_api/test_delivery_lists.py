"""Lists of deliveries, against a fold of all: each filter, and two together."""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.rows import namedtuple_row

from domain import ids, patterns
from projections.webhooks import delivery_pages
from tests.integration.http_api.conftest import Account
from tests.integration.http_api.test_deliveries import HandOff, Worker

PATH = "/api/v1/webhook-deliveries"
TYPES = ("a.b", "a.c", "b.c")
EVERY = """
    select * from deliveries where tenant_id = %(tenant)s
    order by position desc, replay desc, webhook_id desc
"""
# What a worker leaves behind, of two replays too: a mixture of all there is.
FINISH = """
    with gone as (
        delete from owed
        where tenant_id = %(tenant)s and webhook_id = %(one)s and replay = %(replay)s
            and position = any(%(positions)s) returning *)
    insert into results (
        tenant_id, position, webhook_id, replay, recorded_at, sequence, webhook_version,
        state, attempts, status_code, finished_at)
    select tenant_id, position, webhook_id, replay, recorded_at, sequence,
        webhook_version, %(state)s, 1, %(status)s, clock_timestamp()
    from gone"""
WAIT = """
    update owed set attempts = %(attempts)s, next_attempt_at = %(next)s,
        held_at = case when %(held)s then now() end, status_code = %(status)s
    where tenant_id = %(tenant)s and webhook_id = %(one)s and replay = %(replay)s
        and position = any(%(positions)s)"""
REPLAY = """
    insert into owed (
        tenant_id, webhook_id, replay, position, recorded_at, webhook_version, trigger)
    select e.tenant_id, %(one)s, %(replay)s, e.position, e.recorded_at, 1, 'replay'
    from events e where e.tenant_id = %(tenant)s and e.type <> 'daybook.webhook.created'
        and e.type not like 'daybook.%%' and e.position <= %(last)s"""


class Mixture:
    """Three webhooks, thirty events, two replays, and deliveries in every state."""

    def __init__(self, account: Account, hand_off: HandOff) -> None:
        self.account = account
        self.events = []
        self.replays = []
        self.webhooks = [account.webhook(name=str(n)) for n in range(3)]
        self.worker = Worker(account, self.webhooks[0])
        for n in range(20):
            self.events.append(account.publish(TYPES[n % 3]))
        hand_off()
        self._replay(0)
        for n in range(10):
            self.events.append(account.publish(TYPES[n % 3]))
        hand_off()
        self._replay(1)
        self._mix()
        with account.server.admin() as admin, admin.cursor() as cursor:
            cursor.row_factory = namedtuple_row
            self.all: list[Any] = cursor.execute(EVERY, self.worker.params).fetchall()

    def _replay(self, n: int) -> None:
        path = f"/api/v1/webhooks/{self.webhooks[n]['id']}/replay"
        made = self.account.client.post(path, json={"from": "beginning"})
        self.replays.append(made.json())
        last = self.events[-5]["position"]
        self.worker.run(REPLAY, one=self._id(n), replay=1, last=last)

    def _id(self, n: int) -> Any:
        return ids.decode("wh", self.webhooks[n]["id"])

    def _mix(self) -> None:
        chance = random.Random(7)
        positions = [event["position"] for event in self.events]
        for n, replay in ((0, 0), (1, 0), (0, 1), (1, 1)):
            mixed = chance.sample(positions, len(positions))
            for count, state, status in (
                (6, "succeeded", 200),
                (3, "dead", 503),
                (2, "dead", None),
                (2, "cancelled", None),
            ):
                chosen, mixed = mixed[:count], mixed[count:]
                self._set(FINISH, n, replay, chosen, state=state, status=status)
            for count, attempts, held, status in (
                (3, 1, False, 503),
                (2, 2, True, 500),
                (2, 1, False, None),
            ):
                begun = [each for each in mixed if each <= positions[24]]
                chosen = begun[:count]
                mixed = [each for each in mixed if each not in chosen]
                self._set(
                    WAIT,
                    n,
                    replay,
                    chosen,
                    attempts=attempts,
                    held=held,
                    status=status,
                    next="2099-01-01" if status == 503 else None,
                )
        self.worker.run(SENT, last=positions[24])

    def _set(
        self, statement: str, n: int, replay: int, positions: list[int], **more: Any
    ) -> None:
        self.worker.run(
            statement, one=self._id(n), replay=replay, positions=positions, **more
        )

    def expected(self, filters: dict[str, Any]) -> list[str]:
        """The ids of those that pass all filters, in the list's order."""
        return [
            ids.delivery(ids.DeliveryKey(row.position, row.number, row.replay))
            for row in self.all
            if all(PASSES[name](row, value) for name, value in filters.items())
        ]

    def choices(self) -> Iterator[tuple[str, Any]]:
        """Filters to try, several of each kind."""
        for n in range(3):
            yield "webhook_id", self.webhooks[n]["id"]
        for state in (
            "pending",
            "sending",
            "succeeded",
            "retrying",
            "dead",
            "cancelled",
        ):
            yield "state", [state]
        yield "state", ["dead", "retrying"]
        yield "state", ["pending", "succeeded"]
        for status in (200, 500, 503, 418):
            yield "status_code", status
        for types in (["a.*"], ["b.c"], ["a.b", "b.*"], ["x.y"], ["*"]):
            yield "type", types
        for event in (self.events[3], self.events[25]):
            yield "event_id", event["id"]
        for replay in self.replays:
            yield "replay_id", replay["id"]
            yield "since", replay["created_at"]
            yield "until", replay["created_at"]
        yield "since", self.events[8]["recorded_at"]
        yield "until", self.events[14]["recorded_at"]


SENT = """
    update lanes set sent_through = %(last)s
    where tenant_id = %(tenant)s and replay = 0"""


def _at(row: Any) -> str:
    return f"{row.created_at.isoformat(timespec='microseconds')[:26]}Z"


PASSES: dict[str, Callable[[Any, Any], bool]] = {
    "webhook_id": lambda row, value: ids.encode("wh", row.webhook_id) == value,
    "state": lambda row, value: row.state in value,
    "status_code": lambda row, value: row.status_code == value,
    "type": lambda row, value: patterns.matches(value, row.type),
    "event_id": lambda row, value: row.event_id == value,
    "replay_id": lambda row, value: (
        row.replay_id is not None and ids.encode("rpl", row.replay_id) == value
    ),
    "since": lambda row, value: _at(row) >= value,
    "until": lambda row, value: _at(row) < value,
}


@pytest.fixture(scope="module")
def mixture(module_account: Account, hand_off: HandOff) -> Mixture:
    return Mixture(module_account, hand_off)


def listed(
    mixture: Mixture, limit: int, *, back: bool = True, **filters: Any
) -> list[str]:
    """All pages onwards; and, on the way, each page again from the one behind it."""
    params: dict[str, Any] = filters | {"limit": limit}
    found: list[str] = []
    before: list[str] | None = None
    while True:
        page = mixture.account.get(PATH, **params)
        shown = [one["id"] for one in page["data"]]
        if back and before is not None and page["prev"]:
            again = mixture.account.get(
                PATH, **filters, limit=limit, cursor=page["prev"]
            )
            assert [one["id"] for one in again["data"]] == before
        found += shown
        before = shown
        if not page["next"]:
            return found
        params["cursor"] = page["next"]


def test_the_mixture_has_everything(mixture: Mixture) -> None:
    states = {row.state for row in mixture.all}
    assert states == {
        "pending", "sending", "succeeded", "retrying", "dead", "cancelled"
    }  # fmt: skip
    assert {row.replay for row in mixture.all} == {0, 1}
    assert any(row.state == "dead" and row.is_owed for row in mixture.all)


def test_without_a_filter(mixture: Mixture) -> None:
    assert listed(mixture, 500) == mixture.expected({})
    assert listed(mixture, 7) == mixture.expected({})


def test_each_filter(mixture: Mixture) -> None:
    for name, value in mixture.choices():
        for limit in (500, 12):
            found = listed(mixture, limit, **{name: value})
            assert found == mixture.expected({name: value}), (name, value)


def test_two_filters(mixture: Mixture) -> None:
    """Some of all pairs, the same each time."""
    pairs = [dict(two) for two in itertools.combinations(mixture.choices(), 2)]
    of_two_kinds = [pair for pair in pairs if len(pair) == 2]
    for filters in random.Random(5).sample(of_two_kinds, 100):
        assert listed(mixture, 100, **filters) == mixture.expected(filters), filters


def test_rare_types_are_looked_for_page_by_page(
    mixture: Mixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends before it is full, and the next one goes on where it ended."""
    monkeypatch.setattr(delivery_pages, "SPAN", 1)
    monkeypatch.setattr(delivery_pages, "WIDER", 2)
    monkeypatch.setattr(delivery_pages, "MOST_EVENTS", 3)
    filters = {"type": ["a.*"], "state": ["dead"]}
    first = mixture.account.get(PATH, limit=50, **filters)
    assert len(first["data"]) < len(mixture.expected(filters))
    assert first["next"]
    found = listed(mixture, 50, back=False, **filters)
    assert found == mixture.expected(filters)


def test_dead_letters(mixture: Mixture) -> None:
    for webhook in mixture.webhooks:
        path = f"/api/v1/webhooks/{webhook['id']}/dead-letters"
        found = [one["id"] for one in mixture.account.get(path, limit=500)["data"]]
        wanted: dict[str, Any] = {"webhook_id": webhook["id"], "state": ["dead"]}
        assert found == mixture.expected(wanted)
        some = mixture.account.get(path, status_code=503, type="a.*")["data"]
        wanted |= {"status_code": 503, "type": ["a.*"]}
        assert [one["id"] for one in some] == mixture.expected(wanted)
    refused = mixture.account.client.get(path, params={"state": "dead"})
    assert refused.json()["code"] == "unknown_field"


@pytest.mark.parametrize("replay_id", ["rpl_x", "rpl_" + "0" * 26, ""])
def test_no_such_replay(mixture: Mixture, replay_id: str) -> None:
    assert mixture.account.get(PATH, replay_id=replay_id)["data"] == []


def test_a_delivery_of_a_replay(mixture: Mixture) -> None:
    page = mixture.account.get(PATH, replay_id=mixture.replays[0]["id"], limit=1)
    [one] = page["data"]
    assert one["replay_id"] == mixture.replays[0]["id"]
    assert one["created_at"] == mixture.replays[0]["created_at"]
    assert one["sequence"] is None
    shown = mixture.account.get(f"{PATH}/{one['id']}")
    shown.pop("attempts")
    assert shown == one


def test_what_the_tenant_keeps_no_longer_is_not_there(
    mixture: Mixture, account: Account, hand_off: HandOff
) -> None:
    """Finished deliveries; what is owed is there however old it is."""
    webhook = account.webhook()
    positions = [account.publish()["position"] for _ in range(4)]
    hand_off()
    worker = Worker(account, webhook)
    worker.finish(positions[:2], "succeeded", 200, "")
    worker.run(OLD, positions=positions[:1])
    worker.run(HELD, positions=positions[2:3])
    assert [one["position"] for one in account.get(PATH)["data"]] == positions[::-1]
    worker.run("update tenants set retention_days = 29 where tenant_id = %(tenant)s")
    for filters in ({}, {"webhook_id": webhook["id"]}):
        page = account.get(PATH, **filters)["data"]
        assert [one["position"] for one in page] == positions[:0:-1]
    gone = ids.delivery(ids.DeliveryKey(positions[0], 1))
    assert account.client.get(f"{PATH}/{gone}").status_code == 404
    event = account.get("/api/v1/events", after=positions[0] - 1)["data"][0]
    assert account.get(f"/api/v1/events/{event['id']}")["deliveries"] == []


OLD = """
    update results set finished_at = now() - interval '30 days'
    where tenant_id = %(tenant)s and position = any(%(positions)s)"""
HELD = """
    update owed set attempts = 3, held_at = now() - interval '200 days'
    where tenant_id = %(tenant)s and position = any(%(positions)s)"""


def test_an_event_shows_its_deliveries_of_replays_too(mixture: Mixture) -> None:
    event = mixture.events[3]
    shown = mixture.account.get(f"/api/v1/events/{event['id']}")["deliveries"]
    expected = mixture.expected({"event_id": event["id"]})
    assert sorted(one["id"] for one in shown) == sorted(expected)
    assert len(shown) == 5
    # The newest first: those of the second replay, of the first, and the live ones.
    newest = [ids.parse_delivery(one["id"]) for one in shown]
    assert [(key.webhook_number, key.replay) for key in newest] == [
        (2, 1), (1, 1), (3, 0), (2, 0), (1, 0)
    ]  # fmt: skip

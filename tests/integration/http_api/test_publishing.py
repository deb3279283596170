"""Publishing: what an accepted event becomes, repeats, versions, batches."""

import json
from typing import Any

import pytest

from domain import ids
from tests.integration.http_api.conftest import Account

EVENTS, BATCH = "/api/v1/events", "/api/v1/events/batch"


def post_raw(account: Account, body: bytes, path: str = EVENTS) -> Any:
    headers = {"Content-Type": "application/json"}
    return account.client.post(path, content=body, headers=headers)


def test_an_event_is_in_the_log_when_the_answer_comes(account: Account) -> None:
    event = {
        "type": "heures.validated",
        "data": {"minutes": 480},
        "stream": "heures/77",
        "source": "/erp",
        "subject": "worker/12",
        "occurred_at": "2026-11-20T09:59:58.12+02:00",
        "metadata": {"site": "LL"},
        "correlation_id": "evt_00000001",
    }
    response = account.client.post(EVENTS, json=event)
    assert response.status_code == 202
    answer = response.json()
    assert list(answer) == ["id", "position", "stream", "version", "recorded_at"]
    assert response.headers["Location"] == f"/api/v1/events/{answer['id']}"
    assert response.headers["Daybook-Position"] == str(answer["position"])
    assert ids.decode("evt", answer["id"])
    found = account.get(response.headers["Location"])
    assert found == {
        **answer,
        "type": "heures.validated",
        "source": "/erp",
        "source_id": None,
        "subject": "worker/12",
        "data": {"minutes": 480},
        "metadata": {"site": "LL"},
        "occurred_at": "2026-11-20T07:59:58.120000Z",
        "actor": {"type": "key", "id": found["actor"]["id"]},
        "correlation_id": "evt_00000001",
        "causation_id": None,
        "depth": 0,
        "deliveries": [],
    }
    assert (answer["stream"], answer["version"]) == ("heures/77", 1)


def test_what_is_left_out_has_a_default(account: Account) -> None:
    published = account.publish("a")
    found = account.get(f"{EVENTS}/{published['id']}")
    assert found["stream"] == found["id"]
    assert found["source"] == "/daybook"
    assert found["metadata"] == {}
    assert found["occurred_at"] == found["recorded_at"]


def test_null_is_left_out(account: Account) -> None:
    optional = ("stream", "id", "source", "expected_version", "subject", "occurred_at")
    more = ("metadata", "correlation_id", "causation_id")
    account.publish("a", **dict.fromkeys((*optional, *more)))


@pytest.mark.parametrize(
    "data",
    [
        '{"z": 1e2, "a": 1.10,  "n": -0}',
        '{ "deep":[[[{"x":[]}]]] ,"text":"\\u00e9\\ud83d\\ude00é\\\\" }',
        '{"big": 123456789012345678901234567890, "huge": 1e400}',
        "{}",
    ],
)
def test_data_is_kept_as_sent(account: Account, data: str) -> None:
    body = f'{{"metadata": {data}, "data" : {data} , "type":"a"}}'.encode()
    event_id = post_raw(account, body).json()["id"]
    shown = account.client.get(f"{EVENTS}/{event_id}").text
    listed = account.client.get(EVENTS).text
    assert shown.count(data) == listed.count(data) == 2


def test_64_levels_of_data_are_kept(account: Account) -> None:
    deep = '{"a":' * 64 + "1" + "}" * 64
    assert post_raw(account, f'{{"type":"a","data":{deep}}}'.encode()).is_success
    batch = f'{{"events":[{{"type":"a","data":{deep}}}]}}'.encode()
    assert post_raw(account, batch, BATCH).is_success


def test_positions_follow_each_other(account: Account) -> None:
    positions = [account.publish()["position"] for _ in range(5)]
    assert positions == list(range(positions[0], positions[0] + 5))


def test_a_repeat_is_the_first_answer_again(account: Account) -> None:
    first = account.client.post(EVENTS, json=_event(id="my-event-1"))
    again = account.client.post(EVENTS, json=_event(id="my-event-1"))
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == "/api/v1/events/my-event-1"
    assert len(account.get(EVENTS)["data"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"x": 2}},
        {"type": "c"},
        {"stream": "s"},
        {"subject": "s"},
        {"metadata": {"a": 1}},
        {"occurred_at": "2026-01-01T00:00:00Z"},
    ],
)
def test_an_id_with_other_content_is_refused(
    account: Account, change: dict[str, Any]
) -> None:
    first = account.publish(**_event(id="my-event-2"))
    response = account.client.post(EVENTS, json=_event(id="my-event-2") | change)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "event_exists")
    assert problem["event"] == {"id": "my-event-2", "position": first["position"]}
    assert response.headers["Location"] == "/api/v1/events/my-event-2"


def test_an_id_is_a_tenants_own(account: Account, other: Account) -> None:
    account.publish(id="shared-id-1", data={"whose": 1})
    other.publish(id="shared-id-1", data={"whose": 2})


def test_expected_version(account: Account) -> None:
    def publish(expected: int) -> Any:
        event = _event(stream="s/1", expected_version=expected)
        return account.client.post(EVENTS, json=event)

    assert publish(0).json()["version"] == 1
    assert publish(1).json()["version"] == 2
    late = publish(1)
    assert (late.status_code, late.json()["code"]) == (409, "version_conflict")
    assert "at version 2, not 1" in late.json()["detail"]


def test_causes_are_counted_and_bounded(account: Account) -> None:
    cause = account.publish()["id"]
    for depth in range(1, 11):
        cause = account.publish(causation_id=cause)["id"]
        assert account.get(f"{EVENTS}/{cause}")["depth"] == depth
    too_deep = account.client.post(EVENTS, json=_event(causation_id=cause))
    assert too_deep.status_code == 422
    assert too_deep.json()["code"] == "causation_too_deep"


def test_a_batch_is_appended_in_order(account: Account) -> None:
    events = [_event(type=f"t.{n}", stream="s") for n in range(1000)]
    response = account.client.post(BATCH, json={"events": events})
    assert response.status_code == 202
    published = response.json()["events"]
    first = published[0]["position"]
    assert [one["position"] for one in published] == list(range(first, first + 1000))
    assert [one["version"] for one in published] == list(range(1, 1001))
    assert response.headers["Daybook-Position"] == str(first + 999)


def test_a_batch_may_be_repeated_whole_or_in_part(account: Account) -> None:
    account.publish(**_event(id="batch-id-1"))
    events = [_event(id="batch-id-1"), _event(id="batch-id-2"), _event()]
    events.append(_event(id="batch-id-2"))  # twice in one batch, the same
    answer = account.client.post(BATCH, json={"events": events}).json()["events"]
    assert [one["replayed"] for one in answer] == [True, False, False, True]
    assert answer[1]["position"] == answer[3]["position"]


def test_a_batch_is_all_or_nothing(account: Account) -> None:
    account.publish(**_event(id="taken-id-1"))
    events = [_event(), _event(id="taken-id-1", data={"other": 1})]
    response = account.client.post(BATCH, json={"events": events})
    assert (response.status_code, response.json()["code"]) == (409, "event_exists")
    assert len(account.get(EVENTS)["data"]) == 1


def test_a_batch_names_every_event_that_the_log_refuses(account: Account) -> None:
    account.publish(**_event(id="taken-id-1", stream="held"))
    late = _event(stream="held", expected_version=5)
    taken = _event(id="taken-id-1", data={"other": 1})
    events = [_event(), late, _event(), taken]
    problem = account.client.post(BATCH, json={"events": events}).json()
    assert (problem["status"], problem["code"]) == (409, "version_conflict")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [
        ("#/events/1", "version_conflict"),
        ("#/events/3", "event_exists"),
    ]


def test_real_content_survives(account: Account) -> None:
    data = {"text": "Ünïcödé \u2028 😀 \x7f \t", "list": [None, True, 0.1, "\\u0000"]}
    event_id = account.publish(data=data)["id"]
    assert account.get(f"{EVENTS}/{event_id}")["data"] == data
    assert json.loads(account.client.get(EVENTS).text)["data"][0]["data"] == data


def _event(**fields: Any) -> dict[str, Any]:
    return {"type": "a.b", "data": {"x": 1}} | fields

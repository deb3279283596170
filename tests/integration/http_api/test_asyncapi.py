"""The AsyncAPI document: its references lead somewhere, the streams are as it says."""

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.integration.http_api.conftest import Account
from tests.support.listening import messages, sse, websocket


@pytest.fixture(scope="module")
def document(stranger: httpx.Client) -> dict[str, Any]:
    """The document as it is served."""
    found: dict[str, Any] = stranger.get("/asyncapi.json").json()
    return found


def at(document: dict[str, Any], reference: str) -> Any:
    """What a reference leads to, through others."""
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
        while "$ref" in found:
            found = at(document, found["$ref"])
    return found


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [one for part in value for one in references(part)]
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + references(list(value.values()))
    return []


def check(document: dict[str, Any], message: str, sent: Any) -> None:
    """Whether what was sent is what the document says of such a message."""
    payload = at(document, f"#/components/messages/{message}/payload")
    whole = {**payload, "components": document["components"]}
    Draft202012Validator(whole).validate(sent)


def test_its_frame(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    addresses = {one["address"] for one in document["channels"].values()}
    assert addresses == {"/api/v1/events/sse", "/api/v1/events/ws"}
    actions = [one["action"] for one in document["operations"].values()]
    assert sorted(actions) == ["receive", "send", "send"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert len(found) > 20
    for reference in found:
        at(document, reference)


def test_each_operations_messages_are_of_its_channel(document: dict[str, Any]) -> None:
    for one in document["operations"].values():
        channel = one["channel"]["$ref"]
        for message in one["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")


async def test_the_websockets_messages_are_as_described(
    account: Account, document: dict[str, Any]
) -> None:
    url = account.server.url
    account.publish(data={"n": 1})
    start = {"op": "start", "token": account.key, "after": 0}
    check(document, "start", start)
    async with websocket(url, None) as socket:
        await socket.send_json(start)
        for message in ("ready", "event"):
            sent = await socket.receive_json(timeout=10)
            assert sent["op"] == message
            check(document, message, sent)
        await socket.send_str("more")
        check(document, "problem", await socket.receive_json(timeout=10))
    check(document, "ping", {"op": "ping", "position": 1})


async def test_the_events_of_a_stream_are_as_described(
    account: Account, document: dict[str, Any]
) -> None:
    account.publish(data={"n": 1})
    async with sse(account.server.url, account.key, after=0) as response:
        async for message in messages(response):
            if message.data is not None:
                check(document, "sse_event", json.loads(message.data))
                break
    query = document["operations"]["follow_events"]["bindings"]["http"]["query"]
    assert set(query["properties"]) == {"after", "type", "stream", "subject", "ticket"}

"""A delivery's request: every format, every active secret, the tenant's own headers."""

import base64
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from domain import clock, ids, traces
from domain.webhooks import body, signing
from domain.webhooks.settings import Format, Scheme
from projections.tracing import Attempt
from projections.vault import VaultError, headers_place, webhook_place
from projections.webhooks import ed25519
from tests.support.builders import VAULT
from workers.webhooks import message
from workers.webhooks.message import Key, Target
from workers.webhooks.sender import Outgoing

TENANT, WEBHOOK = UUID(int=1), UUID(int=2)
OCCURRED = datetime(2026, 11, 20, 8, tzinfo=UTC)
DUE = SimpleNamespace(
    position=1042,
    sequence=318,
    number=2,
    event_id="evt_01",
    type="heures.validated",
    stream="heures/77",
    version=3,
    state=b'{"minutes":480}',
    metadata=None,
    source=None,
    source_id=None,
    subject="worker/12",
    correlation_id="evt_01",
    causation_id=None,
    occurred_at=OCCURRED,
    trace=None,
    secret_fields=None,
    format="standard",
)


def key(secret: bytes, version: int = 1, scheme: Scheme = "v1", **more: Any) -> Key:
    sealed = VAULT.seal(secret, webhook_place(TENANT, WEBHOOK, version, scheme))
    return Key(scheme, version, sealed, more.get("expires_at"))


def target(*keys: Key, **changes: Any) -> Target:
    given: dict[str, Any] = {
        "tenant_id": TENANT,
        "webhook_id": WEBHOOK,
        "webhook_number": 1,
        "webhook_version": 4,
        "url": "https://erp.example/hooks",
        "timeout_seconds": 15,
        "networks": None,
        "keys": keys,
        "headers": None,
        "headers_version": 0,
    }
    return Target(**(given | changes))


def compose(target_: Target, **changes: Any) -> Outgoing:
    due = SimpleNamespace(**(vars(DUE) | changes))
    attempt = Attempt(message.cause(target_, due))
    return message.compose(target_, due, VAULT, attempt)


OLD, NEW = b"o" * 24, b"n" * 64


def verify(secret: bytes, request: Outgoing) -> None:
    """As a receiver does with another library; it raises."""
    standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))


def test_the_headers() -> None:
    request = compose(target(key(NEW), networks=["203.0.113.0/24"]))
    headers = dict(request.headers)
    assert abs(int(headers.pop("webhook-timestamp")) - clock.now().timestamp()) < 5
    assert headers.pop("webhook-signature").startswith("v1,")
    assert traces.parse(headers.pop("traceparent").encode())
    assert headers == {
        "content-type": "application/json",
        "user-agent": message.USER_AGENT,
        "webhook-id": "evt_01",
        "daybook-type": "heures.validated",
        "daybook-position": "1042",
        "daybook-sequence": "318",
        "daybook-delivery": ids.delivery(ids.DeliveryKey(1042, 1)),
        "daybook-attempt": "2",
    }
    assert (request.url, request.timeout_seconds) == ("https://erp.example/hooks", 15)
    assert request.networks == ["203.0.113.0/24"]


def test_what_a_type_keeps_secret_is_in_no_body() -> None:
    state = b'{"minutes": 480, "iban":"DE02"}'
    request = compose(
        target(key(NEW)), state=state, format="raw", secret_fields=["/iban"]
    )
    assert request.body == b'{"minutes": 480}'
    verify(NEW, request)


def test_attempts_are_spans_of_their_own_in_one_trace() -> None:
    parent = traces.Trace(b"t" * 16, b"s" * 8, is_sampled=True)
    carried = {"trace": parent.packed(), "format": "cloudevents"}
    requests = [compose(target(key(NEW)), number=n, **carried) for n in (1, 2)]
    told = [traces.parse(each.headers["traceparent"].encode()) for each in requests]
    assert {each and each.trace_id for each in told} == {parent.trace_id}
    assert len({parent.span_id, *(each and each.span_id for each in told)}) == 3
    for each in requests:
        assert msgspec.json.decode(each.body)["traceparent"] == parent.header()


@pytest.mark.parametrize(
    ("format_", "content_type"),
    [
        ("standard", "application/json"),
        ("raw", "application/json"),
        ("cloudevents", "application/cloudevents+json"),
        ("cloudevents_binary", "application/json"),
    ],
)
def test_each_format_is_signed_as_it_is_sent(
    format_: Format, content_type: str
) -> None:
    first, second = (
        compose(target(key(NEW)), format=format_, number=n) for n in (1, 2)
    )
    assert first.headers["content-type"] == content_type
    assert first.body == second.body
    assert ("ce-id" in first.headers) is (format_ == "cloudevents_binary")
    for request in (first, second):
        verify(NEW, request)


def test_every_active_secret_signs() -> None:
    soon = clock.now() + timedelta(hours=1)
    request = compose(target(key(NEW, 2), key(OLD, 1, expires_at=soon)))
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    verify(NEW, request)
    verify(OLD, request)


def test_an_expired_secret_does_not() -> None:
    past = clock.now() - timedelta(seconds=1)
    request = compose(target(key(NEW, 2), key(OLD, 1, expires_at=past)))
    assert len(request.headers["webhook-signature"].split(" ")) == 1
    verify(NEW, request)


def test_both_schemes_sign_the_same_content() -> None:
    seed = ed25519.new_seed()
    request = compose(target(key(NEW), key(seed, 1, "v1a")))
    verify(NEW, request)
    _, signature = request.headers["webhook-signature"].split(" ")
    at = int(request.headers["webhook-timestamp"])
    public = base64.b64decode(ed25519.public_key(seed).removeprefix("whpk_"))
    Ed25519PublicKey.from_public_bytes(public).verify(
        base64.b64decode(signature.removeprefix("v1a,")),
        signing.content("evt_01", at, request.body),
    )


def test_a_tenants_own_headers() -> None:
    values = {"X-Env": "prod", "Authorization": "Bearer s3cret"}
    sealed = VAULT.seal(msgspec.json.encode(values), headers_place(TENANT, WEBHOOK, 3))
    request = compose(target(key(NEW), headers=sealed, headers_version=3))
    assert request.headers.items() >= values.items()
    shown = message.shown(request.headers)
    assert shown["X-Env"] == shown["Authorization"] == "***"
    assert shown["daybook-position"] == "1042"
    assert "webhook-signature" not in shown


def test_a_secret_of_another_place_does_not_open() -> None:
    elsewhere = key(NEW, 1, "v1a")
    for wrong in (Key("v1", 1, elsewhere.sealed, None), key(NEW, 1)):
        other = target(wrong, webhook_id=UUID(int=3))
        with pytest.raises(VaultError):
            compose(other)


def test_a_replay_says_so() -> None:
    replayed = target(key(NEW), replay=2, replay_id="rpl_01")
    request = compose(replayed, sequence=None)
    assert request.headers["webhook-id"] == "evt_01"
    assert request.headers["daybook-replay"] == "rpl_01"
    assert "daybook-sequence" not in request.headers
    fresh = target(key(NEW), replay=2, replay_id="rpl_01", fresh_ids=True)
    other = compose(fresh, sequence=None)
    assert other.headers["webhook-id"] == "evt_01_rpl_01"
    assert other.body == request.body
    verify(NEW, other)


def test_the_body_is_the_events() -> None:
    given = vars(DUE)
    event = body.Event(
        tenant_id=ids.encode("ten", TENANT),
        id=given["event_id"],
        data=given["state"],
        **{
            name: given[name]
            for name in (
                "type", "occurred_at", "stream", "version", "position", "subject",
                "metadata", "source", "source_id", "correlation_id", "causation_id",
            )
        },
    )  # fmt: skip
    request = compose(target(key(NEW)))
    assert request.body == body.standard(event)

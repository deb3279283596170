"""Which webhooks would be owed an event, and why not: nothing is sent or kept."""

from litestar import post
from msgspec import Raw

from api import answers
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.webhooks.routes import PATH, READ
from api.webhooks.setting_schemas import Match, Matches, MatchEvent
from domain import grammar, ids, patterns, payload_filter
from domain.errors import Fault, Invalid
from domain.payload_path import Members
from projections.webhooks import views

_NOTHING = b"{}"


@post(
    f"{PATH}/match",
    **operation(
        "Match an event with the webhooks",
        scopes=READ,
        body=MatchEvent,
        answers={200: Matches},
    ),
)
async def match(request: ApiRequest) -> Answer:
    """For each webhook: it matches, or the first rule that refuses the event."""
    event = await request.read(MatchEvent)
    members = _members(event, request.caller.actor)
    tenant_id = request.caller.tenant_id
    async with request.services.database.tenant(tenant_id) as connection:
        rows = await views.to_match(connection, tenant_id)
    return answers.json(Matches([_match(row, event, members) for row in rows]))


def _match(row: views.Rules, event: MatchEvent, members: Members) -> Match:
    webhook_id = ids.encode("wh", row.webhook_id)
    if row.state != "active":
        return Match(webhook_id, False, "state", "the webhook is disabled")
    if not patterns.matches(row.event_types, event.type):
        detail = f"no pattern names the type {event.type}"
        return Match(webhook_id, False, "event_types", detail)
    # One that comes without a stream gets a stream of its own, which only * names.
    if not patterns.stream_matches(row.streams, event.stream or ""):
        detail = f"no pattern names the stream {event.stream or 'of a lone event'}"
        return Match(webhook_id, False, "streams", detail)
    why = payload_filter.read(row.filter or {}).explain(members)
    return Match(webhook_id, why is None, None if why is None else "filter", why)


def _members(event: MatchEvent, actor: str) -> Members:
    """The event as filters see it. Raises Invalid."""
    metadata = _sent(event.metadata)
    faults = grammar.check_type(event.type)
    if event.stream is not None:
        faults += grammar.check_stream(event.stream)
    if event.subject is not None:
        faults += grammar.check_subject(event.subject)
    if event.source is not None:
        faults += grammar.check_source(event.source)
    if not bytes(event.data).startswith(b"{"):
        faults.append(Fault("#/data", "invalid", "expected an object"))
    faults += grammar.check_metadata(metadata)
    if faults:
        raise Invalid(faults)
    return Members(
        type=event.type,
        stream=event.stream,
        subject=event.subject,
        source=event.source,
        actor=actor,
        data=bytes(event.data),
        metadata=metadata,
    )


def _sent(metadata: Raw) -> bytes:
    raw = bytes(metadata)
    return _NOTHING if raw in (b"", b"null") else raw


HANDLERS = (match,)

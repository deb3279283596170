"""CloudEvents in: one route for all forms of the HTTP binding."""

import re
from collections.abc import Mapping

from litestar import post

from api import answers, limits, quotas
from api.answers import Answer
from api.errors import WrongMediaType
from api.log import appending, incoming, publishing
from api.log.schemas import (
    CloudEvent,
    CloudEventBatch,
    CloudEventData,
    Published,
    PublishedBatch,
)
from api.operation import operation
from api.request import ApiRequest
from domain.errors import Invalid
from domain.log.entry import Entry

ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"
_UTF_8 = re.compile(r"(?:\s*charset=\"?utf-8\"?\s*)?", re.IGNORECASE)
_HEADERS = {
    f"{incoming.HEADER}{name}": f"`{name}`, when the body is `data` alone"
    for name in ("specversion", "id", "source", "type", "time", "subject", "stream")
}


@post(
    "/api/v1/cloudevents",
    request_max_body_size=limits.BATCH_BYTES,
    **operation(
        "Publish CloudEvents",
        scopes=["events:write"],
        bodies={
            ONE: CloudEvent,
            MANY: CloudEventBatch,
            "application/json": CloudEventData,
        },
        headers=_HEADERS,
        policy=quotas.PUBLISH,
        direct=True,
        answers={202: (Published, PublishedBatch), 200: Published},
    ),
)
async def publish_cloudevents(request: ApiRequest) -> Answer:
    """One, a batch, or one whose attributes are headers and whose body is its data.

    The event gets an id of ours; its own is `source_id`, unique with `source`: the same one
    again is the first answer again. Of a batch all events are in the log, or none.
    """
    headers = dict(request.scope["headers"])
    kind = _kind(headers)
    raw = await request.body()
    if kind == MANY:
        return await _publish_many(request, raw)
    if kind == ONE:
        entry = incoming.entry(incoming.one(raw), request.caller)
        return await _publish(request, entry)
    try:
        sent = incoming.in_headers(request.scope["headers"], raw)
        return await _publish(request, incoming.entry(sent, request.caller))
    except Invalid as error:
        raise incoming.of_headers(error) from None


async def _publish(request: ApiRequest, entry: Entry) -> Answer:
    [receipt] = await appending.append(request, [entry])
    return publishing.answer(receipt)


async def _publish_many(request: ApiRequest, raw: bytes) -> Answer:
    entries = [incoming.entry(sent, request.caller) for sent in incoming.batch(raw)]
    receipts = await appending.append(request, entries, "#/{}")
    last = max(receipt.position for receipt in receipts)
    return answers.json(
        publishing.published_batch(receipts),
        status=202,
        headers=answers.position(last),
    )


def _kind(headers: Mapping[bytes, bytes]) -> str | None:
    """Which form it has; None: attributes in headers. Raises WrongMediaType."""
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise WrongMediaType("the body must not be compressed")
    kind, _, rest = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    kind = kind.strip().lower()
    if kind in (ONE, MANY) and _UTF_8.fullmatch(rest):
        return kind
    if b"ce-specversion" in headers and (not kind or incoming.is_json(kind)):
        return None
    raise WrongMediaType(f"send {ONE}, {MANY}, or JSON with ce- headers")


HANDLERS = (publish_cloudevents,)

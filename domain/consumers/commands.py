"""What can be done to consumers. Acknowledging is not here: it is no fact of the log."""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.application import Log
from domain.consumers import consumer
from domain.consumers.consumer import Consumer, Settings
from domain.errors import Fault, Invalid, NotFound
from domain.log.entry import Context


class Place(NamedTuple):
    """A place as it was named, and the last position before it; None: here and now."""

    named: Any
    position: int | None


def put(
    log: Log,
    context: Context,
    tenant_id: UUID,
    name: str,
    settings: Settings,
    start: Place | None,
) -> bool:
    """Begin a consumer, or replace the settings of one; whether it began.

    Raises Invalid, also when one that has begun is to start elsewhere.
    """
    if faults := consumer.check(settings):
        raise Invalid(faults)
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    named, position = start or Place("now", None)
    found = _find(log, tenant_id, name)
    if found is None:
        found = Consumer(
            id=consumer.originator_id(tenant_id, name),
            name=name,
            settings=plain,
            start=named,
            position=position,
        )
    elif found.is_deleted:
        found.recreate(plain, named, position)
    else:
        if start is not None and named != found.start:
            detail = "it has begun elsewhere: `seek` moves it"
            raise Invalid([Fault("#/start", "invalid", detail)])
        found.configure(plain)
        log.record(found, context)
        return False
    log.record(found, context)
    return True


def seek(log: Log, context: Context, tenant_id: UUID, name: str, to: Place) -> None:
    """Put a consumer somewhere. Raises NotFound."""
    found = load(log, tenant_id, name)
    found.seek(*to)
    log.record(found, context)


def delete(log: Log, context: Context, tenant_id: UUID, name: str) -> None:
    """End a consumer. Raises NotFound."""
    found = load(log, tenant_id, name)
    found.delete()
    log.record(found, context)


def load(log: Log, tenant_id: UUID, name: str) -> Consumer:
    """The consumer as it is now; a deleted one is an absent one. Raises NotFound."""
    found = _find(log, tenant_id, name)
    if found is None or found.is_deleted:
        raise NotFound
    return found


def _find(log: Log, tenant_id: UUID, name: str) -> Consumer | None:
    try:
        return log.load(Consumer, consumer.originator_id(tenant_id, name))
    except NotFound:
        return None

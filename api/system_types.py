"""Event types that commands record, as the catalogue and the document show them.

Daybook's own, and those of the contexts that a process serves. Their `data` is the fields
of the event's class, so what is said of it cannot be wrong.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_type_hints

import msgspec

from api import components
from domain import catalog
from domain.model import AggregateCreated, AggregateEvent
from projections.context import Contexts

# What has a column of its own in the log, or is the library's, is not in `data`.
_NOT_DATA = set(get_type_hints(AggregateCreated))


class SystemType(NamedTuple):
    """One of them; `version` counts the forms that its data has had."""

    description: str
    schema: dict[str, Any]
    version: int
    example: dict[str, Any] | None = None


Types = Mapping[str, SystemType]


def known(contexts: Contexts) -> Types:
    """Daybook's own, and those of these contexts."""
    events = catalog.events(contexts.aggregates)
    return OWN | {
        name: _described(name, events[name], *meaning)
        for name, meaning in contexts.meanings.items()
    }


def _described(
    name: str,
    event: type[AggregateEvent],
    description: str,
    example: dict[str, Any] | None = None,
) -> SystemType:
    version = getattr(event, "class_version", 1)
    hints = {
        field: kind
        for field, kind in get_type_hints(event, include_extras=True).items()
        if field not in _NOT_DATA
    }
    title = "".join(word.capitalize() for word in name.replace(".", "_").split("_"))
    shape = msgspec.defstruct(title, list(hints.items()))
    schema = msgspec.json.schema(shape)["$defs"][title]
    for field, described in schema["properties"].items():
        components.with_pattern(field, described)
    if version > 1:
        schema["properties"]["class_version"] = {"const": version}
    return SystemType(description, schema, version, example)


OWN: dict[str, SystemType] = {
    name: _described(name, event, catalog.MEANINGS[name])
    for name, event in catalog.EVENTS.items()
}

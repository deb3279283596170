"""Daybook's own event types as the catalogue and the document show them.

Their `data` is the fields of the event's class, so what is said of it cannot be wrong.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_type_hints

import msgspec

from api import components
from domain import catalog
from domain.model import AggregateCreated, AggregateEvent

# What has a column of its own in the log, or is the library's, is not in `data`.
_NOT_DATA = set(get_type_hints(AggregateCreated))


class SystemType(NamedTuple):
    """One of them; `version` counts the forms that its data has had."""

    description: str
    schema: dict[str, Any]
    version: int


def _described(name: str, event: type[AggregateEvent]) -> SystemType:
    version = getattr(event, "class_version", 1)
    hints = {
        field: kind
        for field, kind in get_type_hints(event).items()
        if field not in _NOT_DATA
    }
    title = "".join(word.capitalize() for word in name.replace(".", "_").split("_"))
    shape = msgspec.defstruct(title, list(hints.items()))
    schema = msgspec.json.schema(shape)["$defs"][title]
    for field, described in schema["properties"].items():
        components.with_pattern(field, described)
    if version > 1:
        schema["properties"]["class_version"] = {"const": version}
    return SystemType(catalog.MEANINGS[name], schema, version)


ALL: Mapping[str, SystemType] = {
    name: _described(name, event) for name, event in catalog.EVENTS.items()
}

"""An event type somebody declared: what its events mean, must hold, and keep secret."""

from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.domain import event
from msgspec import Struct

from domain import json_schema, model, redaction
from domain.errors import Invalid
from domain.model import Aggregate

STREAM = "$event-type/"
# Of a tenant, with a schema: each process keeps the list of those it publishes for.
MOST_SCHEMAS = 1000


class Declaration(Struct, frozen=True, kw_only=True):
    """What is said of an event type; each declaration replaces the one before."""

    description: str | None = None
    schema: dict[str, Any] | None = None  # JSON Schema 2020-12, for `data`
    example: dict[str, Any] | None = None
    deprecated: bool = False
    secret_fields: list[str] = msgspec.field(default_factory=list)  # see redaction


def originator_id(tenant_id: UUID, event_type: str) -> str:
    """Its stream: `$event-type/<type>`."""
    return model.originator_id(tenant_id, f"{STREAM}{event_type}")


def check(declaration: Declaration) -> None:
    """Whether this may be declared. Raises Invalid."""
    if faults := redaction.check(declaration.secret_fields):
        raise Invalid(faults)
    if declaration.schema is not None:
        json_schema.judge(declaration.schema)


class EventType(Aggregate):
    """A tenant's declaration of one of its event types."""

    TOPIC = "daybook/event-type"

    class Created(Aggregate.Created):
        """The type's first declaration."""

        TOPIC = "daybook.event_type.declared"
        class_version = 2

        type: str
        description: str | None
        schema: dict[str, Any] | None
        schema_version: int | None
        example: dict[str, Any] | None
        deprecated: bool
        secret_fields: list[str]

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """There were no schemas and no secret fields."""
            _without_schema(state)

    class Redeclared(Aggregate.Event):
        """The type's new declaration.

        Version 1 left out which type it is of; that could be read from the stream's name
        only, which is ours alone.
        """

        TOPIC = "daybook.event_type.updated"
        class_version = 3

        type: str
        description: str | None
        schema: dict[str, Any] | None
        schema_version: int | None
        example: dict[str, Any] | None
        deprecated: bool
        secret_fields: list[str]

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """The stream is the type's."""
            _, stream = model.tenant_and_stream(state["originator_id"])
            state["type"] = stream.removeprefix(STREAM)

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            """There were no schemas and no secret fields."""
            _without_schema(state)

    @event(Created)
    def __init__(
        self,
        id: str,
        type: str,
        description: str | None,
        schema: dict[str, Any] | None,
        schema_version: int | None,
        example: dict[str, Any] | None,
        deprecated: bool,
        secret_fields: list[str],
    ) -> None:
        self.type = type
        self.schemas = 0  # how many there have been
        self._take(
            Declaration(
                description=description,
                schema=schema,
                example=example,
                deprecated=deprecated,
                secret_fields=secret_fields,
            ),
            schema_version,
        )

    @classmethod
    def begin(cls, id: str, type: str, declaration: Declaration) -> "EventType":
        """Declare a type for the first time. Raises Invalid."""
        check(declaration)
        version = None if declaration.schema is None else 1
        fields = msgspec.structs.asdict(declaration)
        return cls(id=id, type=type, schema_version=version, **fields)

    def declare(self, declaration: Declaration) -> None:
        """Replace the declaration; nothing happens when nothing differs. Raises Invalid."""
        check(declaration)
        if _is_same(declaration, self.declaration):
            return
        version = None
        if declaration.schema is not None:
            is_kept = _is_same(declaration.schema, self.declaration.schema)
            version = self.schemas if is_kept else self.schemas + 1
        fields = msgspec.structs.asdict(declaration)
        self._redeclare(type=self.type, schema_version=version, **fields)

    @event(Redeclared)
    def _redeclare(
        self,
        type: str,
        description: str | None,
        schema: dict[str, Any] | None,
        schema_version: int | None,
        example: dict[str, Any] | None,
        deprecated: bool,
        secret_fields: list[str],
    ) -> None:
        self._take(
            Declaration(
                description=description,
                schema=schema,
                example=example,
                deprecated=deprecated,
                secret_fields=secret_fields,
            ),
            schema_version,
        )

    def _take(self, declaration: Declaration, schema_version: int | None) -> None:
        self.declaration = declaration
        self.schemas = schema_version or self.schemas


def _is_same(one: Any, other: Any) -> bool:
    """As JSON: to Python 1 is true."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)


def _without_schema(state: dict[str, Any]) -> None:
    state |= {"schema": None, "schema_version": None, "secret_fields": []}

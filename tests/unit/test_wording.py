"""What is wrong with a value, in words that need no Python to be understood."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from api import reading, wording
from domain.errors import Fault, Invalid

A_STRING = "expected a string, got an integer"
Time = Annotated[datetime, Meta(tz=True)]


class Place(Struct, forbid_unknown_fields=True):
    position: int


class Sent(Struct, forbid_unknown_fields=True):
    """One member for each kind of wrong value."""

    name: str | UnsetType | None = UNSET
    count: Annotated[int, Meta(ge=1)] = 1
    is_on: bool = False
    at: Time | None = None
    format: Literal["raw", "standard", "cloudevents"] = "raw"
    signing: list[Literal["v1", "v1a"]] | UnsetType | None = UNSET
    start: Literal["beginning", "now"] | Place = "now"
    headers: dict[str, str] | UnsetType | None = UNSET


class Query(Struct):
    since: Time | None = None
    order: Literal["asc", "desc"] = "asc"


def faults(body: str) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        reading.body(body.encode(), Sent)
    return [(fault.pointer, fault.detail) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("member", "pointer", "detail"),
    [
        ('"name": 5', "#/name", "expected a string or null, got an integer"),
        ('"count": "5"', "#/count", "expected an integer, got a string"),
        ('"count": 0', "#/count", "expected an integer >= 1"),
        ('"is_on": 1', "#/is_on", "expected true or false, got an integer"),
        ('"at": "soon"', "#/at", wording.TIME),
        ('"at": "2026-11-20T08:00:00"', "#/at", wording.TIME),
        ('"format": "xml"', "#/format", "expected raw, standard or cloudevents"),
        ('"signing": ["v2"]', "#/signing/0", "expected v1 or v1a"),
        ('"start": "x"', "#/start", "expected beginning, now or an object"),
        ('"headers": {"A": "b", "C/D": 5}', "#/headers/C~1D", A_STRING),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_what_was_expected(
    member: str, pointer: str, detail: str
) -> None:
    assert faults(f"{{{member}}}") == [(pointer, detail)]


def parameter(query: bytes) -> Fault:
    with pytest.raises(Invalid) as caught:
        reading.parameters(query, Query)
    [fault] = caught.value.faults
    return fault


def test_a_plus_that_came_as_a_blank_is_explained() -> None:
    sent = b"since=2026-11-20T08:00:00+01:00"

    assert parameter(sent).detail == wording.TIME + wording.PLUS
    assert parameter(b"since=2026").detail == wording.TIME
    assert parameter(b"order=up").detail == "expected asc or desc"


def test_what_is_only_shown_is_not_called_unknown() -> None:
    shown = {"version": 3}
    same, none = reading.changes(b'{"version": 3}', Sent, shown)
    _, changed = reading.changes(b'{"version": 4, "nope": 1}', Sent, shown)

    assert (same, none) == ({}, [])
    assert [(fault.pointer, fault.code) for fault in changed] == [
        ("#/version", "unknown_field"),
        ("#/nope", "unknown_field"),
    ]
    assert changed[0].detail.startswith("it is not set here")


def test_a_message_without_a_name_stays_as_it_is() -> None:
    error = msgspec.ValidationError("Integer value out of range - at `$.count`")

    assert wording.expected(error, int) == "integer value out of range"

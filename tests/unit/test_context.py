"""Contexts of others: their parts fit, and what is theirs is refused from publishers."""

from typing import Any

import pytest
from eventsourcing.domain import event

from api import system_types
from domain import ids
from domain.catalog import Meaning
from domain.model import Aggregate
from projections import context
from projections.context import BoundedContext, Contexts
from projections.settings import SettingsError
from tests.support.builders import an_entry


class Order(Aggregate):
    """Something with two events."""

    TOPIC = "shop/order"

    @event("Created", topic="order.placed")
    def __init__(self, id: str, total: int) -> None:
        self.total = total

    @event("Paid", topic="order.paid")
    def pay(self) -> None:
        """It is paid."""


MEANINGS = {
    "order.placed": Meaning("An order is placed", {"total": 12}),
    "order.paid": Meaning("An order is paid", {}),
}
SHOP = BoundedContext(
    name="shop", aggregates=(Order,), meanings=MEANINGS, streams=("orders/",)
)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"meanings": {}}, "without a meaning"),
        ({"meanings": MEANINGS | {"order.lost": Meaning("", {})}}, "order.lost"),
        ({"streams": ("orders",)}, "orders"),
        ({"streams": ("$orders/",)}, "orders"),
        ({"streams": ("/",)}, "beginning"),
    ],
)
def test_parts_that_do_not_fit_are_named(changed: dict[str, Any], fault: str) -> None:
    given = {"name": "shop", "aggregates": (Order,), "meanings": MEANINGS} | changed
    with pytest.raises(ValueError, match=fault):
        BoundedContext(**given)


def test_our_types_are_nobodys() -> None:
    class Odd(Aggregate):
        TOPIC = "odd/odd"

        @event("Created", topic="daybook.odd.created")
        def __init__(self, id: str) -> None:
            pass

    with pytest.raises(ValueError, match=r"daybook\.odd\.created"):
        BoundedContext(
            name="odd",
            aggregates=(Odd,),
            meanings={"daybook.odd.created": Meaning("", {})},
        )


def test_the_catalogue_knows_what_they_tell() -> None:
    types = system_types.known(Contexts((SHOP,)))
    assert types.keys() == system_types.OWN.keys() | MEANINGS.keys()
    assert types["order.placed"].schema["properties"] == {"total": {"type": "integer"}}
    assert types["order.placed"].example == {"total": 12}


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"type": "order.placed"}, [("#/0/type", "type_reserved")]),
        ({"type": "order.placed.late"}, []),
        ({"stream": "orders/1"}, [("#/0/stream", "invalid")]),
        ({"stream": "orders"}, []),
    ],
)
def test_what_commands_record_is_not_published(
    fields: dict[str, Any], refused: list[tuple[str, str]]
) -> None:
    faults = Contexts((SHOP,)).check([an_entry(ids.new(), **fields)], "#/{}")
    assert [(fault.pointer, fault.code) for fault in faults] == refused


def test_without_contexts_nothing_is() -> None:
    assert Contexts().check([an_entry(ids.new(), type="order.placed")], "#") == []


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"name": "shop"}, "two contexts .* shop"),
        ({"projections": (_Named("mine"), _Named("mine"))}, "two projections .* mine"),
        ({"projections": (_Named("deliveries"),)}, "deliveries"),
        ({"read_models": (_Named("streams"),)}, "streams"),
    ],
)
def test_of_a_name_there_is_one(changed: dict[str, Any], fault: str) -> None:
    other = BoundedContext(**{"name": "other"} | changed)
    with pytest.raises(SettingsError, match=fault):
        Contexts((SHOP, other))


@pytest.mark.parametrize("streams", [("orders/",), ("orders/late/",)])
def test_a_stream_is_of_one_context(streams: tuple[str, ...]) -> None:
    other = BoundedContext(name="other", streams=streams)
    with pytest.raises(SettingsError, match="of another context"):
        Contexts((SHOP, other))
    assert Contexts((SHOP, BoundedContext(name="third", streams=("order/",))))


def test_they_are_found_by_name() -> None:
    assert context.load(f" {__name__}:SHOP, ") == (SHOP,)
    assert context.load(None) == context.load("") == ()


@pytest.mark.parametrize("named", ["nowhere:X", f"{__name__}:NONE", __name__, ":X"])
def test_a_name_of_none_is_refused(named: str) -> None:
    with pytest.raises(SettingsError, match="context"):
        context.load(named)


def test_a_name_of_something_else_is_refused() -> None:
    with pytest.raises(SettingsError, match="no BoundedContext"):
        context.load(f"{__name__}:MEANINGS")

"""The clock: what is told of the past happened then, and nothing after it did."""

import asyncio
from datetime import UTC, datetime

import pytest

from domain import clock
from tests.unit.test_context import Order

THEN = datetime(2026, 9, 28, 7, tzinfo=UTC)


def test_aggregates_decide_then() -> None:
    with clock.at(THEN):
        order = Order(id="t/orders/1", total=1)
    order.pay()
    first, second = [event.timestamp for event in order.pending_events]
    assert first == THEN
    assert second > datetime(2020, 1, 1, tzinfo=UTC) != THEN


def test_the_present_comes_back_whatever_is_raised() -> None:
    with pytest.raises(ZeroDivisionError), clock.at(THEN):
        raise ZeroDivisionError
    assert clock.now() != THEN


async def test_others_meanwhile_are_in_the_present() -> None:
    async def other() -> datetime:
        await told.wait()
        return clock.now()

    told = asyncio.Event()
    task = asyncio.create_task(other())
    with clock.at(THEN):
        told.set()
        assert await asyncio.to_thread(clock.now) == THEN
        assert await task != THEN

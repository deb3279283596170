"""The log of a tenant and a receiver that does as it is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.application import Log
from projections.log.recorder import environment
from tests.support.delivering import ToldReceiver, receiving


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    running = Log(environment(database_url, "daybook_app"))
    yield running
    await asyncio.to_thread(running.close)


@pytest.fixture
async def hook() -> AsyncIterator[tuple[ToldReceiver, str]]:
    async with receiving() as pair:
        yield pair

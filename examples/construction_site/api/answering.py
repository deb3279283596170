"""From a command to its answer: run, show what it made, say where it stands in the log."""

import asyncio
import re
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from api import answers, commands
from api.answers import Answer
from api.request import ApiRequest
from domain.errors import NotFound
from domain.log.entry import Context
from examples.construction_site.domain import words
from examples.construction_site.domain.books import Desk

T = TypeVar("T")

READ, WRITE = ["events:read"], ["events:write"]


def identity(text: str) -> str:
    """An id in a path; one that none can have is an absent one. Raises NotFound."""
    if not re.fullmatch(words.ID, text):
        raise NotFound
    return text


def drawn(request: ApiRequest, given: str | None) -> str:
    """The id that was given, else a fresh one: the same when the request is repeated."""
    return given or str(request.new_id())


async def read(request: ApiRequest, load: Callable[[Desk, str], T], named: str) -> T:
    """What is there under this name. Raises NotFound."""
    desk = Desk(
        request.services.log, request.caller.tenant_id, Context(request.caller.actor)
    )
    return await asyncio.to_thread(load, desk, named)


async def changed(
    request: ApiRequest,
    command: Callable[[Desk], T],
    show: Callable[[T], Struct],
    *,
    status: int = 200,
) -> Answer:
    """Carry out a command, and show what it returns. Raises DomainError."""
    made: list[T] = []
    position = await _carried_out(request, lambda desk: made.append(command(desk)))
    headers = answers.position(position)
    return answers.json(show(made[-1]), status=status, headers=headers)


async def removed(request: ApiRequest, command: Callable[[Desk], None]) -> Answer:
    """Carry out a command after which there is nothing to show. Raises DomainError."""
    return answers.done(await _carried_out(request, command))


async def _carried_out(request: ApiRequest, command: Callable[[Desk], None]) -> int:
    """The position up to which the log has what it did."""
    services, tenant_id = request.services, request.caller.tenant_id

    def run(context: Context) -> None:
        command(Desk(services.log, tenant_id, context))

    context = await commands.run(request.caller, run)
    return context.position or await services.head(tenant_id)

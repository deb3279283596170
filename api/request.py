"""A request as routes see it: who asks, what was sent, and what there is to work with."""

from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from msgspec import Struct

from api import reading
from api.authentication import Caller
from api.errors import TooLarge
from api.pagination import PageQuery, Paging
from api.services import Services
from domain import ids, json_text

S = TypeVar("S", bound=Struct)


class ApiRequest(Request[Any, Caller, State]):
    """Litestar's request with what is ours.

    Headers and body are read here: Litestar's own ways cost a publish a tenth of its time.
    """

    _fields: dict[bytes, bytes] | None = None
    _whole: bytes | None = None

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The headers as they were sent, by name in lower case; of equal ones the last."""
        if self._fields is None:
            self._fields = dict(self.scope["headers"])
        return self._fields

    @property
    def services(self) -> Services:
        """What the process has opened."""
        services: Services = self.app.state.services
        return services

    @property
    def caller(self) -> Caller:
        """Who asks, as the guard found out."""
        return self.auth

    def new_id(self) -> UUID:
        """For what the request makes: the same for every run under one key."""
        claim = self.caller.claim
        return ids.new() if claim is None else claim.made

    async def raw(self) -> bytes:
        """The body, which says that it is JSON. Raises WrongMediaType."""
        reading.check_media_type(self.fields)
        return await self.body()

    async def body(self) -> bytes:
        """The body, within what its route takes. Raises TooLarge."""
        if self._whole is None:
            most = self.route_handler.resolve_request_max_body_size() or 0
            # The server has made sure that it is a number.
            if int(self.fields.get(b"content-length", 0)) > most:
                raise _too_large(most)
            self._whole = await self._read(most)
        return self._whole

    async def _read(self, most: int) -> bytes:
        parts, size = [], 0
        is_more = True
        while is_more:
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise InternalServerException("the client went away in its body")
            parts.append(message["body"])
            size += len(parts[-1])
            if size > most:
                raise _too_large(most)
            is_more = message.get("more_body", False)
        return b"".join(parts)

    async def checked(self) -> bytes:
        """The body, as JSON that can be kept. Raises WrongMediaType, MalformedJson."""
        raw = await self.raw()
        json_text.check(raw, max_depth=reading.WRAPPED)
        return raw

    async def read(self, kind: type[S]) -> S:
        """The body as a `kind`. Raises WrongMediaType, MalformedJson, Invalid."""
        return reading.body(await self.raw(), kind)

    async def read_if_any(self, kind: type[S]) -> S:
        """The same where a body may be left out: then everything is its default."""
        return await self.read(kind) if await self.body() else kind()

    def parameters(self, kind: type[S]) -> S:
        """The query string as a `kind`. Raises Invalid."""
        return reading.parameters(self.scope["query_string"], kind)

    def paging(self, query: PageQuery) -> Paging:
        """The page that is asked for. Raises CursorInvalid."""
        filters = sorted(
            pair
            for pair in reading.pairs(self.scope["query_string"])
            if pair[0] not in ("cursor", "limit", "at_least")
        )
        whose = [str(self.caller.tenant), self.scope["path"], filters]
        return Paging(self.services.cursors, msgspec.json.encode(whose), query)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"a body has at most {most:,} bytes here")

"""Direct routes: answered without Litestar's way from a path to a handler and back.

That way (match the path, make up arguments, look for hooks, wrap what comes back) takes as
long as all that publishing itself does in this process. A direct route has a fixed path and
one argument, the request. Guard, handler and errors are the same as on the other way, so
its answers are.
"""

from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from api import errors, guards, operation
from api.request import ApiRequest


class Direct:
    """Answers direct routes, and passes everything else on."""

    def __init__(self, app: Litestar) -> None:
        self._others: ASGIApp = app.asgi_handler
        self._handlers = {
            (method, route.path): handler
            for route in app.routes
            if isinstance(route, HTTPRoute)
            for handler in route.route_handlers
            for method in handler.http_methods
            if (declared := operation.of(handler)) is not None and declared.is_direct
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request, or pass it on."""
        asked: Any = scope
        # A WebSocket has no method.
        handler = self._handlers.get((asked.get("method", ""), asked["path"]))
        if handler is None:
            await self._others(scope, receive, send)
            return
        asked["route_handler"], asked["path_template"] = handler, asked["path"]
        asked["path_params"] = {}
        request = ApiRequest(asked, receive, send)
        try:
            answer = await guards.authorise(request) or await handler.fn(request)
        except Exception as error:
            answer = errors.answered(request, error)
        await answer(scope, receive, send)

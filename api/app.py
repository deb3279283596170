"""The composition root of the HTTP process: settings in, an ASGI application out."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from types import ModuleType

from litestar import Litestar

from api import (
    docs,
    doors,
    errors,
    guards,
    health,
    limits,
    metrics,
    openapi,
    system_types,
)
from api.consumers import routes as consumers
from api.direct import Direct
from api.edge import Edge
from api.examples import BY_SHAPE, Examples
from api.log import asyncapi, cloudevents, sse, streams, websocket
from api.log import routes as log
from api.projections import routes as projections
from api.request import ApiRequest
from api.services import opened
from api.settings import ApiSettings
from api.tenancy import keys, me, tenants, tickets
from api.webhooks import (
    dead_letters,
    deliveries,
    delivery_lists,
    event_types,
    matching,
    replays,
    rotation,
    stats,
)
from api.webhooks import routes as webhooks
from projections.context import BoundedContext, Contexts, load
from projections.settings import read
from projections.vault import Vault

CONTEXTS = (
    log,
    cloudevents,
    sse,
    websocket,
    asyncapi,
    streams,
    consumers,
    webhooks,
    rotation,
    matching,
    deliveries,
    delivery_lists,
    dead_letters,
    replays,
    stats,
    event_types,
    tenants,
    keys,
    tickets,
    me,
    projections,
)


def create() -> Litestar:
    """The application with the settings of the environment, for `api.app:create`."""
    settings = read(ApiSettings, os.environ)
    Vault(settings.secret_keys)  # what is no key is told here; later it were a trace
    return create_app(settings, contexts=load(settings.contexts))


def create_app(
    settings: ApiSettings, contexts: Sequence[BoundedContext] = ()
) -> Litestar:
    """The application, with the routes of these contexts beside ours.

    It begins to connect when the server starts it.
    """
    together = Contexts(contexts)
    added = [import_module(each.routes) for each in contexts if each.routes]

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with opened(settings, together) as services:
            app.state.services = services
            yield

    app = Litestar(
        [
            *(handler for module in (*CONTEXTS, *added) for handler in module.HANDLERS),
            *health.HANDLERS,
            *metrics.HANDLERS,
            *docs.HANDLERS,
            *openapi.HANDLERS,
        ],
        before_request=guards.authorise,
        exception_handlers=errors.HANDLERS,
        lifespan=[lifespan],
        request_class=ApiRequest,
        request_max_body_size=limits.BODY_BYTES,
        # Ours is made from the operations: Litestar's knows neither our errors nor
        # bodies that it does not read itself.
        openapi_config=None,
        logging_config=None,
    )
    app.state.openapi = openapi.document(
        app.routes, system_types.known(together), _examples(added)
    )
    app.asgi_handler = Edge(doors.before(Direct(app), settings))
    return app


def _examples(added: Sequence[ModuleType]) -> Examples:
    """Ours, and what these modules have under EXAMPLES."""
    found = dict(BY_SHAPE)
    for module in added:
        found |= getattr(module, "EXAMPLES", {})
    return found

"""Tickets: for browsers, which cannot send a key when they open a stream."""

from datetime import timedelta

from litestar import post

from api import answers, idempotency, shapes
from api.answers import Answer
from api.operation import operation
from api.request import ApiRequest
from api.shapes import Nothing
from api.tenancy.schemas import Ticket
from domain import clock
from domain.tenancy import ticket
from projections.tenancy import views


@post(
    "/api/v1/tickets",
    **operation(
        "Get a ticket for one stream",
        scopes=["events:read"],
        body=Nothing,
        answers={201: Ticket},
    ),
)
async def create_ticket(request: ApiRequest) -> Answer:
    """`?ticket=` of an event stream, or `token` of a WebSocket: once, within 30 s.

    It opens a stream as the key of this request does, and ends with that key. Ask for
    another one to open the stream again.
    """
    await request.read_if_any(Nothing)
    caller, made = request.caller, ticket.generate()
    expires_at = clock.now() + timedelta(seconds=ticket.LIFE_SECONDS)
    answer = answers.json(Ticket(made, shapes.time(expires_at)), status=201)
    async with request.services.database.tenant(caller.tenant_id) as connection:
        await views.keep_ticket(
            connection,
            caller.tenant_id,
            ticket.digest(made),
            caller.proof.digest,
            expires_at,
        )
        return await idempotency.keep(request, connection, answer)


HANDLERS = (create_ticket,)

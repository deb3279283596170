"""`at_least`: a read that waits until it shows what follows from a write.

Writes answer `Daybook-Position`. What is posted from the log later, deliveries and lists of
streams, is read with `at_least=` that position: then the answer has it, or is 503.
"""

import asyncio
import time

from api.errors import ReadModelBehind
from api.request import ApiRequest
from projections.log import views

PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.02


async def follow(request: ApiRequest, projection: str, position: int | None) -> None:
    """Return once a projection has posted up to a position. Raises ReadModelBehind.

    No connection is held while it waits.
    """
    if position is None:
        return
    tenant_id = request.caller.tenant_id
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        async with request.services.database.tenant(tenant_id) as connection:
            if await views.is_posted(connection, tenant_id, projection, position):
                return
        if time.monotonic() >= deadline:
            raise ReadModelBehind
        await asyncio.sleep(_PAUSE_SECONDS)

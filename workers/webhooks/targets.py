"""What requests of a webhook carry, read when an attempt shows that it has changed.

Every row that begins names the webhook's version at that moment. So a worker may keep what
it read of a version, and still each attempt goes by the configuration then in force.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain import ids
from domain.webhooks import retry
from projections.postgres import Link
from projections.vault import Sealed
from projections.webhooks.lanes import QUERIES
from workers.webhooks.endpoint import WebhookKey
from workers.webhooks.lane import Lane
from workers.webhooks.message import Key, Target


class Carried(NamedTuple):
    """A webhook as it is now: a row of `targets`, and its keys, newest first."""

    row: Any
    keys: Sequence[Key]


async def read(link: Link, lanes: Sequence[Lane]) -> None:
    """Give these lanes the target of their webhook as it is now. Raises one of AWAY."""
    found = await fetch(link, {lane.endpoint.key for lane in lanes})
    for lane in lanes:
        carried = found[lane.key.webhook_id]
        value = msgspec.convert(carried.row.retry, retry.Value)
        lane.endpoint.policy = retry.policy(value)
        lane.endpoint.keep_response = carried.row.keep_response
        lane.target = target(
            carried,
            replay=lane.key.replay,
            replay_id=ids.encode("rpl", lane.replay_id) if lane.replay_id else None,
            fresh_ids=lane.fresh_ids,
        )


async def fetch(link: Link, webhooks: Iterable[WebhookKey]) -> dict[UUID, Carried]:
    """What the requests of these webhooks carry now. Raises one of AWAY."""
    wanted = list(webhooks)
    params = {
        "tenants": [key.tenant_id for key in wanted],
        "webhooks": [key.webhook_id for key in wanted],
    }
    # The secrets first: a rotation in between then shows as an older version, and the
    # next row that begins asks again.
    keys: defaultdict[UUID, list[Key]] = defaultdict(list)
    for row in await link.rows(QUERIES["target_keys"], params):
        sealed = Sealed(row.key_id, bytes(row.sealed))
        key = Key(row.scheme, row.version, sealed, row.expires_at)
        keys[row.webhook_id].append(key)
    rows = await link.rows(QUERIES["targets"], params)
    return {row.webhook_id: Carried(row, keys[row.webhook_id]) for row in rows}


def target(
    carried: Carried,
    *,
    replay: int = 0,
    replay_id: str | None = None,
    fresh_ids: bool = False,
) -> Target:
    """Where one lane's requests go."""
    row = carried.row
    return Target(
        tenant_id=row.tenant_id,
        webhook_id=row.webhook_id,
        webhook_number=row.webhook_number,
        webhook_version=row.webhook_version,
        url=row.url,
        timeout_seconds=row.timeout_seconds,
        networks=row.networks,
        keys=carried.keys,
        headers=row.headers and Sealed(row.headers_key_id, bytes(row.headers)),
        headers_version=row.headers_version,
        replay=replay,
        replay_id=replay_id,
        fresh_ids=fresh_ids,
    )

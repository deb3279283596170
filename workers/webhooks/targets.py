"""What requests of a webhook carry, read when an attempt shows that it has changed.

Every row that begins names the webhook's version at that moment. So a worker may keep what
it read of a version, and still each attempt goes by the configuration then in force.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from domain import ids
from domain.webhooks import retry
from projections.postgres import Link
from projections.vault import Sealed
from projections.webhooks.lanes import QUERIES
from workers.webhooks.lane import Lane
from workers.webhooks.message import Key, Target


async def read(link: Link, lanes: Sequence[Lane]) -> None:
    """Give these lanes the target of their webhook as it is now. Raises one of AWAY."""
    webhooks = list({lane.endpoint.key for lane in lanes})
    params = {
        "tenants": [key.tenant_id for key in webhooks],
        "webhooks": [key.webhook_id for key in webhooks],
    }
    # The secrets first: a rotation in between then shows as an older version, and the
    # next row that begins asks again.
    keys: defaultdict[UUID, list[Key]] = defaultdict(list)
    for row in await link.rows(QUERIES["target_keys"], params):
        sealed = Sealed(row.key_id, bytes(row.sealed))
        key = Key(row.scheme, row.version, sealed, row.expires_at)
        keys[row.webhook_id].append(key)
    rows = {row.webhook_id: row for row in await link.rows(QUERIES["targets"], params)}
    for lane in lanes:
        webhook_id = lane.key.webhook_id
        lane.target = _target(lane, rows[webhook_id], keys[webhook_id])


def _target(lane: Lane, row: Any, keys: Sequence[Key]) -> Target:
    sealed = row.headers and Sealed(row.headers_key_id, bytes(row.headers))
    value = msgspec.convert(row.retry, retry.Value)
    lane.endpoint.policy = retry.policy(value)
    lane.endpoint.keep_response = row.keep_response
    return Target(
        tenant_id=row.tenant_id,
        webhook_id=row.webhook_id,
        webhook_number=row.webhook_number,
        webhook_version=row.webhook_version,
        url=row.url,
        timeout_seconds=row.timeout_seconds,
        networks=row.networks,
        keys=keys,
        headers=sealed,
        headers_version=row.headers_version,
        replay=lane.key.replay,
        replay_id=ids.encode("rpl", lane.replay_id) if lane.replay_id else None,
        fresh_ids=lane.fresh_ids,
    )

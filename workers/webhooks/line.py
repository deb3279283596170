"""The line of lanes that may have something to do: tenants take turns, then their lanes."""

from collections import OrderedDict
from uuid import UUID

from projections.webhooks.lanes import LaneKey


class Line:
    """First come, first served within a tenant; round robin over tenants.

    So a tenant with a thousand busy webhooks gets the next slot as often as one with a
    single webhook.
    """

    def __init__(self) -> None:
        self._tenants: OrderedDict[UUID, OrderedDict[LaneKey, None]] = OrderedDict()

    def add(self, key: LaneKey) -> None:
        """Stand in line; who already does keeps the place."""
        self._tenants.setdefault(key.tenant_id, OrderedDict()).setdefault(key)

    def remove(self, key: LaneKey) -> None:
        """Leave the line."""
        lanes = self._tenants.get(key.tenant_id)
        if lanes is not None and key in lanes:
            del lanes[key]
            if not lanes:
                del self._tenants[key.tenant_id]

    def next(self) -> LaneKey | None:
        """Whose turn it is; it leaves the line, and its tenant goes to the end."""
        if not self._tenants:
            return None
        tenant_id, lanes = self._tenants.popitem(last=False)
        key, _ = lanes.popitem(last=False)
        if lanes:
            self._tenants[tenant_id] = lanes
        return key

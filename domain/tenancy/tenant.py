"""A tenant: who owns everything. Its events open its own log."""

import re
from uuid import UUID

from eventsourcing.domain import event

from domain import grammar, ids, model
from domain.errors import Fault
from domain.model import Aggregate


def originator_id(tenant_id: UUID) -> str:
    """Its stream: `$tenant/ten_...`."""
    return model.originator_id(tenant_id, f"$tenant/{ids.encode('ten', tenant_id)}")


# It may stand in a header, `Daybook-Tenant`.
_EXTERNAL_ID = re.compile(r"[!-~]{1,128}")


class Tenant(Aggregate):
    """A customer of whoever operates Daybook."""

    TOPIC = "daybook/tenant"

    @event("Created", topic="daybook.tenant.created")
    def __init__(self, id: str, name: str, external_id: str | None) -> None:
        self.name = name
        self.external_id = external_id

    def change(self, name: str, external_id: str | None) -> None:
        """Rename; nothing happens when nothing differs."""
        if (name, external_id) != (self.name, self.external_id):
            self._change(name, external_id)

    @event("Updated", topic="daybook.tenant.updated")
    def _change(self, name: str, external_id: str | None) -> None:
        self.name = name
        self.external_id = external_id


def check(name: str, external_id: str | None) -> list[Fault]:
    """What is wrong with a tenant's names."""
    faults = grammar.check_name(name)
    if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
        faults.append(
            Fault("#/external_id", "invalid", "1 to 128 visible ASCII characters")
        )
    return faults

"""A tenant: who owns everything. Its events open its own log."""

import re
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.domain import event

from domain import grammar, ids, model
from domain.errors import Fault, Invalid
from domain.model import Aggregate
from domain.tenancy import settings
from domain.tenancy.settings import Settings


def originator_id(tenant_id: UUID) -> str:
    """Its stream: `$tenant/ten_...`."""
    return model.originator_id(tenant_id, f"$tenant/{ids.encode('ten', tenant_id)}")


# It may stand in a header, `Daybook-Tenant`, where an id may stand too.
_EXTERNAL_ID = re.compile(r"(?!ten_)[!-~]{1,128}")


class Tenant(Aggregate):
    """A customer of whoever operates Daybook."""

    TOPIC = "daybook/tenant"

    @event("Created", topic="daybook.tenant.created")
    def __init__(self, id: str, name: str, external_id: str | None) -> None:
        self.name = name
        self.external_id = external_id
        self.settings: dict[str, Any] = {}
        self.is_suspended = False
        self.is_offboarded = False
        self.entered: dict[str, str] = {}  # platform key -> the last day it came

    def change(self, name: str, external_id: str | None) -> None:
        """Rename; nothing happens when nothing differs."""
        if (name, external_id) != (self.name, self.external_id):
            self._change(name, external_id)

    @event("Updated", topic="daybook.tenant.updated")
    def _change(self, name: str, external_id: str | None) -> None:
        self.name = name
        self.external_id = external_id

    def configure(self, wanted: Settings) -> None:
        """Replace the settings; nothing happens when nothing differs."""
        if wanted != settings.read(self.settings):
            self._configure(msgspec.to_builtins(wanted))

    @event("Configured", topic="daybook.tenant.configured")
    def _configure(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def suspend(self, reason: str | None) -> None:
        """Its keys may do nothing, its deliveries wait. Nothing happens when they do."""
        if not self.is_suspended:
            self._suspend(reason)

    @event("Suspended", topic="daybook.tenant.suspended")
    def _suspend(self, reason: str | None) -> None:
        self.is_suspended = True

    def resume(self) -> None:
        """Go on where it was. Raises Invalid for one that was offboarded."""
        if self.is_offboarded:
            raise Invalid([Fault("#", "invalid", "it was offboarded, for good")])
        if self.is_suspended:
            self._resume()

    @event("Resumed", topic="daybook.tenant.resumed")
    def _resume(self) -> None:
        self.is_suspended = False

    def offboard(self) -> None:
        """End it, for good; its log stays. Raises Invalid while it is not suspended."""
        if not self.is_suspended:
            raise Invalid([Fault("#", "invalid", "suspend it first")])
        if not self.is_offboarded:
            self._offboard()

    @event("Offboarded", topic="daybook.tenant.offboarded")
    def _offboard(self) -> None:
        self.is_offboarded = True

    def enter(self, key_id: str, on: str) -> None:
        """A platform key acts for the tenant: told once a day, whatever it does."""
        if self.entered.get(key_id) != on:
            self._enter(key_id, on)

    @event("Entered", topic="daybook.tenant.entered")
    def _enter(self, key_id: str, on: str) -> None:
        self.entered[key_id] = on


def check(name: str, external_id: str | None) -> list[Fault]:
    """What is wrong with a tenant's names."""
    faults = grammar.check_name(name)
    if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
        detail = "1 to 128 visible ASCII characters, not beginning with ten_"
        faults.append(Fault("#/external_id", "invalid", detail))
    return faults

"""That a platform key acts for a tenant stands in the tenant's own log, once a day.

What it writes names it as the actor anyway; this tells of one that only reads. It is
written before the key may do anything: when the log cannot be, the call is refused.
"""

from datetime import date

from api import commands
from api.authentication import Caller
from domain import clock
from domain.application import Log
from domain.log.entry import Context
from domain.tenancy import commands as tenancy_commands


class Entrances:
    """Which ones this process has written today; the log itself knows a repeat."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._day = date.min
        self._written: set[tuple[object, object]] = set()

    async def enter(self, caller: Caller) -> None:
        """Have it in the log that this platform key came today. Raises DomainError."""
        tenant, key_id, today = caller.tenant, caller.key_id, clock.now().date()
        if tenant is None or key_id is None:
            return
        if today != self._day:
            self._day = today
            self._written.clear()
        if (tenant, key_id) in self._written:
            return

        def enter(context: Context) -> None:
            tenancy_commands.enter_tenant(self._log, context, tenant, key_id, today)

        await commands.run(caller, enter)
        self._written.add((tenant, key_id))

"""What a projection is: a name and what to do with the next events, in one transaction."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from projections.postgres import Connection

Policy = Literal["pause", "park", "skip"]


class Batch(NamedTuple):
    """The events after `after`, up to and including `through`; log positions, no holes.

    `generation` says which of the projection's rows to write. `tenant_id`: that tenant's
    events only. `left_out`: positions not to apply, because they are parked or skipped.
    """

    after: int
    through: int
    generation: int = 1
    tenant_id: UUID | None = None
    left_out: Sequence[int] = ()

    @property
    def size(self) -> int:
        """How many positions it spans."""
        return self.through - self.after

    def params(self) -> dict[str, Any]:
        """As parameters of a statement."""
        return self._asdict() | {"left_out": list(self.left_out)}


class Projection(Protocol):
    """Posts events from the log into tables of its own."""

    @property
    def name(self) -> str:
        """Its checkpoint's name: chosen once, kept for ever."""

    @property
    def version(self) -> int:
        """Raised when what it writes changes; a rebuild brings the rows up to it."""

    @property
    def policy(self) -> Policy:
        """What happens to an event that cannot be applied."""

    def batch_size(self) -> int:
        """How many events the next batch may have."""

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Post the batch within the open transaction; whatever it raises undoes it all."""

    def applied(self, batch: Batch) -> None:
        """The batch is committed: tell whoever waits in this process."""


class Rebuildable(Projection, Protocol):
    """A projection whose rows are nothing but the log, told otherwise.

    Its tables have a `generation`, so a second set of rows can grow beside the first.
    """

    async def checksum(self, connection: Connection, generation: int) -> Any:
        """A figure of all rows of a generation: equal rows, equal figure."""

    async def clear(
        self, connection: Connection, keep: Sequence[int], most: int
    ) -> int:
        """Delete up to `most` rows of other generations; how many there were."""

    async def clear_tenant(
        self, connection: Connection, generation: int, tenant_id: UUID
    ) -> None:
        """Delete a tenant's rows of a generation."""


class LogDamaged(RuntimeError):
    """Positions are missing from the log: stop, and let a person look."""


class NeedsNewerCode(RuntimeError):
    """The events ahead are of a kind this program does not know yet: not poison.

    The projection stops here and another worker, of a newer version, may go on.
    """

"""Webhooks that may reach their own networks only: each set of networks has a sender.

The guard judges an address when a connection is made, and a connection serves many
requests. Were it shared, one that was made for a webhook without networks would carry the
requests of another, to an address that the other does not allow.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from workers.webhooks.sender import Answer, Outgoing, Sender

MOST_SENDERS = 50  # kept for networks; beyond it, those at rest are closed

_Networks: TypeAlias = tuple[str, ...] | None


class MakeSender(Protocol):
    """Makes a sender that reaches these networks only; None: all that is public."""

    def __call__(self, *, networks: Sequence[str] | None) -> Sender: ...


class ConfinedSender:
    """A Sender made of others; construct it inside the running loop it will be used in."""

    def __init__(self, make: MakeSender) -> None:
        self._make = make
        self._senders: OrderedDict[_Networks, Sender] = OrderedDict()
        self._in_flight: Counter[_Networks] = Counter()

    async def send(self, request: Outgoing) -> Answer:
        """Send it once, by the sender of its networks."""
        networks = None if request.networks is None else tuple(request.networks)
        sender = self._senders.get(networks)
        if sender is None:
            sender = self._senders[networks] = self._make(networks=networks)
        self._senders.move_to_end(networks)
        self._in_flight[networks] += 1
        try:
            return await sender.send(request)
        finally:
            self._in_flight[networks] -= 1
            if len(self._senders) > MOST_SENDERS:
                await self._close_those_at_rest()

    async def close(self) -> None:
        """Close the idle connections; requests still in flight fail."""
        while self._senders:
            _, sender = self._senders.popitem()
            await sender.close()

    async def _close_those_at_rest(self) -> None:
        resting = [one for one in self._senders if one and not self._in_flight[one]]
        for networks in resting[: max(0, len(self._senders) - MOST_SENDERS)]:
            await self._senders.pop(networks).close()
            del self._in_flight[networks]

"""Rate limits: the policies, whom each counts for, and the headers that tell of them.

Publishing is drawn from blocks, so it asks the database about once in 150 requests; every
other request asks each time, with those that come together, and is counted exactly. Who
asks is known by then, but not whether they may: a refusal counts as well.
"""

import math
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from uuid import UUID

from api.authentication import Caller
from api.errors import RateLimited
from api.settings import ApiSettings
from projections.rates import Quota, Rates, Taken

# The policies. `test` and `retry` count within `default`, for each webhook.
DEFAULT, PUBLISH, AUTH, TEST, RETRY = "default", "publish", "auth", "test", "retry"
WINDOW_SECONDS = 60
_NETWORK_BITS = 64  # of an IPv6 address: a household or a host has all that follow

Header = tuple[bytes, bytes]


class Quotas:
    """The rate limits of one process."""

    def __init__(self, rates: Rates, settings: ApiSettings) -> None:
        self._rates = rates
        self._limits = {
            DEFAULT: settings.limit_default,
            PUBLISH: settings.limit_publish,
            AUTH: settings.limit_auth,
            TEST: settings.limit_test,
            RETRY: settings.limit_retry,
        }
        self._is_development = settings.development

    def limit(self, policy: str, caller: Caller) -> int | None:
        """Requests a minute; None is as many as there are."""
        if policy == PUBLISH and self._is_development:
            return None
        own: int | None = getattr(caller.settings.limits, policy)
        return self._limits[policy] if own is None else own

    async def admit(self, scope: Any, caller: Caller, policy: str) -> None:
        """Count a request of this caller's. Raises RateLimited, Unavailable."""
        limit = self.limit(policy, caller)
        if limit is None:
            return
        if policy == PUBLISH and caller.tenant is not None:
            quota = _quota(PUBLISH, caller.tenant, limit)
            taken = self._rates.drawn(quota) or await self._rates.draw(quota)
        else:
            quota = _quota(DEFAULT, caller.key_id, limit)
            taken = await self._rates.take(quota)
        _tell(scope, policy, limit, taken)

    async def admit_within(
        self, scope: Any, caller: Caller, policy: str, subject: object
    ) -> None:
        """Count it for this webhook as well. Raises RateLimited, Unavailable."""
        limit = self.limit(policy, caller)
        if limit is not None:
            quota = _quota(policy, f"{caller.tenant} {subject}", limit)
            _tell(scope, policy, limit, await self._rates.take(quota))

    async def admit_attempt(self, scope: Any) -> None:
        """Count a failed try to say who one is. Raises RateLimited, Unavailable."""
        limit = self._limits[AUTH]
        taken = await self._rates.take(_quota(AUTH, _network(scope["client"]), limit))
        _tell(scope, AUTH, limit, taken)


@lru_cache(10_000)
def _quota(policy: str, subject: UUID | str | None, limit: int) -> Quota:
    return Quota(f"{policy} {subject or 'operator'}", limit, WINDOW_SECONDS)


def _tell(scope: Any, policy: str, limit: int, taken: Taken) -> None:
    """Put the headers on the answer. Raises RateLimited when there is none to be had."""
    seconds = math.ceil(taken.seconds_left)
    added: list[Header] | None = scope["state"].get("added")
    if added is not None:  # a WebSocket has no headers any more
        rest = b'"%b";r=%d;t=%d' % (policy.encode(), taken.left, seconds)
        added += (_policy(policy, limit), (b"ratelimit", rest))
    if not taken.is_granted:
        raise RateLimited(policy, limit, seconds)


@lru_cache(1000)
def _policy(policy: str, limit: int) -> Header:
    return b"ratelimit-policy", b'"%b";q=%d;w=%d' % (
        policy.encode(),
        limit,
        WINDOW_SECONDS,
    )


def _network(client: tuple[str, int] | None) -> str:
    """Whom an address stands for: itself, or the IPv6 network that its host is given."""
    if client is None:
        return "unknown"
    try:
        address = ip_address(client[0].partition("%")[0])
    except ValueError:  # a socket's name
        return client[0]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _NETWORK_BITS), strict=False))

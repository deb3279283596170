"""What the operator sets of a tenant: how strict it is, what it keeps, how much it has."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from domain.errors import Fault

MOST_RETENTION_DAYS = 36_500
MOST_WEBHOOKS = 10_000  # that a tenant may be given; its lanes are looked at one by one
MOST_REQUESTS = 100_000_000  # a minute: as good as no limit
RATES = ("default", "publish", "test", "retry")


class Limits(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How much of what a tenant may have; None is what every tenant may.

    The others are requests a minute: of a key, to publish, and for each webhook to test it
    and to retry its deliveries.
    """

    webhooks: int | None = None
    default: int | None = None
    publish: int | None = None
    test: int | None = None
    retry: int | None = None


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Left out means its default.

    strict_types: events of types that nobody declared are refused. retention_days: how long
    the history of deliveries is kept; None is as long as every tenant's.
    """

    strict_types: bool = False
    retention_days: int | None = None
    limits: Limits = Limits()


def read(stored: Mapping[str, Any]) -> Settings:
    """Settings as an event or a row has them; what is newer than those has its default."""
    return msgspec.convert(stored, Settings)


def changed(settings: Settings, named: Mapping[str, Any]) -> Settings:
    """With the named members replaced, those of `limits` too; None is the default."""
    values = msgspec.structs.asdict(settings) | dict(named)
    if values["limits"] is not None:
        limits = named.get("limits") or {}
        values["limits"] = msgspec.structs.replace(settings.limits, **limits)
    return Settings(**{name: v for name, v in values.items() if v is not None})


def check(settings: Settings) -> list[Fault]:
    """What is wrong with the settings, each fault with its place."""
    return [
        *_check("retention_days", settings.retention_days, 1, MOST_RETENTION_DAYS),
        *_check("limits/webhooks", settings.limits.webhooks, 0, MOST_WEBHOOKS),
        *(
            fault
            for rate in RATES
            for fault in _check(
                f"limits/{rate}", getattr(settings.limits, rate), 1, MOST_REQUESTS
            )
        ),
    ]


def _check(name: str, value: int | None, low: int, high: int) -> list[Fault]:
    if value is None or low <= value <= high:
        return []
    return [Fault(f"#/settings/{name}", "invalid", f"from {low:,} to {high:,}")]

"""What a webhook can be set to, with its defaults, and what is wrong with settings."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from domain import grammar, patterns, payload_filter
from domain.errors import Fault
from domain.webhooks import address
from domain.webhooks import retry as retries

Format = Literal["standard", "raw", "cloudevents", "cloudevents_binary"]
Scheme = Literal["v1", "v1a"]
Ordering = Literal["none", "stream"]
OnDead = Literal["continue", "hold"]

DAY = 86_400
DEFAULT_SIGNING: tuple[Scheme, ...] = ("v1",)


class DisableAfter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook is disabled after so many failed attempts, none succeeded since, of which
    the first is at least `over_seconds` ago; 0: by count alone."""

    failures: int = 10
    over_seconds: int = DAY


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant sets; left out means its default.

    The values of headers are secrets: here are their names, and the version of the
    webhook with which the values were set (0: there are none).
    """

    url: str
    event_types: list[str]
    streams: list[str] = msgspec.field(default_factory=lambda: [patterns.EVERYTHING])
    filter: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    header_names: list[str] = msgspec.field(default_factory=list)
    headers_version: int = 0
    format: Format = "standard"
    signing: list[Scheme] = msgspec.field(default_factory=lambda: list(DEFAULT_SIGNING))
    retry: retries.Value = retries.DEFAULT
    timeout_seconds: int = 15
    rate_per_second: float | None = None
    max_in_flight: int = 10
    ordering: Ordering = "none"
    on_dead: OnDead = "continue"
    disable_after: DisableAfter = DisableAfter()
    keep_response: bool = False
    networks: list[str] | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


def check(
    settings: Settings,
    *,
    development: bool,
    ports: frozenset[int] = address.HTTPS_PORTS,
) -> list[Fault]:
    """What is wrong with the settings, each fault with its place."""
    faults: list[Fault] = []
    if reason := address.check_url(settings.url, development=development, ports=ports):
        faults.append(Fault("#/url", "url_refused", reason))
    faults += address.check_networks(settings.networks)
    faults += patterns.check(settings.event_types)
    faults += patterns.check_streams(settings.streams)
    faults += payload_filter.check(settings.filter)
    faults += _check_names(settings)
    faults += _check_signing(settings.signing)
    faults += retries.check(settings.retry)
    faults += _check_figures(settings)
    faults += grammar.check_metadata(msgspec.json.encode(settings.metadata))
    return faults


def _check_names(settings: Settings) -> list[Fault]:
    faults: list[Fault] = []
    if settings.name is not None:
        faults += grammar.check_name(settings.name)
    if settings.description is not None:
        faults += grammar.check_description(settings.description)
    return faults


def _check_signing(schemes: list[Scheme]) -> list[Fault]:
    if schemes and len(set(schemes)) == len(schemes):
        return []
    return [Fault("#/signing", "invalid", "one or both of v1 and v1a, each once")]


def _check_figures(settings: Settings) -> list[Fault]:
    after = settings.disable_after
    rate = 1.0 if settings.rate_per_second is None else settings.rate_per_second
    return [
        *_check_range("#/timeout_seconds", settings.timeout_seconds, 1, 30),
        *_check_range("#/rate_per_second", rate, 0.01, 10_000),
        *_check_range("#/max_in_flight", settings.max_in_flight, 1, 50),
        *_check_range("#/disable_after/failures", after.failures, 1, 1_000),
        *_check_range("#/disable_after/over_seconds", after.over_seconds, 0, 30 * DAY),
    ]


def _check_range(pointer: str, value: float, low: float, high: float) -> list[Fault]:
    if low <= value <= high:
        return []
    return [Fault(pointer, "invalid", f"from {low:,} to {high:,}")]

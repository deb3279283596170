"""A webhook's settings from what was sent, told from what is only shown."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from api import places, reading
from api.places import Place
from api.webhooks.setting_schemas import WebhookSettings
from domain.errors import Fault, Invalid
from domain.webhooks import headers, retry, signing
from domain.webhooks import settings as rules
from domain.webhooks.settings import DisableAfter, Settings
from projections.webhooks import views

_NAMES = [name for name in WebhookSettings.__struct_fields__ if name != "headers"]
_REQUIRED = ("url", "event_types")
# Stand in for what is missing or wrong, so that the rest can be judged all the same.
_PLACEHOLDERS = {"url": "https://example.com/", "event_types": ["*"]}


class Sent(NamedTuple):
    """What was sent: settings without what their headers are, and what stands beside them.

    `headers` None: they stay as they are. `secret` None: none of one's own.
    """

    settings: Settings
    headers: dict[str, str] | None
    secret: bytes | None
    start: Place


def read(
    raw: bytes,
    kind: type[Struct],
    *,
    seen: views.Webhook | None,
    keep: bool,
    shown: Mapping[str, Any],
    development: bool,
    ports: frozenset[int],
) -> Sent:
    """The settings that are meant. Raises Invalid with all faults.

    `seen` is the webhook so far; what was not sent stays so with `keep`, else it goes
    back to its default. `shown` is what GET answers.
    """
    values, faults = reading.changes(raw, kind, shown)
    own_headers: dict[str, str] | None = None if keep else {}
    if "headers" in values:
        own_headers = values.pop("headers") or {}
    secret = _secret(values.pop("secret", None), faults)
    start: Place = values.pop("start", None) or "now"
    faults += places.check(start, "#/start")
    settings = _settings(values, current(seen) if keep and seen else {}, faults)
    faults += rules.check(settings, development=development, ports=ports)
    known = (
        frozenset(name.lower() for name in seen.header_names) if seen else frozenset()
    )
    faults += headers.check(own_headers or {}, known)
    if faults:
        raise Invalid([_of_filter(fault) for fault in faults])
    return Sent(settings, own_headers, secret, start)


def _settings(
    values: dict[str, Any], base: dict[str, Any], faults: list[Fault]
) -> Settings:
    """Null means the default, and the default is what Settings has."""
    wrong = {fault.pointer.split("/")[1] for fault in faults}
    chosen = {
        name: value for name, value in {**base, **values}.items() if value is not None
    }
    faults += [
        Fault(f"#/{name}", "invalid", "it is required")
        for name in _REQUIRED
        if name not in chosen and name not in wrong
    ]
    return Settings(**{**_PLACEHOLDERS, **chosen})


def read_secret(text: str | None) -> bytes:
    """The secret that was sent, or a new one. Raises Invalid."""
    faults: list[Fault] = []
    secret = _secret(text, faults)
    if faults:
        raise Invalid(faults)
    return secret or signing.new_secret()


def current(row: views.Webhook) -> dict[str, Any]:
    """The settings a webhook has, but for its headers."""
    shaped = {"retry": own_retry(row), "disable_after": disable_after(row)}
    return {name: shaped.get(name) or getattr(row, name) for name in _NAMES}


def own_retry(row: views.Webhook) -> retry.Value:
    """A row's retry setting, typed."""
    value: retry.Value = msgspec.convert(row.retry, retry.Value)
    return value


def disable_after(row: views.Webhook) -> DisableAfter:
    """A row's two columns as the one setting."""
    return DisableAfter(
        failures=row.disable_failures, over_seconds=row.disable_over_seconds
    )


def _secret(text: str | None, faults: list[Fault]) -> bytes | None:
    try:
        return None if text is None else signing.parse_secret(text)
    except signing.MalformedSecret as error:
        faults.append(Fault("#/secret", "invalid", str(error)))
        return None


def _of_filter(fault: Fault) -> Fault:
    """A filter that is not even an object of numbers that exist is one kind of wrong."""
    is_filters = fault.pointer.split("/")[1:2] == ["filter"]
    return fault._replace(code="filter_invalid") if is_filters else fault

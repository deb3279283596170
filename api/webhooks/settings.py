"""A webhook's settings from what was sent, told from what is only shown."""

from collections.abc import Mapping
from typing import Any

from api import reading
from api.webhooks.schemas import WebhookSettings
from domain.errors import Fault, Invalid
from domain.webhooks import settings as rules
from domain.webhooks.settings import Settings
from projections.webhooks import views

_NAMES = WebhookSettings.__struct_fields__
_REQUIRED = ("url", "event_types")
# Stand in for what is missing or wrong, so that the rest can be judged all the same.
_PLACEHOLDERS = {"url": "https://example.com/", "event_types": ["*"]}


def read(
    raw: bytes,
    *,
    base: Mapping[str, Any],
    shown: Mapping[str, Any],
    development: bool,
) -> Settings:
    """The settings: `base` with what was sent. Raises Invalid with all faults.

    `base` is empty for POST and PUT; `shown` is what GET answers, empty for POST.
    """
    values, faults = reading.changes(raw, WebhookSettings, shown)
    wrong = {fault.pointer.split("/")[1] for fault in faults}
    # Null means the default, and the default is what Settings has.
    chosen = {
        name: value for name, value in {**base, **values}.items() if value is not None
    }
    faults += [
        Fault(f"#/{name}", "invalid", "it is required")
        for name in _REQUIRED
        if name not in chosen and name not in wrong
    ]
    settings = Settings(**{**_PLACEHOLDERS, **chosen})
    faults += rules.check(settings, development=development)
    if faults:
        raise Invalid([_own_schedule(raw, fault) for fault in faults])
    return settings


def current(row: views.Webhook) -> dict[str, Any]:
    """The settings a webhook has."""
    return {name: getattr(row, name) for name in _NAMES}


def _own_schedule(raw: bytes, fault: Fault) -> Fault:
    """A schedule of one's own is good form; Daybook only cannot keep it yet."""
    if fault.pointer != "#/retry":
        return fault
    if not bytes(reading.members(raw)["retry"]).startswith(b"{"):
        return fault
    return fault._replace(code="unknown_field", detail="only the presets are known yet")

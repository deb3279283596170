"""What the operator sets of a tenant: members are replaced by name, null is the default."""

from typing import Any

import pytest

from domain.tenancy import settings
from domain.tenancy.settings import Limits, Settings

PRESENT = Settings(strict_types=True, retention_days=30, limits=Limits(webhooks=5))


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, PRESENT),
        ({"strict_types": False}, (False, 30, 5)),
        ({"strict_types": None}, (False, 30, 5)),
        ({"retention_days": 7}, (True, 7, 5)),
        ({"retention_days": None}, (True, None, 5)),
        ({"limits": {}}, (True, 30, 5)),
        ({"limits": {"webhooks": 9}}, (True, 30, 9)),
        ({"limits": {"webhooks": None}}, (True, 30, None)),
        ({"limits": None}, (True, 30, None)),
    ],
)
def test_what_is_not_named_stays(named: dict[str, Any], expected: Any) -> None:
    if not isinstance(expected, Settings):
        strict, days, webhooks = expected
        expected = Settings(
            strict_types=strict, retention_days=days, limits=Limits(webhooks=webhooks)
        )
    assert settings.changed(PRESENT, named) == expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, Settings()),
        ({"strict_types": True}, Settings(strict_types=True)),
        ({"limits": {}}, Settings()),
    ],
)
def test_settings_of_an_older_program_have_defaults(
    stored: dict[str, Any], expected: Settings
) -> None:
    assert settings.read(stored) == expected


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (Settings(), []),
        (Settings(retention_days=1), []),
        (Settings(retention_days=36_500, limits=Limits(webhooks=0)), []),
        (Settings(retention_days=0), ["#/settings/retention_days"]),
        (Settings(retention_days=36_501), ["#/settings/retention_days"]),
        (
            Settings(retention_days=-1, limits=Limits(webhooks=-1)),
            ["#/settings/retention_days", "#/settings/limits/webhooks"],
        ),
    ],
)
def test_what_may_be_set(wanted: Settings, places: list[str]) -> None:
    assert [fault.pointer for fault in settings.check(wanted)] == places

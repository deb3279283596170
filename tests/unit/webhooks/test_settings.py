"""What a webhook can be set to: the defaults hold, and each wrong place is named."""

from typing import Any

import msgspec
import pytest

from domain.webhooks import settings
from domain.webhooks.address import is_within
from domain.webhooks.settings import DisableAfter, Settings

GOOD: dict[str, Any] = {"url": "https://erp.example/", "event_types": ["a.*"]}


def places(**changes: Any) -> list[str]:
    found = settings.check(Settings(**(GOOD | changes)), development=False)
    return [fault.pointer for fault in found]


def test_the_defaults_are_fine() -> None:
    assert places() == []


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"url": "http://erp.example/"}, "#/url"),
        ({"event_types": ["a*"]}, "#/event_types/0"),
        ({"streams": ["a", "b*c"]}, "#/streams/1"),
        ({"streams": []}, "#/streams"),
        ({"name": ""}, "#/name"),
        ({"description": "\0"}, "#/description"),
        ({"signing": []}, "#/signing"),
        ({"signing": ["v1", "v1"]}, "#/signing"),
        ({"retry": "slow"}, "#/retry"),
        ({"timeout_seconds": 0}, "#/timeout_seconds"),
        ({"timeout_seconds": 31}, "#/timeout_seconds"),
        ({"rate_per_second": 0.0}, "#/rate_per_second"),
        ({"rate_per_second": float("nan")}, "#/rate_per_second"),
        ({"max_in_flight": 51}, "#/max_in_flight"),
        ({"disable_after": DisableAfter(failures=0)}, "#/disable_after/failures"),
        (
            {"disable_after": DisableAfter(over_seconds=-1)},
            "#/disable_after/over_seconds",
        ),
        ({"networks": []}, "#/networks"),
        ({"networks": ["203.0.113.0/24"] * 21}, "#/networks"),
        ({"networks": ["203.0.113.0/24", "203.0.113.1/24"]}, "#/networks/1"),
        ({"networks": ["203.0.113.7"]}, "#/networks/0"),
        ({"networks": ["2001:db8::/129"]}, "#/networks/0"),
        ({"metadata": {"": 1}}, "#/metadata"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], wrong: str) -> None:
    assert places(**changes) == [wrong]


def test_settings_survive_their_event() -> None:
    given = Settings(
        **GOOD,
        streams=["site/*", "heures/77"],
        filter={"data.n": 1},
        signing=["v1a", "v1"],
        rate_per_second=0.5,
        disable_after=DisableAfter(failures=3, over_seconds=0),
        networks=["203.0.113.0/24", "2001:db8::/32"],
    )
    plain = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(given)))

    assert msgspec.convert(plain, Settings) == given
    assert settings.check(given, development=False) == []


@pytest.mark.parametrize(
    ("ip", "within"),
    [
        ("203.0.113.0", True),
        ("203.0.113.255", True),
        ("203.0.114.0", False),
        ("::ffff:203.0.113.7", True),
        ("64:ff9b::203.0.113.7", True),
        ("2001:db8:ffff::1", True),
        ("2001:db9::1", False),
    ],
)
def test_an_address_is_judged_unwrapped(ip: str, within: bool) -> None:
    assert is_within(ip, ["203.0.113.0/24", "2001:db8::/32"]) is within

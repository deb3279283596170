"""The life of a tenant: what it decides, and what it refuses."""

from collections.abc import Callable

import pytest

from domain import ids
from domain.errors import Invalid
from domain.tenancy import tenant
from domain.tenancy.settings import Settings
from domain.tenancy.tenant import Tenant


@pytest.fixture
def made() -> Tenant:
    """A tenant whose beginning is behind it."""
    found = Tenant(
        id=tenant.originator_id(ids.new()), name="Northside", external_id=None
    )
    found.collect_events()
    return found


def told(found: Tenant) -> list[str]:
    """The topics of what was decided since."""
    return [event.TOPIC for event in found.collect_events()]  # type: ignore[attr-defined]


def test_it_is_suspended_and_goes_on(made: Tenant) -> None:
    made.suspend("unpaid")
    made.suspend("again")
    made.resume()
    made.resume()
    assert told(made) == ["daybook.tenant.suspended", "daybook.tenant.resumed"]


def test_it_ends_once_and_for_good(made: Tenant) -> None:
    with pytest.raises(Invalid):
        made.offboard()
    made.suspend(None)
    made.offboard()
    made.offboard()
    with pytest.raises(Invalid):
        made.resume()
    assert told(made) == ["daybook.tenant.suspended", "daybook.tenant.offboarded"]


def test_a_platform_key_comes_once_a_day(made: Tenant) -> None:
    for key, day in (("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("b", "1")):
        made.enter(key, day)
    assert told(made) == ["daybook.tenant.entered"] * 3


@pytest.mark.parametrize(
    "nothing",
    [
        lambda found: found.change("Northside", None),
        lambda found: found.configure(Settings()),
        lambda found: found.resume(),
    ],
)
def test_where_nothing_differs_nothing_is_said(
    made: Tenant, nothing: Callable[[Tenant], None]
) -> None:
    nothing(made)
    assert told(made) == []


@pytest.mark.parametrize("name", ["", "é", "a b", "ten_1", "x" * 129])
def test_what_is_no_external_id(name: str) -> None:
    assert [fault.pointer for fault in tenant.check("a", name)] == ["#/external_id"]


@pytest.mark.parametrize("name", [None, "x", "erp/77#ten_", "x" * 128])
def test_what_is_one(name: str | None) -> None:
    assert tenant.check("a", name) == []

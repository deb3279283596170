"""Keys: random, told from a typo, kept as a hash; what one may have and hand on."""

import secrets
from typing import Any

import pytest

from domain import ids
from domain.errors import NotFound
from domain.tenancy import api_key
from domain.tenancy.api_key import ACT, SCOPES, ApiKey


def test_a_key_has_256_random_bits() -> None:
    made = {api_key.generate() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(key) for key in made} == {4 + 52 + 6}
    assert len(ids.ALPHABET) ** 52 >= 2**256
    # each digit is drawn, none is fixed
    for place in range(4, 56):
        assert len({key[place] for key in made}) == len(ids.ALPHABET)


def test_a_typo_is_told_from_a_key() -> None:
    key = api_key.generate()
    assert api_key.is_well_formed(key)
    for place in range(len(key)):
        for digit in (secrets.choice(ids.ALPHABET), "é", " ", "\x00"):
            wrong = key[:place] + digit + key[place + 1 :]
            assert api_key.is_well_formed(wrong) == (wrong == key)
    for wrong in ("", "dbk_", key[:-1], key + "0", key.upper(), key[4:], f"x{key}"):
        assert not api_key.is_well_formed(wrong)


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "fine": ({"scopes": ["events:read"]}, []),
    "none": ({"scopes": []}, ["#/scopes"]),
    "unknown": ({"scopes": ["events:eat"]}, ["#/scopes/0"]),
    "not its own": (
        {"scopes": ["events:read", "events:write"], "own": ["events:read"]},
        ["#/scopes/1"],
    ),
    "for the platform": ({"scopes": [ACT]}, ["#/scopes/0"]),
    "of the platform": ({"scopes": [ACT], "is_platform": True}, []),
    "not the platform's own": (
        {"scopes": [ACT], "own": SCOPES, "is_platform": True},
        ["#/scopes/0"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_key_may_have(name: str) -> None:
    given, places = BAD[name]
    given = {"own": (*SCOPES, ACT)} | given
    scopes, own = given.pop("scopes"), given.pop("own")
    faults = api_key.check("one", scopes, own, **given)
    assert [fault.pointer for fault in faults] == places


def test_what_has_ended_is_not_rotated() -> None:
    place = api_key.originator_id(ids.new(), ids.new())
    key = ApiKey(id=place, name="one", scopes=["events:read"], expires_at=None)
    key.revoke()
    key.revoke()
    with pytest.raises(NotFound):
        key.rotate("one", ["events:read"], None, None)
    assert key.version == 2

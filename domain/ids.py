"""Typed, prefixed, time-sortable ids: `wh_` and 26 digits of Crockford's base 32.

A new id is a ULID (https://github.com/ulid/spec): 48 bits of milliseconds, then 80 random
bits, kept as a UUID in the database. The ids of deliveries and attempts are not drawn but
*computed* from what they name, so no row needs a column or an index for them.
"""

import secrets
import time
from functools import lru_cache
from typing import Literal, NamedTuple
from uuid import UUID

Prefix = Literal["evt", "wh", "dlv", "att", "rpl", "key", "ten", "req"]

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 26
_VALUES = {digit: value for value, digit in enumerate(ALPHABET)}
# Two digits at a time: lists show many ids.
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_SHIFTS = range(120, -1, -10)
# Of a fresh id's digits the first ten are the time, the others noise.
_TIME_DIGITS, _NOISE_DIGITS = 10, 16
_NOISE_TABLE = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))

# How many of the 130 bits each part of a delivery's or an attempt's id takes. The position
# leads, so these ids sort by the log. All parts count within one tenant: an id tells a
# tenant nothing about another one.
_POSITION, _WEBHOOK, _REPLAY, _NUMBER = 50, 28, 28, 24


class MalformedId(ValueError):
    """The text is not an id of this kind; to a caller it is an absent one."""


class DeliveryKey(NamedTuple):
    """What a delivery's id names, and with `number` what an attempt's id names."""

    position: int
    webhook_number: int
    replay: int = 0
    number: int = 0


def new() -> UUID:
    """A fresh time-sortable id."""
    noise = int.from_bytes(secrets.token_bytes(10))
    return UUID(int=(time.time_ns() // 1_000_000 << 80) | noise)


def encode(prefix: Prefix, value: UUID) -> str:
    """`value` as its public text."""
    return f"{prefix}_{_digits(value.int)}"


def decode(prefix: Prefix, text: str) -> UUID:
    """The inverse of `encode`; raises MalformedId."""
    number = _number(prefix, text)
    if number >> 128:
        raise MalformedId(text)
    return UUID(int=number)


def fresh(prefix: Prefix) -> str:
    """A fresh public id: `encode(prefix, new())`, in a fifth of the time."""
    noise = secrets.token_bytes(_NOISE_DIGITS).translate(_NOISE_TABLE).decode()
    return f"{prefix}_{_time_digits(time.time_ns() // 1_000_000)}{noise}"


@lru_cache(1)
def _time_digits(milliseconds: int) -> str:
    return _digits(milliseconds << 80)[:_TIME_DIGITS]


def delivery(key: DeliveryKey) -> str:
    """The id of the delivery of the event at `key.position` to one webhook."""
    packed = (key.position << _WEBHOOK | key.webhook_number) << _REPLAY | key.replay
    return f"dlv_{_digits(packed << _NUMBER)}"


def attempt(key: DeliveryKey) -> str:
    """The id of attempt `key.number` (from 1) of a delivery."""
    return f"att_{_digits(_pack(key))}"


def parse_delivery(text: str) -> DeliveryKey:
    """What the delivery id names; raises MalformedId."""
    key = _unpack(_number("dlv", text))
    if key.number or not key.position:
        raise MalformedId(text)
    return key


def _pack(key: DeliveryKey) -> int:
    packed = key.position
    for value, bits in (
        (key.webhook_number, _WEBHOOK),
        (key.replay, _REPLAY),
        (key.number, _NUMBER),
    ):
        packed = packed << bits | value
    return packed


def _unpack(packed: int) -> DeliveryKey:
    parts = []
    for bits in (_NUMBER, _REPLAY, _WEBHOOK):
        parts.append(packed & ((1 << bits) - 1))
        packed >>= bits
    number, replay, webhook_number = parts
    return DeliveryKey(packed, webhook_number, replay, number)


def _digits(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def _number(prefix: Prefix, text: str) -> int:
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != LENGTH or not set(tail) <= _VALUES.keys():
        raise MalformedId(text)
    number = 0
    for digit in tail:
        number = number << 5 | _VALUES[digit]
    return number

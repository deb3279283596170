"""JSON pointers (RFC 6901): the names of places in JSON."""

import re

_TOKEN = re.compile(r"(?:[^~/]|~[01])*")


class MalformedPointer(ValueError):
    """The text is no JSON pointer; the message says why."""


def escape(name: str) -> str:
    """A member's name within a pointer (section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def tokens(pointer: str) -> list[str]:
    """The names that a pointer leads along. Raises MalformedPointer."""
    begin, *rest = pointer.split("/")
    if begin:
        raise MalformedPointer("a JSON pointer begins with /")
    if not all(_TOKEN.fullmatch(token) for token in rest):
        raise MalformedPointer("in a JSON pointer ~ is written ~0, and / in a name ~1")
    return [token.replace("~1", "/").replace("~0", "~") for token in rest]

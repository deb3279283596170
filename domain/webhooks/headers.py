"""Headers that a tenant adds to a webhook's requests; their values are secrets."""

import re
from collections.abc import Mapping

from domain.errors import Fault
from domain.json_pointer import escape

MOST = 20
MOST_BYTES = 4 * 1024  # of all names and values
HIDDEN = "***"  # what is shown of a value; sent back, it means: as it is

# RFC 9110, sections 5.1 and 5.5. Visible ASCII only: receivers disagree about the rest.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?")

_PREFIXES = ("webhook-", "daybook-", "ce-", "content-", "proxy-", "sec-")
_NAMES = frozenset(
    {
        # What a message is, and where it goes.
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
        "traceparent",
        "tracestate",
        "date",
        # Hop by hop (RFC 9110, section 7.6.1), and what begins another protocol.
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "expect",
    }
)


def is_reserved(name: str) -> bool:
    """Whether the header is Daybook's or the connection's to set."""
    return name.lower() in _NAMES or name.lower().startswith(_PREFIXES)


def check(
    sent: Mapping[str, str], known: frozenset[str], pointer: str = "#/headers"
) -> list[Fault]:
    """What is wrong with headers; `known` are the names, in lower case, that are set."""
    if len(sent) > MOST:
        return [Fault(pointer, "invalid", f"at most {MOST} headers")]
    size = sum(len(name) + len(value) for name, value in sent.items())
    if size > MOST_BYTES:
        return [Fault(pointer, "invalid", f"at most {MOST_BYTES:,} bytes of headers")]
    seen: set[str] = set()
    faults = []
    for name, value in sent.items():
        detail = _detail(name, value, known)
        if name.lower() in seen:
            detail = "the name is repeated; headers have no case"
        if detail is not None:
            faults.append(Fault(f"{pointer}/{escape(name[:128])}", "invalid", detail))
        seen.add(name.lower())
    return faults


def resolve(sent: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """The headers that are meant: those sent as `***` are what they were."""
    before = {name.lower(): value for name, value in known.items()}
    return {
        name: before[name.lower()] if value == HIDDEN else value
        for name, value in sent.items()
    }


def _detail(name: str, value: str, known: frozenset[str]) -> str | None:
    if not _NAME.fullmatch(name):
        return "a name is 1 to 128 letters, digits and !#$%&'*+.^_`|~-"
    if is_reserved(name):
        return "this header is not a webhook's to set"
    if not _VALUE.fullmatch(value):
        return "a value is visible ASCII, with blanks only between"
    if value == HIDDEN and name.lower() not in known:
        return "*** means the value that is set, and none is"
    return None

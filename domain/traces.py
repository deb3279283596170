"""Which trace an event belongs to: W3C Trace Context (https://www.w3.org/TR/trace-context/).

A publisher's `traceparent` is kept with the event and sent on with every delivery, each
attempt as a span of its own. An event that came without one begins a trace, computed from
what the event is known by: so all its deliveries and retries belong together, and nothing
is stored for it. `tracestate` is not passed on: it is for the systems of whoever sent it.
"""

import hashlib
import random
import re
from typing import NamedTuple
from uuid import UUID

BYTES = 25
_HEADER = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
    rb"(?P<more>-.*)?"
)
_SAMPLED = 0x01


class Trace(NamedTuple):
    """A span of a trace. `trace_id` has 16 bytes, `span_id` 8."""

    trace_id: bytes
    span_id: bytes
    is_sampled: bool

    def child(self) -> "Trace":
        """A new span that this one caused."""
        span_id = random.randbytes(8)  # noqa: S311  # no secret: it only has to differ
        return Trace(self.trace_id, span_id, self.is_sampled)

    def header(self) -> str:
        """As a `traceparent`, in version 00."""
        flags = _SAMPLED if self.is_sampled else 0
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{flags:02x}"

    def packed(self) -> bytes:
        """In 25 bytes, as the log keeps it."""
        return self.trace_id + self.span_id + bytes([self.is_sampled])


def parse(header: bytes) -> Trace | None:
    """The span that a `traceparent` names; None: it names none, and is to be ignored.

    Later versions may say more, behind what version 00 says.
    """
    match = _HEADER.fullmatch(header)
    if match is None or (match["more"] is not None and match[1] == b"00"):
        return None
    trace_id, span_id = (
        bytes.fromhex(match[2].decode()),
        bytes.fromhex(match[3].decode()),
    )
    return Trace(trace_id, span_id, is_sampled=bool(int(match[4], 16) & _SAMPLED))


def of_event(packed: bytes | None, tenant_id: UUID, event_id: str) -> Trace:
    """The span that published an event; `packed` is what the log keeps of it, if any."""
    if packed is not None:
        return Trace(packed[:16], packed[16:24], is_sampled=bool(packed[24]))
    known_by = tenant_id.bytes + event_id.encode()
    begun = hashlib.blake2b(known_by, digest_size=24, person=b"daybook trace").digest()
    return Trace(begun[:16], begun[16:], is_sampled=False)

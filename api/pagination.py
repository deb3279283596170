"""Pages of lists: cursors that cannot be made up, and which rows a page shows.

A cursor names the row at the seam, so it stays true while data arrives. It is signed over
whose list it is, which list, and with which filters: anything else refuses it.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from api.errors import CursorInvalid, LogRewound

T = TypeVar("T")
Key = Sequence[int | str]

PREFIX = "c_"
MOST, DEFAULT = 500, 50
_SIGNATURE = 16  # bytes of HMAC-SHA256


class PageQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """What every list takes."""

    limit: Annotated[
        int, Meta(ge=1, le=MOST, description="how many entries a page has at most")
    ] = DEFAULT
    cursor: Annotated[
        str | None,
        Meta(
            description="`next` or `prev` of a page of this list with the same filters"
        ),
    ] = None


class Page(NamedTuple, Generic[T]):
    """The rows of a page in the order of the list, and the cursors beside it."""

    rows: list[T]
    next: str | None
    prev: str | None


class _Seam(Struct, array_like=True, frozen=True):
    """Where a cursor points: beyond `key`, back from it or onwards.

    `log` says which incarnation of the log its positions are of, where there are any.
    """

    backwards: bool
    key: list[int | str]
    log: str | None = None


class Cursors:
    """Makes and checks cursors; keys are derived from `DAYBOOK_SECRET_KEYS`."""

    def __init__(self, secret_keys: str) -> None:
        # All of them open, so replacing the first does not break what readers hold.
        self._keys = [_derive(part.strip()) for part in secret_keys.split(",")]

    def make(self, binding: bytes, seam: _Seam) -> str:
        """The cursor for a seam of the list that `binding` describes."""
        payload = msgspec.json.encode(seam)
        signature = _sign(self._keys[0], binding, payload)
        text = base64.urlsafe_b64encode(signature + payload).rstrip(b"=")
        return PREFIX + text.decode()

    def read(self, binding: bytes, cursor: str) -> _Seam:
        """The inverse; raises CursorInvalid."""
        text = cursor.removeprefix(PREFIX)
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):  # the latter: not ASCII
            raise CursorInvalid from None
        signature, payload = data[:_SIGNATURE], data[_SIGNATURE:]
        if not cursor.startswith(PREFIX) or not any(
            hmac.compare_digest(signature, _sign(key, binding, payload))
            for key in self._keys
        ):
            raise CursorInvalid
        return msgspec.json.decode(payload, type=_Seam)


class Paging:
    """One request for a page of one list."""

    def __init__(self, cursors: Cursors, binding: bytes, query: PageQuery) -> None:
        self._cursors = cursors
        self._binding = binding
        self.limit = query.limit
        given = query.cursor
        self._seam = None if given is None else cursors.read(binding, given)
        self._log: str | None = None

    def of_log(self, incarnation: str) -> None:
        """The keys are positions in this log; raises LogRewound for another's cursor."""
        if self._seam is not None and self._seam.log not in (None, incarnation):
            raise LogRewound("the cursor is of the log before it was restored")
        self._log = incarnation

    @property
    def key(self) -> list[Any] | None:
        """The row to go on from; None at the beginning of the list."""
        return self._seam.key if self._seam else None

    @property
    def backwards(self) -> bool:
        """Whether the page before the key is wanted."""
        return self._seam is not None and self._seam.backwards

    @property
    def fetch(self) -> int:
        """How many rows to read: one more than are shown tells whether there are more."""
        return self.limit + 1

    def page(
        self,
        found: Sequence[T],
        key_of: Callable[[T], Key],
        stopped: Key | None = None,
    ) -> Page[T]:
        """The page of rows that were read from the key on, nearest first.

        `stopped`: they were looked for up to there, and there may be more beyond.
        """
        rows, is_more = list(found[: self.limit]), len(found) > self.limit
        onwards = key_of(rows[-1]) if rows and is_more else stopped
        if self.backwards:
            rows.reverse()
            back_again = key_of(rows[-1]) if rows else None
            return Page(rows, self._make(back_again), self._make(onwards, back=True))
        back = key_of(rows[0]) if rows and self._seam is not None else None
        return Page(rows, self._make(onwards), self._make(back, back=True))

    def _make(self, key: Key | None, *, back: bool = False) -> str | None:
        if key is None:
            return None
        seam = _Seam(back, list(key), self._log)
        return self._cursors.make(self._binding, seam)


def _derive(secret: str) -> bytes:
    """HKDF-SHA256 (RFC 5869) of one block: a key of its own for this one purpose."""
    extracted = hmac.digest(b"daybook", secret.encode(), "sha256")
    return hmac.digest(extracted, b"cursors\x01", "sha256")


def _sign(key: bytes, binding: bytes, payload: bytes) -> bytes:
    # The binding's length keeps the two apart.
    message = len(binding).to_bytes(4) + binding + payload
    return hmac.digest(key, message, "sha256")[:_SIGNATURE]

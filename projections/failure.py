"""What is told of an error, in logs and in tables: its kind, its place, and no data.

A database error quotes what it choked on, in its detail, its context and the statement: a
failing row is shown whole. Those are a tenant's bytes, so of such an error only what names
no value is told. Variables of frames are never shown.
"""

import re
import traceback
from collections.abc import Iterator

import psycopg

_QUOTED = re.compile(r'".*"', re.DOTALL)
_LINK = "\n\nThat led to:\n\n"


def text(error: BaseException) -> str:
    """Its kind and what it says, on one line where its author wrote one."""
    said = _of_database(error) if isinstance(error, psycopg.Error) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def stack(error: BaseException) -> str:
    """Where it arose, with whatever led to it before it."""
    return _LINK.join(
        "".join([*traceback.format_tb(link.__traceback__), text(link)])
        for link in chain(error)
    )


def chain(error: BaseException) -> list[BaseException]:
    """From the root to `error`: what libraries wrap says more than the wrapping."""
    return list(_backwards(error))[::-1]


def _backwards(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()  # a chain can be tied into a circle by hand
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (
            None if link.__suppress_context__ else link.__context__
        )


def _of_database(error: psycopg.Error) -> str:
    """The first line of what the server said; its name for a place, where it gave one."""
    diag = error.diag
    if diag.message_primary is None:  # the client's own words: no server has spoken
        return str(error)
    said = diag.message_primary
    if isinstance(error, psycopg.DataError):  # "invalid input syntax for ...: <value>"
        said = _QUOTED.sub("…", said)
    place = diag.constraint_name or diag.column_name or diag.table_name
    return f"{said} ({diag.sqlstate}{f', {place}' if place else ''})"

"""Named SQL statements, kept in `.sql` files beside the code that runs them.

A statement begins with `-- name: what_it_does` and at least one comment line that explains
it. Nothing is ever put together from parts: the one cast to LiteralString below is the
promise that statements come from our own files and from nowhere else.
"""

import re
from importlib import resources
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class Queries(dict[str, LiteralString]):
    """Statements by name; an unknown name says which file was looked in."""

    def __init__(self, package: str, file: str = "queries.sql") -> None:
        super().__init__(_parse(resources.files(package).joinpath(file).read_text()))
        self.source = f"{package}/{file}"

    def __missing__(self, name: str) -> LiteralString:
        raise LookupError(f"{self.source} has no statement {name!r}")


def _parse(text: str) -> dict[str, LiteralString]:
    pieces = _NAME.split(text)[1:]
    return {
        name: cast(LiteralString, body.strip())
        for name, body in zip(pieces[::2], pieces[1::2], strict=True)
    }

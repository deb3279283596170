"""Leaving members out of JSON that is otherwise passed on as it is, byte for byte.

Which ones is said by JSON pointers into the text, where a step `*` is every member or item.
A member goes with its comma. An item becomes `null`: the others keep their places.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from domain import json_pointer
from domain.errors import Fault
from domain.json_pointer import MalformedPointer

MOST_FIELDS = 50
LONGEST_FIELD = 256
ANY = "*"

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_OPENING, _CLOSING = (b"{", b"["), (b"}", b"]")

# A step -> what follows it; None: what is there is left out.
_Tree = dict[str, Any]
_Token = re.Match[bytes]


def check(fields: Sequence[str], at: str = "#/secret_fields") -> list[Fault]:
    """What is wrong with a list of fields to leave out."""
    if len(fields) > MOST_FIELDS:
        return [Fault(at, "invalid", f"at most {MOST_FIELDS} fields")]
    return [
        Fault(f"{at}/{number}", "invalid", detail)
        for number, field in enumerate(fields)
        if (detail := _wrong(field))
    ]


def without(raw: bytes, fields: Sequence[str]) -> bytes:
    """JSON text without the fields that pointers name; all other bytes as they were.

    `raw` is one JSON text in UTF-8 that was judged before, as `data` in the log is. A field
    that is not there is left out already. Takes about 0.3 µs a token of the text, 1 ns a
    byte where none of the names is in it.
    """
    tree, names = _tree(tuple(fields))
    is_absent = b"\\" not in raw and not any(name in raw for name in names)
    if not tree or is_absent:
        return raw
    pieces, done = [], 0
    for start, end, instead in _Walk(raw, tree).cuts:
        pieces += [raw[done:start], instead]
        done = end
    return b"".join((*pieces, raw[done:]))


def _wrong(field: str) -> str | None:
    if not 1 < len(field) <= LONGEST_FIELD:
        return f"a field is a JSON pointer of 2 to {LONGEST_FIELD} characters"
    if "\x00" in field:
        return "U+0000 is in no name"
    try:
        json_pointer.tokens(field)
    except MalformedPointer as error:
        return str(error)
    return None


@lru_cache(1024)
def _tree(fields: tuple[str, ...]) -> tuple[_Tree, tuple[bytes, ...]]:
    """The fields as a tree of steps, and a name of each that must be in the text."""
    tree: _Tree = {}
    names = []
    for field in fields:
        *steps, last = json_pointer.tokens(field)
        node: _Tree | None = tree
        for step in steps:
            node = node.setdefault(step, {}) if node is not None else None
        if node is not None:
            node[last] = None  # what is left out takes what is in it along
        words = [
            step for step in (*steps, last) if not (step == ANY or step.isdecimal())
        ]
        names.append(words[-1].encode() if words else b"")
    return tree, tuple(names)


class _Walk:
    """One pass along the text; `cuts` are (start, end, what stands there instead)."""

    def __init__(self, raw: bytes, tree: _Tree) -> None:
        self.cuts: list[tuple[int, int, bytes]] = []
        self._tokens: Iterator[_Token] = _TOKEN.finditer(raw)
        self._value(next(self._tokens), [tree])

    def _value(self, token: _Token, trees: list[_Tree]) -> int:
        """Pass over a value that begins with `token`; where it ends."""
        kind = token[0]
        if kind not in _OPENING:
            return token.end()
        if not trees:
            return self._passed()
        return self._object(trees) if kind == b"{" else self._array(trees)

    def _passed(self) -> int:
        """Over the rest of an object or array that nothing is left out of."""
        depth = 1
        for token in self._tokens:
            if token[0] in _OPENING:
                depth += 1
            elif token[0] in _CLOSING:
                depth -= 1
                if not depth:
                    return token.end()
        raise AssertionError("the text was judged: it ends")

    def _object(self, trees: list[_Tree]) -> int:
        comma: int | None = None  # where the one before this member begins
        kept = False  # whether a member before this one stays
        cut_from: int | None = None  # the first member's beginning, when it goes
        while (token := next(self._tokens))[0] != b"}":
            if token[0] == b",":
                comma = token.start()
                continue
            if cut_from is not None:  # up to here: the comma goes with the one before
                self.cuts.append((cut_from, token.start(), b""))
                cut_from = None
            found, below = _follow(trees, _name(token[0]))
            next(self._tokens)  # the colon
            end = self._value(next(self._tokens), [] if found else below)
            if not found:
                kept = True
            elif kept and comma is not None:
                self.cuts.append((comma, end, b""))
            else:
                cut_from, last_end = token.start(), end
        if cut_from is not None:
            self.cuts.append((cut_from, last_end, b""))
        return token.end()

    def _array(self, trees: list[_Tree]) -> int:
        number = 0
        while (token := next(self._tokens))[0] != b"]":
            if token[0] == b",":
                continue
            found, below = _follow(trees, str(number))
            end = self._value(token, [] if found else below)
            if found:
                self.cuts.append((token.start(), end, b"null"))
            number += 1
        return token.end()


def _follow(trees: list[_Tree], name: str) -> tuple[bool, list[_Tree]]:
    """Whether what is there is left out, and else what is to be looked for within."""
    nodes = [tree[step] for tree in trees for step in (name, ANY) if step in tree]
    return None in nodes, [node for node in nodes if node]


def _name(token: bytes) -> str:
    if b"\\" in token:
        return msgspec.json.decode(token, type=str)
    return token[1:-1].decode()

"""Payload filters: which events are wanted, by what they say.

    filter = {member, ...}                 all hold; {} always holds
    member = path: test | "$and": [filter, ...] | "$or": [filter, ...] | "$not": filter
    test   = scalar (means $eq) | {op: value, ...}   all hold
    op     = $eq $ne $gt $gte $lt $lte: scalar | $in $nin: [scalar, ...]
             $prefix: string | $exists: true or false

No type is converted. An op holds on an array when it holds on any element; `$ne` and `$nin`
are not-`$eq` and not-`$in` of the whole. A filter is read once and asked often.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from domain import payload_path
from domain.errors import Fault, Invalid
from domain.json_pointer import escape
from domain.payload_op import NAMES, MalformedOperand, Op, read_op
from domain.payload_path import Members, Meter, Path, TooManyValues

MOST_BYTES = 4 * 1024
DEEPEST = 5
MOST_TESTS = 50


class Filter:
    """A filter that was read."""

    def __init__(self, root: "_All") -> None:
        self._root = root

    def holds(self, members: Members) -> bool:
        """Whether the event is wanted; false for one with more values than it looks at."""
        try:
            return self._root.holds(members, Meter())
        except TooManyValues:
            return False

    def explain(self, members: Members) -> str | None:
        """Why the event is not wanted: the first place that refuses it; None: it is."""
        try:
            return next(self._root.explain(members, Meter()), None)
        except TooManyValues:
            most = payload_path.MOST_VALUES
            return f"/: a filter looks at {most:,} values of an event and no more"


def read(value: Any, pointer: str = "#/filter") -> Filter:
    """The filter that JSON spells. Raises Invalid with every wrong place."""
    reader = _Reader()
    root = reader.filter(value, pointer, "", 1)
    if reader.tests > MOST_TESTS:
        reader.fault(pointer, f"{reader.tests} tests are more than {MOST_TESTS}")
    if len(msgspec.json.encode(value)) > MOST_BYTES:
        reader.fault(pointer, f"a filter is at most {MOST_BYTES:,} bytes")
    if reader.faults:
        raise Invalid(reader.faults)
    return Filter(root)


def check(value: Any, pointer: str = "#/filter") -> list[Fault]:
    """What is wrong with a filter; None is none."""
    if value is None:
        return []
    try:
        read(value, pointer)
    except Invalid as error:
        return list(error.faults)
    return []


class _Node(Protocol):
    def holds(self, members: Members, meter: Meter) -> bool: ...

    def explain(self, members: Members, meter: Meter) -> Iterator[str]: ...


class _All:
    """All of its members hold."""

    def __init__(self, nodes: list[_Node]) -> None:
        self._nodes = nodes

    def holds(self, members: Members, meter: Meter) -> bool:
        return all(node.holds(members, meter) for node in self._nodes)

    def explain(self, members: Members, meter: Meter) -> Iterator[str]:
        for node in self._nodes:
            yield from node.explain(members, meter)


class _Any:
    """One of its filters holds at least."""

    def __init__(self, at: str, nodes: list[_Node]) -> None:
        self._at, self._nodes = at, nodes

    def holds(self, members: Members, meter: Meter) -> bool:
        return any(node.holds(members, meter) for node in self._nodes)

    def explain(self, members: Members, meter: Meter) -> Iterator[str]:
        if not self.holds(members, meter):
            yield f"{self._at}: none of its {len(self._nodes)} filters holds"


class _Not:
    """Its filter does not hold."""

    def __init__(self, at: str, node: _Node) -> None:
        self._at, self._node = at, node

    def holds(self, members: Members, meter: Meter) -> bool:
        return not self._node.holds(members, meter)

    def explain(self, members: Members, meter: Meter) -> Iterator[str]:
        if not self.holds(members, meter):
            yield f"{self._at}: its filter holds"


class _Test:
    """All ops hold on what the path leads to."""

    def __init__(self, path: Path, ops: list[tuple[str, Op]]) -> None:
        self._path, self._ops = path, ops

    def holds(self, members: Members, meter: Meter) -> bool:
        found = payload_path.reach(members, self._path, meter)
        values = payload_path.leaves(found, meter)
        return all(op.holds(found, values, meter) for _, op in self._ops)

    def explain(self, members: Members, meter: Meter) -> Iterator[str]:
        found = payload_path.reach(members, self._path, meter)
        values = payload_path.leaves(found, meter)
        for at, op in self._ops:
            if not op.holds(found, values, meter):
                yield f"{at}: {op.why(found)}"


class _Reader:
    """Reads one filter and gathers its faults; `at` is the place within the filter."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.tests = 0

    def fault(self, pointer: str, detail: str) -> None:
        self.faults.append(Fault(pointer, "filter_invalid", detail))

    def filter(self, value: Any, pointer: str, at: str, depth: int) -> _All:
        if not isinstance(value, dict):
            self.fault(pointer, "a filter is an object")
        elif depth > DEEPEST:
            self.fault(pointer, f"filters are nested {DEEPEST} deep at most")
        else:
            nodes = [
                self._member(name, below, f"/{escape(name)}", pointer, at, depth)
                for name, below in value.items()
            ]
            return _All([node for node in nodes if node is not None])
        return _All([])

    def _member(
        self, name: str, value: Any, step: str, pointer: str, at: str, depth: int
    ) -> _Node | None:
        pointer, at = pointer + step, at + step
        if name in ("$and", "$or"):
            nodes = self._filters(value, pointer, at, depth)
            return _All(nodes) if name == "$and" else _Any(at, nodes)
        if name == "$not":
            return _Not(at, self.filter(value, pointer, at, depth + 1))
        return self._test(name, value, pointer, at)

    def _filters(self, value: Any, pointer: str, at: str, depth: int) -> list[_Node]:
        if not isinstance(value, list) or not value:
            self.fault(pointer, "a list of at least one filter")
            return []
        return [
            self.filter(one, f"{pointer}/{index}", f"{at}/{index}", depth + 1)
            for index, one in enumerate(value)
        ]

    def _test(self, name: str, value: Any, pointer: str, at: str) -> _Node | None:
        self.tests += 1
        if name.startswith("$"):
            self.fault(pointer, "beside paths there are $and, $or and $not")
            return None
        try:
            path = payload_path.parse(name)
        except payload_path.MalformedPath as error:
            self.fault(pointer, str(error))
            return None
        if not isinstance(value, dict):
            ops = [self._op("$eq", value, pointer, at)]
        elif value:
            ops = [
                self._op(op, operand, f"{pointer}/{escape(op)}", f"{at}/{escape(op)}")
                for op, operand in value.items()
            ]
        else:
            self.fault(pointer, "a scalar, or an object of at least one operator")
            return None
        return _Test(path, [op for op in ops if op is not None])

    def _op(
        self, name: str, operand: Any, pointer: str, at: str
    ) -> tuple[str, Op] | None:
        if name not in NAMES:
            self.fault(pointer, f"no operator; there are {', '.join(NAMES)}")
            return None
        try:
            return at, read_op(name, operand)
        except MalformedOperand as error:
            self.fault(pointer, str(error))
            return None

"""How long checking data against a JSON Schema can take at most, counted before it is done.

Schemas come from tenants, and a small one can keep a checker busy for ever: references that
double at each step, alternatives that nest. So each is counted out when it is declared: for
each depth of the data, how many looks one place there can cost, and how many patterns can
be held against it. How many places there are at each depth, the data says.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from domain import json_text

# Steps of counting out, 0.3 µs each. A schema of 64 KiB as people write them takes 10,000.
MOST_STEPS = 500_000
MOST_NESTED = 100  # references one after another, at the same place of the data
# What a check may take: 0.5 s at worst, mostly a hundredth of that.
MOST = 2**22
# Below it nobody asks for more than a rough count, which takes 1 ns a byte.
ROUGH = 2**15
_ENDLESS = 2**62
_CHARACTERS = 4  # looks that one character costs a pattern at worst: 0.5 µs
_NOTHING = (0, 0)

_Cost = tuple[int, int]  # looks, patterns
_Applied = dict[str, int]  # a place's pointer -> how often
_Group = frozenset[tuple[str, int]]
_CostOf = Callable[[str], _Cost]


class TooIntricate(ValueError):
    """It cannot be counted out; `pointer` is where it refers to itself, or the root."""

    def __init__(self, pointer: str, detail: str) -> None:
        self.pointer, self.detail = pointer, detail
        super().__init__(detail)


class Place:
    """One subschema: what it costs itself, and which others it brings to the data."""

    __slots__ = ("here", "items", "looks", "members", "others", "patterns")

    def __init__(self) -> None:
        self.looks, self.patterns = 1, 0
        self.here: list[tuple[int, str]] = []  # how often, and what, at the same place
        self.members: dict[str, str] = {}  # at the member of that name
        self.others: list[str] = []  # at each member, whatever its name
        self.items: list[str] = []  # at each item

    @property
    def leads_down(self) -> bool:
        """Whether it brings anything to members or items."""
        return bool(self.members or self.others or self.items)


class Effort:
    """What one place of data can cost: looks and patterns, by depth from 0 on."""

    def __init__(self, costs: Iterable[_Cost]) -> None:
        self.looks, self.patterns = zip(*costs, strict=True)
        self._most_looks, self._most_patterns = max(self.looks), max(self.patterns)

    def of(self, raw: bytes, data: Any) -> int:
        """The looks that checking `data` can take at most; `raw` is its JSON."""
        # Before each value but the first stands one of these; inside texts they do no harm.
        values = 1 + len(raw) - len(raw.translate(None, b"[,:"))
        rough = values * self._most_looks
        rough += len(raw) * self._most_patterns * _CHARACTERS
        return rough if rough <= ROUGH else self._counted(data)

    def _counted(self, data: Any) -> int:
        total, level, names = 0, [data], 0
        for looks, patterns in zip(self.looks, self.patterns, strict=True):
            texts = sum(len(node) for node in level if isinstance(node, str))
            total += len(level) * looks + (texts + names) * patterns * _CHARACTERS
            names = sum(
                len(n) for node in level if isinstance(node, dict) for n in node
            )
            level = [child for node in level for child in children(node)]
            if not level:
                break
        return total


def counted(places: Mapping[str, Place]) -> Effort:
    """What the schema with these places can cost; its root is "". Raises TooIntricate."""
    counter = _Counter(places)
    return Effort(counter.costs())


def children(node: Any) -> Iterable[Any]:
    """The values directly within a JSON value."""
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


class _Counter:
    """Depth by depth: what a place brings one level down costs what that costs there."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._steps = self._nested = 0
        self._applied_at: dict[str, _Applied] = {}
        # Places that bring the same ones to members and items are alike from there on.
        self._group_of = {pointer: self._group(pointer) for pointer in places}
        self._groups = {group for group in self._group_of.values() if group}

    def costs(self) -> Iterator[_Cost]:
        """Looks and patterns at one place of the data, at each depth."""
        at_once = {pointer: self._own(pointer) for pointer in self._places}
        yield at_once[""]
        of_child = at_once.__getitem__
        for _ in range(json_text.MAX_DEPTH):
            costs = {group: self._below(group, of_child) for group in self._groups}
            of_child = partial(self._of_group, costs)
            yield of_child("")
            if not any(looks for looks, _ in costs.values()):
                break

    def _of_group(self, costs: Mapping[_Group, _Cost], pointer: str) -> _Cost:
        return costs.get(self._group_of[pointer], _NOTHING)

    def _own(self, pointer: str) -> _Cost:
        looks = patterns = 0
        for one, times in self._applied(pointer).items():
            looks += times * self._places[one].looks
            patterns += times * self._places[one].patterns
        return min(_ENDLESS, looks), min(_ENDLESS, patterns)

    def _below(self, group: _Group, of_child: _CostOf) -> _Cost:
        """One place is one member or one item: what the others get does not count there."""
        named: dict[str, list[int]] = {}
        others, items = [0, 0], [0, 0]
        for one, times in group:
            place = self._places[one]
            for child in place.others:
                self._add(others, child, times, of_child)
            for child in place.items:
                self._add(items, child, times, of_child)
            for name, child in place.members.items():
                self._add(named.setdefault(name, [0, 0]), child, times, of_child)
        looks = max(
            items[0], others[0] + max((n[0] for n in named.values()), default=0)
        )
        patterns = max(
            items[1], others[1] + max((n[1] for n in named.values()), default=0)
        )
        return min(_ENDLESS, looks), min(_ENDLESS, patterns)

    def _add(self, sums: list[int], child: str, times: int, of_child: _CostOf) -> None:
        self._step()
        looks, patterns = of_child(child)
        sums[0] += times * looks
        sums[1] += times * patterns

    def _group(self, pointer: str) -> _Group:
        return frozenset(
            (one, times)
            for one, times in self._applied(pointer).items()
            if self._places[one].leads_down
        )

    def _applied(self, pointer: str) -> _Applied:
        """What is applied where this is, itself included, and how often."""
        known = self._applied_at.get(pointer)
        if known is None:
            self._applied_at[pointer] = {}  # found so below: it leads back here
            self._nested += 1
            known = self._gather(pointer)
            self._nested -= 1
            self._applied_at[pointer] = known
        return known

    def _gather(self, pointer: str) -> _Applied:
        if self._nested > MOST_NESTED:
            raise TooIntricate(pointer, "too many references lead on from here")
        known = {pointer: 1}
        for times, other in self._places[pointer].here:
            found = self._applied(other)
            if not found:
                raise TooIntricate(pointer, "it refers to itself at the same place")
            for one, more in found.items():
                self._step()
                known[one] = min(_ENDLESS, known.get(one, 0) + times * more)
        return known

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooIntricate("", "its references make it too intricate to be checked")

"""Bounded contexts of others: what each adds to every layer, in one value.

Nothing of ours names one. Processes load those that `DAYBOOK_CONTEXTS` names, and hand them
on to whoever reads, runs or serves them. How to make one: docs/adding.md.
"""

import importlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from domain import catalog, grammar
from domain.catalog import Meaning
from domain.errors import Fault
from domain.log.entry import Entry
from domain.model import AnyAggregate
from projections import registry
from projections.projection import Projection, Rebuildable
from projections.settings import SettingsError

_chain = itertools.chain.from_iterable


class BoundedContext(Struct, frozen=True, kw_only=True):
    """What one context adds. Raises ValueError when its parts do not fit.

    `meanings` says of each event type of its aggregates what it tells. `streams` are the
    beginnings of its aggregates' streams, as `orders/`: only its commands write there.
    `read_models` can be made anew from the log, `projections` never are. `migrations` is
    the package of its SQL files, `routes` the module whose HANDLERS the API serves: both
    by name, as not every process needs them.
    """

    name: str
    aggregates: tuple[type[AnyAggregate], ...] = ()
    meanings: Mapping[str, Meaning] = {}
    streams: tuple[str, ...] = ()
    read_models: tuple[Rebuildable, ...] = ()
    projections: tuple[Projection, ...] = ()
    migrations: str | None = None
    routes: str | None = None

    def __post_init__(self) -> None:
        """Whether all is said, and nothing is ours."""
        types = catalog.events(self.aggregates).keys()
        if odd := types ^ self.meanings.keys():
            raise ValueError(f"event types without a meaning, or the reverse: {odd}")
        if ours := [name for name in types if grammar.is_reserved(name)]:
            raise ValueError(f"these event types are Daybook's own: {ours}")
        if bad := [name for name in self.streams if not _is_beginning(name)]:
            raise ValueError(f"not the beginning of streams, as 'orders/': {bad}")


class Contexts:
    """Those of one process, together. Raises SettingsError when they do not fit."""

    def __init__(self, contexts: Sequence[BoundedContext] = ()) -> None:
        self.each = tuple(contexts)
        self.aggregates = tuple(_chain(each.aggregates for each in contexts))
        self.read_models = (
            *registry.REBUILDABLE,
            *_chain(each.read_models for each in contexts),
        )
        others = _chain(each.projections for each in contexts)
        self.every_projection: tuple[Projection, ...] = (*self.read_models, *others)
        self.meanings = {
            name: meaning
            for each in contexts
            for name, meaning in each.meanings.items()
        }
        self.folders = {
            each.name: each.migrations for each in contexts if each.migrations
        }
        self._streams = tuple(_chain(each.streams for each in contexts))
        self._check_names()
        self._check_streams()

    def _check_streams(self) -> None:
        """In streams of two contexts one would read the other's events as its own."""
        for one, other in itertools.permutations(self._streams, 2):
            if one.startswith(other):
                raise SettingsError(f"streams {one!r} are {other!r} of another context")

    def _check_names(self) -> None:
        """Of two with one name, one would never be migrated, or never run."""
        projections = (registry.HANDOFF, *(each.name for each in self.every_projection))
        contexts = (each.name for each in self.each)
        for what, names in (("contexts", contexts), ("projections", projections)):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise SettingsError(f"two {what} have one name: {', '.join(twice)}")

    def check(self, entries: Sequence[Entry], at: str) -> list[Fault]:
        """What published entries take that commands alone may write.

        A published event of such a type would be believed by all who trust the rules that
        commands keep; one in an aggregate's stream would make that unreadable. `at` is
        where an entry stands in what was sent, with {} for its number.
        """
        if not self.each:
            return []
        return [
            fault
            for number, entry in enumerate(entries)
            for fault in self._faults(entry, at.format(number))
        ]

    def _faults(self, entry: Entry, at: str) -> Iterator[Fault]:
        if entry.type in self.meanings:
            detail = f"{entry.type!r} is recorded by commands only"
            yield Fault(f"{at}/type", "type_reserved", detail)
        if entry.stream.startswith(self._streams):
            detail = f"stream {entry.stream!r} is written to by commands only"
            yield Fault(f"{at}/stream", "invalid", detail)


def load(named: str | None) -> tuple[BoundedContext, ...]:
    """The contexts that a text names: `module:attribute`, comma separated.

    Raises SettingsError.
    """
    names = [one.strip() for one in (named or "").split(",")]
    return tuple(_load(one) for one in names if one)


def _load(named: str) -> BoundedContext:
    module, _, attribute = named.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"there is no context {named!r}: {error}") from error
    if not isinstance(found, BoundedContext):
        raise SettingsError(f"{named!r} is no BoundedContext")
    return found


def _is_beginning(stream: str) -> bool:
    return stream.endswith("/") and not grammar.check_stream(stream.removesuffix("/"))

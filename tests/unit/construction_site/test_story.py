"""The seed company's story: the same each time, recorded in groups, once."""

from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from domain.errors import NotFound, Unavailable
from domain.log.entry import SYSTEM, Context
from examples.construction_site.company import loading
from examples.construction_site.company.story import Story
from examples.construction_site.domain import catalog
from examples.construction_site.domain.books import Desk

TENANT = UUID(int=1)


class Log:
    """A log in memory; its call number `lost_at` stores nothing."""

    def __init__(self, lost_at: int = 0) -> None:
        self.events: list[tuple[str, str, int, dict[str, Any]]] = []
        self.heads: Counter[str] = Counter()
        self._calls, self._lost_at = 0, lost_at

    def record_all(self, group: list[Any], context: Context) -> None:
        self._calls += 1
        if self._calls == self._lost_at:
            raise Unavailable
        for aggregate in group:
            for event in aggregate.collect_events():
                self.heads[aggregate.id] += 1
                assert event.originator_version == self.heads[aggregate.id]
                self.events.append(
                    (event.TOPIC, aggregate.id, self._calls, dict(vars(event)))
                )

    def load(self, kind: type[Any], originator_id: str) -> Any:
        if not self.heads[originator_id]:
            raise NotFound
        return SimpleNamespace(version=self.heads[originator_id])


def told(log: Log) -> list[tuple[str, str, dict[str, Any]]]:
    return [(topic, stream, data) for topic, stream, _, data in log.events]


def load(log: Any) -> None:
    loading.load(log, TENANT)


@pytest.fixture(scope="module")
def whole() -> Log:
    """The story, recorded without a hitch."""
    log = Log()
    load(log)
    return log


def test_it_is_about_ten_thousand_events_in_few_calls(whole: Log) -> None:
    assert 9_500 < len(whole.events) < 10_500
    sizes = Counter(call for _, _, call, _ in whole.events)
    assert len(sizes) < 25


def test_all_but_the_removal_of_a_site_happens_in_it(whole: Log) -> None:
    topics = {topic for topic, _, _, _ in whole.events}
    assert catalog.MEANINGS.keys() - topics == {"chantier.updated", "chantier.deleted"}


def test_it_is_the_same_each_time(whole: Log) -> None:
    again = Log()
    load(again)
    assert told(again) == told(whole)


def test_it_happened_in_its_own_weeks(whole: Log) -> None:
    moments = [data["timestamp"] for _, _, _, data in whole.events]
    assert min(moments) == datetime(2026, 9, 21, 7, tzinfo=UTC)
    assert max(moments) == datetime(2026, 11, 16, 8, tzinfo=UTC)


def test_another_seed_tells_another(whole: Log) -> None:
    log: Any = Log()
    books = loading.Collected(log, lambda recorded: None)
    Story(Desk(books, TENANT, Context(SYSTEM)), loading.SEED + 1).tell()
    books.flush()
    assert told(log) != told(whole)


@pytest.mark.parametrize("lost_at", [1, 2, 11])
def test_it_goes_on_where_it_was_lost(whole: Log, lost_at: int) -> None:
    log = Log(lost_at)
    with pytest.raises(Unavailable):
        load(log)
    assert len(log.events) < len(whole.events)
    load(log)
    assert told(log) == told(whole)


def test_a_story_that_was_told_is_not_told_again(whole: Log) -> None:
    before = len(whole.events)
    load(whole)
    assert len(whole.events) == before

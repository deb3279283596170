"""The `eventsourcing` library's store, on our log: aggregates go in by the same one way.

Named to the library as the string `projections.log.recorder:LogFactory`, so the domain
never imports a driver.
"""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
)
from eventsourcing.utils import Environment, resolve_topic

from domain import ids, model
from domain.codec import DatedEvent
from domain.errors import VersionConflict
from domain.log.entry import SYSTEM, Context, Entry, Statement
from projections import postgres, registry
from projections.inline import Posting
from projections.log.appender import Appender
from projections.log.pool import Pool, open_pool, rows
from projections.log.request_queue import Request
from projections.log.subscription import LogSubscription
from projections.log.tracking import LogTracking, conflicts
from projections.sql import Queries

QUERIES = Queries("projections.log")
URL, ROLE = "DAYBOOK_URL", "DAYBOOK_ROLE"
_EVERY_VERSION = 2**62


def environment(url: str, role: postgres.Role) -> dict[str, str]:
    """What the library's application is made with; nothing is left to `os.environ`."""
    return {
        "PERSISTENCE_MODULE": "projections.log.recorder:LogFactory",
        "CREATE_TABLE": "n",  # migrations own the schema
        "IS_SNAPSHOTTING_ENABLED": "n",
        "COMPRESSOR_TOPIC": "",
        "CIPHER_TOPIC": "",
        "CIPHER_KEY": "",
        "MAPPER_TOPIC": "",
        "TRANSCODER_TOPIC": "",
        "TRACKING_RECORDER_TOPIC": "",
        "AGGREGATE_CACHE_MAXSIZE": "",
        URL: url,
        ROLE: role,
    }


class StreamConflict(VersionConflict, IntegrityError):
    """The stream has moved on; under the name by which the library expects it, too."""


class LogRecorder(ApplicationRecorder):
    """Inserts through the appender, so that there is one way in; reads by the pool."""

    def __init__(self, pool: Pool, appender: Appender) -> None:
        self._pool = pool
        self._appender = appender

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Append an aggregate's events with their riders and inline models.

        All events are of one tenant. Raises DomainError; VersionConflict when the
        aggregate has moved on.
        """
        if not stored_events:
            return []
        return self._insert(stored_events, kwargs.get("context") or Context(SYSTEM))

    def _insert(
        self, stored_events: Sequence[StoredEvent], context: Context, *more: Statement
    ) -> list[int]:
        """`more` are riders beside the context's own."""
        claim = context.claim
        if claim is not None and claim.done is not None:
            context.receipts += claim.done
            return [receipt.log_position for receipt in claim.done]
        entries = [_entry(event, context) for event in stored_events]
        after = [
            statement
            for event, entry in zip(stored_events, entries, strict=True)
            for statement in _postings(event, entry)
        ]
        riders = (*context.riders, *more)
        request = Request(entries, riders, after, context.operator, claim=claim)
        try:
            receipts = self._appender.submit(request)
        except VersionConflict as error:
            expected = entries[0].expected_version or 0
            raise StreamConflict(entries[0].stream, expected, error.actual) from None
        context.receipts += receipts
        return [receipt.log_position for receipt in receipts]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """A stream's events, as the library asks for them."""
        tenant_id, stream = model.tenant_and_stream(str(originator_id))
        params = {
            "tenant_id": tenant_id,
            "stream": stream,
            "after": 0 if gt is None else gt,
            "through": _EVERY_VERSION if lte is None else lte,
            "limit": limit,
        }
        query = QUERIES["stream_events_backwards" if desc else "stream_events"]
        return [
            DatedEvent(originator_id, r.version, r.topic, r.state, r.occurred_at)
            for r in rows(self._pool, query, params, tenant_id)
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """A part of the whole log; for roles that may read all of it."""
        first = (start or 1) if inclusive_of_start else (start or 0) + 1
        params = {
            "first": first,
            "last": _EVERY_VERSION if stop is None else stop,
            "topics": list(topics),
            "limit": limit,
        }
        return [
            Notification(
                model.originator_id(r.tenant_id, r.stream),
                r.version,
                r.topic,
                r.state,
                r.log_position,
            )
            for r in rows(self._pool, QUERIES["notifications"], params)
        ]

    def max_notification_id(self) -> int | None:
        """The head of the whole log; None when it is empty."""
        return rows(self._pool, QUERIES["head"], {})[0].head or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """All notifications after `gt`, then each new one."""
        return LogSubscription(self, gt, topics)


class LogProcess(LogRecorder, LogTracking, ProcessRecorder):
    """A reader that writes to the log: its mark moves with what it appends."""

    def __init__(self, pool: Pool, appender: Appender, name: str) -> None:
        LogRecorder.__init__(self, pool, appender)
        LogTracking.__init__(self, pool, name)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """The same with `tracking`: both or neither; raises IntegrityError as well."""
        tracking = kwargs.get("tracking")
        if tracking is None:
            return super().insert_events(stored_events, **kwargs)
        if not stored_events:
            self.insert_tracking(tracking)
            return []
        context = kwargs.get("context") or Context(SYSTEM)
        with conflicts():
            return self._insert(stored_events, context, self.moving(tracking))


class LogFactory(InfrastructureFactory[LogTracking]):
    """Makes the recorders; its `appender` serves the publish API as well."""

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        url, role = env[URL], cast(postgres.Role, env[ROLE])
        self.appender = Appender(url, role)
        self.appender.start()
        self._pool = open_pool(url, role)
        self._recorder = LogRecorder(self._pool, self.appender)

    def application_recorder(self) -> ApplicationRecorder:
        """The one recorder."""
        return self._recorder

    def aggregate_recorder(self, purpose: str = "events") -> ApplicationRecorder:
        """The same: there is one log."""
        return self._recorder

    def tracking_recorder(
        self, tracking_recorder_class: type[LogTracking] | None = None
    ) -> LogTracking:
        """The marks of the reader that the environment is named after."""
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        chosen = resolve_topic(topic) if topic else LogTracking
        return (tracking_recorder_class or chosen)(self._pool, self.env.name)

    def process_recorder(self) -> ProcessRecorder:
        """The same reader's, which writes to the log as well."""
        return LogProcess(self._pool, self.appender, self.env.name)

    def close(self) -> None:
        """Append what waits, then close everything."""
        self.appender.close()
        self._pool.close()


def _entry(event: StoredEvent, context: Context) -> Entry:
    tenant_id, stream = model.tenant_and_stream(str(event.originator_id))
    return Entry(
        tenant_id=tenant_id,
        event_id=ids.fresh("evt"),
        stream=stream,
        type=event.topic,
        topic=event.topic,
        state=event.state,
        expected_version=event.originator_version - 1,
        actor=context.actor,
        occurred_at=event.occurred_at if isinstance(event, DatedEvent) else None,
    )


def _postings(event: StoredEvent, entry: Entry) -> list[Statement]:
    post = registry.INLINE.get(event.topic)
    if post is None or entry.occurred_at is None:
        return []
    return post(
        Posting(
            entry.tenant_id,
            entry.event_id,
            entry.stream,
            event.originator_version,
            entry.topic,
            msgspec.json.decode(entry.state),
            entry.actor or SYSTEM,
            entry.occurred_at,
        )
    )

"""The `eventsourcing` library's store, on our log: aggregates go in by the same one way.

Named to the library as the string `projections.log.recorder:LogFactory`, so the domain
never imports a driver.
"""

import time
from collections.abc import Sequence
from typing import Any, NoReturn
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    Notification,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Subscription,
    TrackingRecorder,
)
from eventsourcing.utils import Environment
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool

from domain import ids, model
from domain.codec import DatedEvent
from domain.errors import Unavailable, VersionConflict
from domain.log.entry import SYSTEM, Context, Entry, Statement
from projections import postgres, registry
from projections.inline import Posting
from projections.log.appender import Appender
from projections.log.queue import Request
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
        "AGGREGATE_CACHE_MAXSIZE": "",
        URL: url,
        ROLE: role,
    }


class LogRecorder(ApplicationRecorder):
    """Inserts through the appender; reads with a small pool of its own."""

    def __init__(self, url: str, role: postgres.Role, appender: Appender) -> None:
        self._appender = appender
        self._pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            postgres.conninfo(url, role, "recorder"),
            kwargs={"autocommit": True, "row_factory": namedtuple_row},
            min_size=0,
            max_size=2,
            timeout=3,
            check=ConnectionPool.check_connection,
            reconnect_timeout=1,
            open=True,
        )

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Append an aggregate's events with their riders and inline models.

        All events are of one tenant. Raises DomainError; VersionConflict when the
        aggregate has moved on.
        """
        if not stored_events:
            return []
        context = kwargs.get("context") or Context(SYSTEM)
        entries = [_entry(event, context) for event in stored_events]
        after = [
            statement
            for event, entry in zip(stored_events, entries, strict=True)
            for statement in _postings(event, entry)
        ]
        request = Request(entries, context.riders, after, context.operator)
        try:
            receipts = self._appender.submit(request)
        except VersionConflict as error:
            expected = entries[0].expected_version or 0
            raise VersionConflict(entries[0].stream, expected, error.actual) from None
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
        rows = self._read(tenant_id, query, params)
        return [
            DatedEvent(originator_id, r.version, r.topic, r.state, r.occurred_at)
            for r in rows
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
            for r in self._read(None, QUERIES["notifications"], params)
        ]

    def max_notification_id(self) -> int | None:
        """The head of the whole log; None when it is empty."""
        return self._read(None, QUERIES["head"], {})[0].head or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """All notifications after `gt`, then each new one."""
        return LogSubscription(self, gt, topics)

    def _read(
        self, tenant_id: UUID | None, query: Any, params: dict[str, Any]
    ) -> list[Any]:
        try:
            with self._pool.connection() as connection, connection.transaction():
                if tenant_id is not None:
                    connection.execute(
                        QUERIES["enter_tenant"], {"tenant_id": str(tenant_id)}
                    )
                return connection.execute(query, params).fetchall()
        except postgres.AWAY as error:
            raise Unavailable from error


class LogSubscription(Subscription[ApplicationRecorder]):
    """The library's subscription, by polling: simple, and it cannot miss a wake-up."""

    POLL_SECONDS = 0.05
    PAGE = 500

    def __init__(
        self, recorder: LogRecorder, gt: int | None, topics: Sequence[str]
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._page: list[Notification] = []

    def __next__(self) -> Notification:
        """The next notification; waits for it, ends when stopped."""
        while not self._page:
            if self._has_been_stopped:
                raise StopIteration
            self._page = list(
                self._recorder.select_notifications(
                    self._last_notification_id,
                    self.PAGE,
                    topics=self._topics,
                    inclusive_of_start=False,
                )
            )
            if not self._page:
                time.sleep(self.POLL_SECONDS)
        notification = self._page.pop(0)
        self._last_notification_id = notification.id
        return notification


class LogFactory(InfrastructureFactory[TrackingRecorder]):
    """Makes the recorder; its `appender` serves the publish API as well."""

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        url, role = env[URL], env[ROLE]
        self.appender = Appender(url, role)  # type: ignore[arg-type]  # our own values
        self.appender.start()
        self._recorder = LogRecorder(url, role, self.appender)  # type: ignore[arg-type]

    def application_recorder(self) -> ApplicationRecorder:
        """The one recorder."""
        return self._recorder

    def aggregate_recorder(self, purpose: str = "events") -> ApplicationRecorder:
        """The same: there is one log."""
        return self._recorder

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> NoReturn:
        """Daybook's projections keep checkpoints of their own."""
        raise ProgrammingError(self.tracking_recorder.__doc__)

    def process_recorder(self) -> ProcessRecorder:
        """Daybook's projections keep checkpoints of their own."""
        raise ProgrammingError(self.process_recorder.__doc__)

    def close(self) -> None:
        """Append what waits, then close everything."""
        self.appender.close()
        self._recorder.close()


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

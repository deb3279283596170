"""log_append: the one way into the log, its rules and its roles."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.rows import namedtuple_row

from domain import ids
from domain.log.entry import Entry
from projections.log import calls
from projections.log.calls import QUERIES
from projections.log.request_queue import Request
from projections.postgres import Role, conninfo
from tests.support.builders import an_entry
from tests.support.log_model import OUTDATED, LogModel, Verdict

EVENT_IDS = [f"evt-{number}" for number in range(14)]


def connect(url: str, role: Role) -> psycopg.Connection[Any]:
    return psycopg.connect(
        conninfo(url, role, "test"), autocommit=True, row_factory=namedtuple_row
    )


@pytest.fixture
def app(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in the role in which the API appends."""
    with connect(database_url, "daybook_edge") as connection:
        yield connection


def append(
    connection: psycopg.Connection[Any], group: Sequence[Sequence[Entry]]
) -> list[Any]:
    """One call for a group of requests; its answers."""
    requests = [
        Request(list(entries), checked=0 if entries[0].type == OUTDATED else 1)
        for entries in group
    ]
    return connection.execute(QUERIES["append"], calls.arrays(requests)).fetchall()


def answers(connection: psycopg.Connection[Any], *group: Sequence[Entry]) -> list[str]:
    return [row.answer for row in append(connection, group)]


# The rules, against the model.


class Row(Entry, frozen=True, kw_only=True):
    """An entry of a numbered tenant, until the tenants have ids.

    One with a source_id gets an event id of its own, as ours have that come that way.
    """

    tenant: int


rows = st.builds(
    Row,
    tenant_id=st.just(UUID(int=0)),
    tenant=st.integers(0, 1),
    event_id=st.sampled_from(EVENT_IDS),
    stream=st.sampled_from(["a", "b", "c"]),
    type=st.sampled_from(["t", "t", "t", OUTDATED]),
    state=st.just(b"{}"),
    source=st.sampled_from(["/one", "/two"]),
    source_id=st.sampled_from([None, None, "1", "2"]),
    expected_version=st.none() | st.integers(0, 4),
    causation_id=st.none() | st.sampled_from(EVENT_IDS),
    fingerprint=st.sampled_from([None, b"1", b"2"]),
)


def of_one_tenant(request: list[Row]) -> list[Row]:
    """And checked at once."""
    return [
        row
        for row in request
        if (row.tenant, row.type) == (request[0].tenant, request[0].type)
    ]


requests = st.lists(rows, min_size=1, max_size=4).map(of_one_tenant)
groups = st.lists(st.lists(requests, min_size=1, max_size=8), min_size=1, max_size=4)


def row(event_id: int, **fields: Any) -> Row:
    return Row(
        tenant_id=UUID(int=0),
        tenant=0,
        event_id=EVENT_IDS[event_id],
        state=b"{}",
        **{"stream": "a", "type": "t"} | fields,
    )


def chain(length: int) -> list[Row]:
    """Each the cause of the next."""
    causes = [None, *EVENT_IDS]
    return [row(number, causation_id=causes[number]) for number in range(length)]


def of_tenants(request: list[Row], tenants: list[UUID]) -> list[Entry]:
    fields = [
        {name: getattr(row, name) for name in Entry.__struct_fields__}
        for row in request
    ]
    return [
        Entry(
            **given
            | {"tenant_id": tenants[row.tenant]}
            | ({"event_id": ids.fresh("evt")} if row.source_id else {})
        )
        for row, given in zip(request, fields, strict=True)
    ]


def assert_same(row: Any, expected: Verdict) -> None:
    found = {name: getattr(row, name) for name in expected._fields}
    wanted = {name: v for name, v in expected._asdict().items() if v is not None}
    assert {name: found[name] for name in wanted} == wanted
    if expected.answer not in ("appended", "replayed", "event_exists"):
        assert (row.log_position, row.position) == (None, None)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example([[[each] for each in chain(13)]])  # one group
@example([[[each]] for each in chain(13)])  # a group each
@example([[chain(12)]])  # one request
@example([[[row(0, stream="a"), row(0, stream="b")], [row(0, stream="c")]]])
@example([[[row(0), row(0), row(1, expected_version=9)], [row(0, stream="b")]]])
@example([[[row(0, type=OUTDATED), row(1, type=OUTDATED)], [row(0)]]])
@example([[[row(0)], [row(0, type=OUTDATED)]], [[row(0, type=OUTDATED)]]])
@example(
    [
        [
            [row(0, source="/one", source_id="1")],
            [row(1, source="/one", source_id="1")],
        ],
        [
            [row(2, source="/one", source_id="1")],
            [row(3, source="/two", source_id="1")],
        ],
    ]
)
@given(groups)
def test_a_group_is_answered_as_its_requests_one_after_another(
    app: psycopg.Connection[Any],
    admin: psycopg.Connection[Any],
    groups: list[list[list[Row]]],
) -> None:
    # given: tenants of this example alone, in a log that earlier examples wrote to
    tenants = [ids.new(), ids.new()]
    heads = "insert into catalogue_heads values (%s, 1), (%s, 1)"
    admin.execute(heads, tenants)
    model = LogModel(admin.execute("select count(*) from events").fetchone().count)
    for group in groups:
        entries = [of_tenants(request, tenants) for request in group]
        # when
        found = iter(append(app, entries))
        # then
        for request in entries:
            for expected in model.append(request):
                assert_same(next(found), expected)
    assert_is_stored(admin, model)


def assert_is_stored(admin: psycopg.Connection[Any], model: LogModel) -> None:
    """The log has the model's events and no others; positions without holes."""
    kept = admin.execute(
        "select tenant_id, event_id, stream, version, log_position, position, depth"
        " from events where log_position > %s order by log_position",
        [model.base],
    ).fetchall()
    assert [tuple(row) for row in kept] == [
        (
            stored.entry.tenant_id,
            stored.entry.event_id,
            stored.entry.stream,
            stored.version,
            stored.log_position,
            stored.position,
            stored.depth,
        )
        for stored in model.events
    ]
    times = admin.execute(
        "select recorded_at from events order by log_position"
    ).fetchall()
    assert times == sorted(times)


# What else an answer says.


def test_a_repeat_is_answered_with_the_first_answer(
    app: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    # given
    entry = an_entry(tenant_id, fingerprint=b"f")
    [first] = append(app, [[entry]])
    append(app, [[an_entry(tenant_id)]])
    # when
    [again] = append(app, [[entry]])
    # then
    assert again._replace(answer="appended") == first
    assert again.answer == "replayed"


def test_what_is_known_by_its_source_is_answered_with_the_first_ones_id(
    app: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    # given
    fields = {"source": "/crm", "source_id": "41", "fingerprint": b"f"}
    [first] = append(app, [[an_entry(tenant_id, **fields)]])
    # when: the same again, twice in one group
    found = append(app, [[an_entry(tenant_id, **fields)]] * 2)
    # then
    assert [row.answer for row in found] == ["replayed"] * 2
    assert {row.event_id for row in found} == {first.event_id}
    # and: another one, twice in one group
    fields |= {"source_id": "42"}
    found = append(app, [[an_entry(tenant_id, **fields)] for _ in range(2)])
    assert [row.answer for row in found] == ["appended", "replayed"]
    assert found[0].event_id == found[1].event_id


def test_events_checked_before_the_catalogue_changed_are_not_appended(
    app: psycopg.Connection[Any], admin: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    entry = an_entry(tenant_id, fingerprint=b"f")

    def appended(checked: int | None) -> str:
        request = Request([entry], checked=checked)
        return app.execute(QUERIES["append"], calls.arrays([request])).fetchone().answer

    admin.execute("insert into catalogue_heads values (%s, 7)", [tenant_id])
    assert appended(6) == "outdated"
    assert appended(7) == "appended"
    # what is there is there, whatever has changed since
    assert appended(6) == "replayed"


def test_a_group_may_be_of_several_tenants(app: psycopg.Connection[Any]) -> None:
    one, two = ids.new(), ids.new()
    found = append(app, [[an_entry(one)], [an_entry(two)], [an_entry(one)]])
    assert [row.position for row in found] == [1, 1, 2]


def test_an_event_that_gives_no_time_of_its_own_happened_when_it_was_recorded(
    app: psycopg.Connection[Any], admin: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    append(app, [[an_entry(tenant_id)]])
    kept = admin.execute("select occurred_at, recorded_at from events").fetchone()
    assert kept.occurred_at == kept.recorded_at


def test_time_does_not_run_back_with_the_clock(
    app: psycopg.Connection[Any], admin: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    # given: the last event was recorded by a clock that was ahead
    append(app, [[an_entry(tenant_id)]])
    admin.execute("update events set recorded_at = recorded_at + interval '1 day'")
    # when
    [row] = append(app, [[an_entry(tenant_id)]])
    # then
    last = admin.execute("select max(recorded_at) as at from events").fetchone()
    assert row.recorded_at == last.at


def test_bytes_are_kept_as_they_came(
    app: psycopg.Connection[Any], admin: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    state = b'{ "n": 1e2,\t"s": "\\u00e9",  "big": 1.0000000000000000001 }'
    append(app, [[an_entry(tenant_id, state=state, metadata=b'{"a" : 1}')]])
    kept = admin.execute("select state, metadata from events").fetchone()
    assert kept == (state, b'{"a" : 1}')


def test_a_loop_of_causes_ends(app: psycopg.Connection[Any], tenant_id: UUID) -> None:
    # given: somebody who answers each event with two, the second caused by the first
    cause, rounds = None, 0
    while rounds < 20:
        first = an_entry(tenant_id, causation_id=cause)
        second = an_entry(tenant_id, causation_id=first.event_id)
        if "causation_too_deep" in answers(app, [first, second]):
            break
        cause, rounds = second.event_id, rounds + 1
    # then
    assert rounds == 5


# Who may do what.


@pytest.mark.parametrize(
    "statement",
    [
        "insert into events select * from events",
        "update events set stream = 'x'",
        "delete from events",
        "truncate events",
    ],
    ids=lambda statement: statement.split()[0],
)
@pytest.mark.parametrize(
    "role", ["daybook_app", "daybook_edge", "daybook_operator", "daybook_worker"]
)
def test_only_log_append_writes(database_url: str, role: Role, statement: str) -> None:
    with connect(database_url, role) as connection:
        connection.execute(
            "select set_config('app.tenant_id', %s, false)", [str(ids.new())]
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_the_tables_owner_cannot_write_events_either(
    app: psycopg.Connection[Any], admin: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    append(app, [[an_entry(tenant_id)]])
    admin.execute("set role daybook_owner")
    # row-level security is forced: no policy names the owner, so there are no rows
    assert admin.execute("update events set stream = 'x'").rowcount == 0
    assert admin.execute("delete from events").rowcount == 0


def test_the_app_sees_its_tenant_only(
    app: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    other = ids.new()
    append(app, [[an_entry(tenant_id)], [an_entry(other)]])
    with app.transaction():
        app.execute(QUERIES["enter_tenant"], {"tenant_id": str(tenant_id)})
        app.execute(QUERIES["enter_role"], {"role": "daybook_app"})
        seen = app.execute("select distinct tenant_id from events").fetchall()
    assert [row.tenant_id for row in seen] == [tenant_id]


def test_without_a_tenant_the_app_sees_an_error(
    app: psycopg.Connection[Any], tenant_id: UUID
) -> None:
    append(app, [[an_entry(tenant_id)]])
    app.execute("set role daybook_app")
    # never set
    with pytest.raises(psycopg.errors.UndefinedObject):
        app.execute("select * from events")
    # set, for a transaction that is over
    with app.transaction():
        app.execute(QUERIES["enter_tenant"], {"tenant_id": str(tenant_id)})
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        app.execute("select * from events")


def test_the_operator_reads_no_events(database_url: str) -> None:
    with (
        connect(database_url, "daybook_operator") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("select * from events")


def test_nobody_else_may_append(admin: psycopg.Connection[Any]) -> None:
    open_to_all = admin.execute(
        "select proname from pg_proc where pronamespace = 'daybook'::regnamespace"
        " and prosecdef and has_function_privilege('pg_monitor', oid, 'execute')"
    )
    assert open_to_all.fetchall() == []

"""The role of tenants' requests by hand: in psql it sees what is its tenant's, or an error.

Every table, view and function in the schema is tried, so one that is added today is too.
Each table has a row of each of two tenants; that a row is in the other's name is the only
difference.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.rows import namedtuple_row

from projections.isolation import LENT, PLATFORM_TABLES, TOLD
from tests.support import postgres

OWN = UUID("01924c8a-7b00-7000-8000-00000000000a")
ANOTHERS = UUID("01924c8a-7b00-7000-8000-00000000000b")
# Functions that it may call without their lending it anything.
PLAIN = {
    "bin_of",
    "code_of",
    "is_kept",
    "kept_since",
    "lock_of_key",
    "owed_state",
    "require",
    "tenant_is_active",
}

Admin = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    """A database with a row of each of two tenants in each table."""
    with postgres.database(server_url, template) as made:
        with postgres.connect(made) as admin:
            _drop_checks(admin)
            for number, tenant in enumerate((OWN, ANOTHERS), 1):
                for table in tables(admin):
                    _insert(admin, table, tenant, number)
            # Two that say something only when they are in force.
            admin.execute("update api_keys set revoked_at = null")
            admin.execute("update tenants set state = 'suspended'")
        yield made


@pytest.fixture
def app(url: str) -> Iterator[Admin]:
    """The role of tenants' requests, in a transaction that is undone."""
    with psycopg.connect(
        url, row_factory=namedtuple_row, options="-c search_path=daybook"
    ) as connection:
        connection.execute("set role daybook_app")
        yield connection
        connection.rollback()


@pytest.fixture
def own(app: Admin) -> Admin:
    """The same, for one of the tenants."""
    app.execute("select set_config('app.tenant_id', %s, true)", [str(OWN)])
    return app


def relations(connection: Admin, kinds: str, *, of_tenants: bool = True) -> list[str]:
    """Tables, views ... that have, or have not, a tenant in each row."""
    query = """
        select c.relname from pg_class c
        where c.relnamespace = 'daybook'::regnamespace and c.relkind = any(%s)
            and %s = exists (
                select from pg_attribute a
                where a.attrelid = c.oid and a.attname = 'tenant_id')
        order by c.relname"""
    rows = connection.execute(query, [list(kinds), of_tenants]).fetchall()
    return [row[0] for row in rows]


def tables(connection: Admin) -> list[str]:
    """Those that rows are put into: of partitioned ones the whole."""
    parts = "select inhrelid::regclass::text from pg_inherits"
    partitions = {row[0].removeprefix("daybook.") for row in connection.execute(parts)}
    return [each for each in relations(connection, "rp") if each not in partitions]


def may(connection: Admin, what: str, relation: str) -> bool:
    query = "select has_any_column_privilege('daybook_app', %s::regclass, %s)"
    if what == "delete":
        query = "select has_table_privilege('daybook_app', %s::regclass, %s)"
    [found] = connection.execute(query, [f"daybook.{relation}", what]).fetchone() or [0]
    return bool(found)


# Reading.


def test_it_sees_its_own_rows_only(own: Admin) -> None:
    seen = {}
    for relation in relations(own, "rpv"):
        if may(own, "select", relation):
            query = sql.SQL("select tenant_id from {}").format(sql.Identifier(relation))
            seen[relation] = {row[0] for row in own.execute(query).fetchall()}
    assert len(seen) > 15
    assert {name: found for name, found in seen.items() if found != {OWN}} == {}


def test_what_it_may_not_read_it_may_not_read(own: Admin) -> None:
    hidden = [
        each
        for each in relations(own, "rpv") + relations(own, "rpv", of_tenants=False)
        if not may(own, "select", each)
    ]
    for relation in hidden:
        with pytest.raises(errors.InsufficientPrivilege), own.transaction():
            own.execute(sql.SQL("select from {}").format(sql.Identifier(relation)))
    assert set(hidden) >= PLATFORM_TABLES - TOLD


@pytest.mark.parametrize("named", [None, "", "nobody", "*", "' or true --"])
def test_without_a_tenant_there_is_an_error(app: Admin, named: str | None) -> None:
    """Also on a connection that had one: what is left of it is an empty text."""
    if named is not None:
        app.execute("select set_config('app.tenant_id', %s, true)", [named])
    for relation in relations(app, "rpv"):
        if may(app, "select", relation):
            with (
                pytest.raises((errors.UndefinedObject, errors.DataError)),
                app.transaction(),
            ):
                app.execute(sql.SQL("select from {}").format(sql.Identifier(relation)))


def test_what_a_transaction_was_the_next_is_not(url: str) -> None:
    with psycopg.connect(
        url, autocommit=True, options="-c search_path=daybook"
    ) as connection:
        connection.execute("set role daybook_app")
        with connection.transaction():
            connection.execute(
                "select set_config('app.tenant_id', %s, true)", [str(OWN)]
            )
            assert connection.execute("select from events").rowcount == 1
        with pytest.raises(errors.DataError):
            connection.execute("select from events")


# Writing.


def test_it_changes_its_own_rows_only(own: Admin) -> None:
    for relation in relations(own, "rp"):
        if may(own, "update", relation) and may(own, "select", relation):
            column = _updatable(own, relation)
            query = sql.SQL("update {} set {column} = {column}").format(
                sql.Identifier(relation), column=sql.Identifier(column)
            )
            assert own.execute(query).rowcount == 1, relation


def test_it_deletes_its_own_rows_only(own: Admin) -> None:
    for relation in relations(own, "rp"):
        if may(own, "delete", relation):
            query = sql.SQL("delete from {}").format(sql.Identifier(relation))
            assert own.execute(query).rowcount <= 1, relation


def test_it_writes_nothing_in_anothers_name(own: Admin) -> None:
    tried = 0
    for relation in relations(own, "rp"):
        if may(own, "insert", relation):
            query = sql.SQL("insert into {} (tenant_id) values (%s)")
            with (
                pytest.raises(errors.InsufficientPrivilege, match="row-level"),
                own.transaction(),
            ):
                own.execute(query.format(sql.Identifier(relation)), [ANOTHERS])
            tried += 1
    assert tried > 5


# Functions.


def test_every_function_it_may_call_is_known(own: Admin) -> None:
    callable_by_it = """
        select proname from pg_proc
        where pronamespace = 'daybook'::regnamespace
            and has_function_privilege('daybook_app', oid, 'execute')"""
    found = {row.proname for row in own.execute(callable_by_it).fetchall()}
    assert found == LENT | PLAIN


def test_a_key_tells_of_its_own_tenant_only(own: Admin) -> None:
    query = "select tenant_id from authenticate(%s, %s, %s)"
    for digest in (b"", b"1", b"x"):
        assert own.execute(query, [digest, ANOTHERS, "x2"]).fetchall() == []
    rows = own.execute(query, [_value("bytea", OWN, 1), ANOTHERS, "x2"]).fetchall()
    assert {row.tenant_id for row in rows} == {OWN}


def test_whether_another_tenant_is_suspended_is_not_told(own: Admin) -> None:
    query = "select tenant_is_active(%s) as own, tenant_is_active(%s) as anothers"
    assert own.execute(query, [OWN, ANOTHERS]).fetchone() == (False, True)


def test_how_long_another_tenant_keeps_its_history_is_not_told(own: Admin) -> None:
    query = "select kept_since(%s) > kept_since(%s) as is_shorter"
    own.execute("reset role")
    own.execute("update tenants set retention_days = 7")
    own.execute("set role daybook_app")
    assert own.execute(query, [OWN, ANOTHERS]).fetchone() == (True,)


def test_who_acts_for_several_tenants_sees_no_row(app: Admin) -> None:
    """Its functions take the tenants as parameters, and it has nothing but them."""
    app.execute("set role daybook_edge")
    for relation in relations(app, "rpv") + relations(app, "rpv", of_tenants=False):
        with pytest.raises(errors.InsufficientPrivilege), app.transaction():
            app.execute(sql.SQL("select from {}").format(sql.Identifier(relation)))


# Rows of any table, by the types of its columns.


def _drop_checks(admin: Admin) -> None:
    """What a column may say is no matter here, whose row it is is."""
    query = """
        select conrelid::regclass::text as name, conname from pg_constraint
        where connamespace = 'daybook'::regnamespace and contype in ('c', 'f')
            and coninhcount = 0"""
    for table, constraint in admin.execute(query).fetchall():
        drop = sql.SQL("alter table {} drop constraint {}")
        name = sql.Identifier(*table.split("."))
        admin.execute(drop.format(name, sql.Identifier(constraint)))


def _insert(admin: Admin, table: str, tenant: UUID, number: int) -> None:
    query = """
        select attname, format_type(atttypid, null) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped
            and attidentity = ''"""
    columns = admin.execute(query, [f"daybook.{table}"]).fetchall()
    values = {
        name: tenant if name == "tenant_id" else _value(kind, tenant, number)
        for name, kind in columns
    }
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Placeholder() * len(values)),
    )
    admin.execute(statement, list(values.values()))


def _value(kind: str, tenant: UUID, number: int) -> Any:
    """Another for each tenant, the same in all its tables: so its rows join."""
    if kind.endswith("[]"):
        return []
    match kind:
        case "uuid":
            return uuid5(tenant, "one")
        case "text":
            return f"x{number}"
        case "bytea":
            return f"x{number}".encode()
        case "json" | "jsonb":
            return "{}"
        case "boolean":
            return True
        case "timestamp with time zone":
            return f"2999-11-0{number}T00:00:00Z"
    return number  # numbers of whatever size


def _updatable(connection: Admin, relation: str) -> str:
    query = """
        select attname from pg_attribute
        where attrelid = %(name)s::regclass and attnum > 0 and not attisdropped
            and has_column_privilege('daybook_app', attrelid, attnum, 'update')
        order by attnum desc limit 1"""
    [column] = connection.execute(query, {"name": f"daybook.{relation}"}).fetchone()
    return str(column)

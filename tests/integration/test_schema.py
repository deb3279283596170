"""The schema: schema.sql says what the migrations make, and how its keys are made.

That tenants are kept apart in it is proved by each process: test_isolation.py.
"""

from collections.abc import Iterator

import psycopg
import pytest

from migrations.schema import PATH
from tests.support import postgres
from tests.support.catalogue import describe

# Lists that workers go through over all tenants.
KEYED_OTHERWISE = {"delivery_tallies", "pokes", "projection_errors"}


@pytest.fixture
def admin(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection that sees everything."""
    with postgres.connect(database_url) as connection:
        yield connection


def names(connection: psycopg.Connection, query: str) -> set[str]:
    return {name for (name,) in connection.execute(query).fetchall()}


def test_schema_sql_is_what_the_migrations_make(
    admin: psycopg.Connection, empty_database_url: str
) -> None:
    # given: a database made from the one file
    with postgres.connect(empty_database_url) as connection:
        connection.execute(PATH.read_text(encoding="utf-8"))
        read = describe(connection)
    # then: it is what the migrations make. If not: python -m migrations.schema
    made = describe(admin)
    assert [line for line in read if line not in made] == []
    assert [line for line in made if line not in read] == []
    assert len(made) > 200


TABLES = """
    select relname from pg_class where relnamespace = 'daybook'::regnamespace
    and relkind in ('r', 'p')"""
OF_TENANTS = """
    and exists (select from pg_attribute where attrelid = pg_class.oid
    and attname = 'tenant_id' and attnotnull)"""


def test_keys_of_tenants_tables_begin_with_the_tenant(
    admin: psycopg.Connection,
) -> None:
    led = """
        select relname from pg_index join pg_class on pg_class.oid = indrelid
        join pg_attribute on attrelid = indrelid and attnum = indkey[0]
        where indisprimary and attname = 'tenant_id'"""
    others = names(admin, TABLES + OF_TENANTS) - names(admin, led)
    assert others <= KEYED_OTHERWISE


def test_nothing_refers_to_the_log_by_foreign_key(admin: psycopg.Connection) -> None:
    """It would lock the event's row at every insert elsewhere."""
    keys = "select conname from pg_constraint where contype = 'f'"
    assert names(admin, f"{keys} and confrelid = 'daybook.events'::regclass") == set()

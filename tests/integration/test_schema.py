"""The schema: schema.sql says what the migrations make; tenants are kept apart in it."""

from collections.abc import Iterator

import psycopg
import pytest

from migrations.schema import PATH
from tests.support import postgres
from tests.support.catalogue import describe

# What belongs to no tenant, and may be read by nobody but the platform. Each by name.
PLATFORM_TABLES = {
    "checkpoints",  # how far projections have come
    "log_incarnation",  # which log this is
    "owners",  # which workers live
    "rebuilds",  # of projections, asked for and done
    "tracking",  # how far the library's own readers have come
}
# Of these a tenant's requests are told.
TOLD = {"log_incarnation"}
# Lists that workers go through over all tenants.
KEYED_OTHERWISE = {"pokes", "projection_errors"}


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


def test_every_table_is_of_tenants_or_listed(admin: psycopg.Connection) -> None:
    assert names(admin, TABLES) - names(admin, TABLES + OF_TENANTS) <= PLATFORM_TABLES


def test_row_level_security_holds_for_every_table_of_tenants(
    admin: psycopg.Connection,
) -> None:
    guarded = TABLES + " and relrowsecurity and relforcerowsecurity"
    assert names(admin, TABLES + OF_TENANTS) - names(admin, guarded) == set()


def test_a_tenants_requests_see_its_own_rows_only(admin: psycopg.Connection) -> None:
    """Each policy for the API's role, and each for everybody, asks for the tenant."""
    open_policies = """
        select tablename || '.' || policyname from pg_policies
        where schemaname = 'daybook' and roles && '{daybook_app,public}'
        and (qual is null or qual !~ 'app\\.tenant_id'
            or cmd <> 'SELECT' and coalesce(with_check, '') !~ 'app\\.tenant_id')"""
    assert names(admin, open_policies) == set()


def test_a_tenants_requests_have_no_business_with_platform_tables(
    admin: psycopg.Connection,
) -> None:
    reachable = {
        table
        for table in PLATFORM_TABLES & names(admin, TABLES)
        if admin.execute(
            "select has_table_privilege('daybook_app', %s,"
            " 'select, insert, update, delete, truncate')",
            [f"daybook.{table}"],
        ).fetchone()
        == (True,)
    }
    assert reachable == TOLD


def test_keys_of_tenants_tables_begin_with_the_tenant(
    admin: psycopg.Connection,
) -> None:
    led = """
        select relname from pg_index join pg_class on pg_class.oid = indrelid
        join pg_attribute on attrelid = indrelid and attnum = indkey[0]
        where indisprimary and attname = 'tenant_id'"""
    others = names(admin, TABLES + OF_TENANTS) - names(admin, led)
    assert others <= KEYED_OTHERWISE


def test_functions_that_lend_their_owners_rights_pin_the_search_path(
    admin: psycopg.Connection,
) -> None:
    loose = """
        select proname from pg_proc
        where pronamespace = 'daybook'::regnamespace and prosecdef
        and not 'search_path=daybook, pg_temp' = any(coalesce(proconfig, '{}'))"""
    assert names(admin, loose) == set()


def test_views_have_the_rights_of_who_asks(admin: psycopg.Connection) -> None:
    lending = """
        select relname from pg_class where relnamespace = 'daybook'::regnamespace
        and relkind = 'v'
        and not 'security_invoker=true' = any(coalesce(reloptions, '{}'))"""
    assert names(admin, lending) == set()


def test_nothing_refers_to_the_log_by_foreign_key(admin: psycopg.Connection) -> None:
    """It would lock the event's row at every insert elsewhere."""
    keys = "select conname from pg_constraint where contype = 'f'"
    assert names(admin, f"{keys} and confrelid = 'daybook.events'::regclass") == set()


def test_no_role_can_log_in_or_pass_over_policies(admin: psycopg.Connection) -> None:
    mighty = """
        select rolname from pg_roles where rolname in ('daybook_owner', 'daybook_log',
        'daybook_app', 'daybook_operator', 'daybook_worker', 'daybook_backup')
        and (rolcanlogin or rolsuper or rolbypassrls or rolcreaterole or rolcreatedb)"""
    assert names(admin, mighty) == set()

"""The proof at start-up: it holds for what the migrations make, and sees each open wall."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from projections import isolation, postgres, startup
from projections.postgres import Connection
from tests.support import postgres as databases

# What takes a wall down -> which rule must see it, and what it says of it.
OPENINGS: dict[str, tuple[str, str]] = {
    "alter table events no force row level security": ("unwalled_tables", "events"),
    "alter table results_other disable row level security": (
        "unwalled_tables",
        "results_other",
    ),
    "create table notes (tenant_id uuid not null)": ("unwalled_tables", "notes"),
    "create policy all_of_it on events for select to daybook_app using (true)": (
        "open_policies",
        "events.all_of_it",
    ),
    "create policy all_of_it on webhooks to public using (true)": (
        "open_policies",
        "webhooks.all_of_it",
    ),
    "alter policy own_tenant on owed with check (true)": (
        "open_policies",
        "owed.own_tenant",
    ),
    # "No tenant" would mean "all tenants".
    """alter policy own_tenant on events using (
        current_setting('app.tenant_id', true) is null
        or tenant_id = (select current_setting('app.tenant_id')::uuid))""": (
        "open_policies",
        "events.own_tenant",
    ),
    "create table notes (id int)": ("unknown_tables", "notes"),
    "grant select on owners to daybook_app": ("told_too_much", "owners (daybook_app)"),
    "grant select (name) on checkpoints to public": (
        "told_too_much",
        "checkpoints (daybook_app)",
    ),
    "grant select (state) on events to daybook_operator": (
        "told_too_much",
        "events (daybook_operator)",
    ),
    "grant update on events to daybook_worker": (
        "changeable_log",
        "daybook_worker (UPDATE)",
    ),
    "grant insert on events to public": ("changeable_log", "- (INSERT)"),
    "create policy mend on events for update to daybook_owner using (true)": (
        "changeable_log",
        "a policy: mend",
    ),
    "grant truncate on owed to daybook_worker": (
        "passing_privileges",
        "owed (TRUNCATE)",
    ),
    "alter role daybook_app bypassrls": ("strong_roles", "daybook_app"),
    "alter role daybook_worker login": ("strong_roles", "daybook_worker"),
    "grant daybook_worker to daybook_app": ("strong_roles", "daybook_app"),
    "alter table webhooks owner to daybook_app": ("foreign_owners", "webhooks"),
    "alter view deliveries set (security_invoker = false)": (
        "lending_views",
        "deliveries",
    ),
    "create materialized view everything as select * from events": (
        "lending_views",
        "everything",
    ),
    "alter function log_find owner to daybook_owner": (
        "lending_functions",
        "log_find()",
    ),
    "alter function authenticate(bytea) reset search_path": (
        "lending_functions",
        "authenticate()",
    ),
    "grant execute on function claim_keys to daybook_app": (
        "lending_functions",
        "claim_keys()",
    ),
    "grant select on tenants to daybook_edge": (
        "told_too_much",
        "tenants (daybook_edge)",
    ),
    "grant execute on function log_append to public": (
        "lending_functions",
        "log_append()",
    ),
    """create function peek() returns bigint language sql security definer
        set search_path = daybook, pg_temp as 'select count(*) from events'""": (
        "lending_functions",
        "peek()",
    ),
    "grant create on schema daybook to daybook_app": ("makers", "daybook_app"),
    "set app.tenant_id = '01924c8a-7b00-7000-8000-00000000001d'": (
        "preset_tenant",
        "app.tenant_id",
    ),
}


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    """One database for all openings: each is undone."""
    with databases.database(server_url, template) as made:
        yield made


@pytest.fixture
async def admin(url: str) -> AsyncIterator[Connection]:
    """The login itself, in a transaction that nobody commits: roles are the server's."""
    connection: Connection = await psycopg.AsyncConnection.connect(
        url, row_factory=namedtuple_row, options="-c search_path=daybook"
    )
    yield connection
    await connection.close()


async def test_what_the_migrations_make_is_closed(url: str) -> None:
    for role in ("daybook_app", "daybook_operator", "daybook_worker"):
        async with await postgres.connect(url, role, "test") as connection:
            assert await isolation.faults(connection) == []


@pytest.mark.parametrize("opening", OPENINGS)
async def test_an_open_wall_is_seen(admin: Connection, opening: str) -> None:
    rule, name = OPENINGS[opening]
    await admin.execute(opening)
    found = await isolation.faults(admin)
    [said] = [one for one in found if one.startswith(isolation.RULES[rule])]
    assert name in said.removeprefix(f"{isolation.RULES[rule]}: ").split(", ")


def test_every_rule_has_its_opening() -> None:
    assert {rule for rule, _ in OPENINGS.values()} == isolation.RULES.keys()


async def test_a_process_refuses_to_start_and_says_why(database_url: str) -> None:
    with databases.connect(database_url) as connection:
        connection.execute("alter table events no force row level security")
    roles = ("daybook_app", "daybook_operator")
    with pytest.raises(startup.Refused, match="no forced row-level security on: ev"):
        await startup.wait_and_check(database_url, *roles)


async def test_a_database_without_tables_is_told_what_it_lacks(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(startup.Refused, match="run `daybook migrate`"):
        await startup.wait_and_check(empty_database_url, "daybook_app")
    # A server that has never seen Daybook has not even its roles.
    monkeypatch.setattr(startup, "WAIT_SECONDS", 0)
    absent: Any = "daybook_absent"
    with pytest.raises(startup.Refused, match="run `daybook migrate`"):
        await startup.wait_and_check(empty_database_url, absent)


async def test_a_pool_that_acts_as_another_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler that drops what a connection asks for."""
    real = postgres.connect

    async def as_worker(url: str, role: postgres.Role, purpose: str) -> Connection:
        return await real(url, "daybook_worker", purpose)

    monkeypatch.setattr(postgres, "connect", as_worker)
    with pytest.raises(startup.Refused, match="as daybook_worker, not as daybook_op"):
        await startup.check(database_url, "daybook_worker", "daybook_operator")


async def test_a_server_that_logs_statements_is_told_of(admin: Connection) -> None:
    await admin.execute("set local log_min_error_statement = panic")
    assert await startup.telling_settings(admin) == []
    await admin.execute("set local log_min_error_statement = error")
    await admin.execute("set local log_statement = mod")
    assert await startup.telling_settings(admin) == [
        "log_min_error_statement = error",
        "log_statement = mod",
    ]

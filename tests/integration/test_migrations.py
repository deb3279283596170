"""Migrations: applied once, in order, whole or not at all, by whoever may."""

import secrets
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from domain import ids
from migrations import runner
from migrations.runner import Migration, MigrationError, files, migrate
from projections.log import calls
from projections.log.calls import QUERIES
from projections.log.request_queue import Request
from projections.postgres import conninfo
from tests.support import postgres
from tests.support.builders import an_entry

ROOT = Path(__file__).parents[2]
ROLES = (
    "daybook_owner",
    "daybook_log",
    "daybook_app",
    "daybook_edge",
    "daybook_operator",
    "daybook_worker",
    "daybook_backup",
)

ONE_PROCESS = """
import sys
from migrations.runner import migrate
print("ready", flush=True)
sys.stdin.readline()
print(*[migration.version for migration in migrate(sys.argv[1])])
"""


def applied(url: str) -> list[str]:
    """The versions in the database's own list."""
    with postgres.connect(url) as connection:
        rows = connection.execute("select version from schema_migrations order by 1")
        return [version for (version,) in rows.fetchall()]


def tables(url: str) -> int:
    with postgres.connect(url) as connection:
        count = "select count(*) from pg_tables where schemaname = 'daybook'"
        return connection.execute(count).fetchone()[0]


def with_file(monkeypatch: pytest.MonkeyPatch, *more: Migration) -> None:
    """The code has these files as well."""
    known = [*files(), *more]
    monkeypatch.setattr(runner, "files", lambda *_: known)


def a_file(text: str, version: str = "9001") -> Migration:
    return runner._read(f"{version}_tried.sql", text)


# Once, by however many.


def test_several_processes_at_once_apply_each_file_once(
    empty_database_url: str,
) -> None:
    # given
    command = [sys.executable, "-c", ONE_PROCESS, empty_database_url]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    # when
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    # then
    done = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    everything = [migration.version for migration in files()]
    assert sorted(done) == [[], [], [], everything]
    assert applied(empty_database_url) == everything


def test_two_databases_of_one_server_at_once(server_url: str) -> None:
    """Roles belong to the server: who comes second finds them, even in the making."""
    with postgres.database(server_url) as one, postgres.database(server_url) as two:
        command = [sys.executable, "-c", ONE_PROCESS]
        processes = [
            subprocess.Popen(
                [*command, url], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for url in (one, two)
        ]
        for process in processes:
            process.communicate(b"\n", timeout=60)
        assert [process.returncode for process in processes] == [0, 0]
        assert applied(one) == applied(two)


def test_a_second_run_finds_nothing_to_do(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == files()
    assert migrate(empty_database_url) == []


def test_each_file_is_reported_before_it_runs(empty_database_url: str) -> None:
    reported: list[tuple[str, list[str]]] = []

    def report(migration: Migration) -> None:
        reported.append((migration.version, applied(empty_database_url)))

    migrate(empty_database_url, report=report)
    versions = [migration.version for migration in files()]
    assert reported == [
        (version, versions[:number]) for number, version in enumerate(versions)
    ]


def test_only_what_is_new_is_applied(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = a_file("create table daybook.tried (id int)")
    with_file(monkeypatch, new)
    assert migrate(database_url) == [new]
    assert applied(database_url)[-1] == "9001"


# Refused.


def test_a_file_that_was_changed_after_it_was_applied_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = [m._replace(sha256="0" * 64) if m.name == "log" else m for m in files()]
    monkeypatch.setattr(runner, "files", lambda *_: edited)
    with pytest.raises(MigrationError, match=r"0002_log\.sql was changed"):
        migrate(database_url)


def test_line_ends_are_no_change() -> None:
    unix, windows = (
        a_file("select 1;\nselect 2;\n"),
        a_file("select 1;\r\nselect 2;\r\n"),
    )
    assert unix == windows


def test_a_database_that_is_newer_than_the_code_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = files()
    monkeypatch.setattr(runner, "files", lambda *_: known[:-1])
    with pytest.raises(MigrationError, match=f"newer.*it has {known[-1].version}"):
        migrate(database_url)


@pytest.mark.parametrize("name", ["1_short.sql", "0001-dash.sql", "0001_Upper.sql"])
def test_a_file_with_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(MigrationError, match="NNNN_what"):
        runner._read(name, "")


# Whole, or not at all.


def test_a_file_that_fails_leaves_nothing_of_itself(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a file that does much before it fails
    with_file(
        monkeypatch,
        a_file(
            "set local role daybook_owner; create table daybook.tried (id int);"
            "insert into daybook.checkpoints (name) values ('tried'); select 1 / 0"
        ),
    )
    # when
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database_url)
    # then: the files before it stand, of it there is nothing
    assert "9001" not in applied(empty_database_url)
    with postgres.connect(empty_database_url) as connection:
        connection.execute("create table daybook.tried (id int)")
        rows = connection.execute("select from checkpoints where name = 'tried'")
        assert rows.rowcount == 0


def test_after_a_failure_the_next_run_goes_on(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_file(monkeypatch, a_file("select 1 / 0"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database_url)
    monkeypatch.undo()
    with_file(monkeypatch, mended := a_file("select 1"))
    assert migrate(empty_database_url) == [mended]


def test_a_file_that_waits_too_long_for_a_lock_gives_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a waiting ALTER TABLE every reader of the table would queue."""
    with_file(monkeypatch, a_file("alter table daybook.events add column tried int"))
    with postgres.connect(database_url) as reader, reader.transaction():
        reader.execute("select from events")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(database_url, lock_timeout="50ms")


# By whom.


@contextmanager
def a_login(server_url: str, rights: str) -> Iterator[tuple[str, str]]:
    """A login that is no superuser, and the URL of a database that it owns."""
    name = f"daybook_login_{secrets.token_hex(4)}"
    login = sql.Identifier(name)
    with postgres.connect(server_url) as admin:
        made = sql.SQL("create role {} login password 'secret' " + rights)
        admin.execute(made.format(login))
        try:
            with postgres.database(server_url) as url:
                database = sql.Identifier(url.rpartition("/")[2])
                owned = sql.SQL("alter database {} owner to {}")
                admin.execute(owned.format(database, login))
                yield name, as_login(url, name)
        finally:
            admin.execute(sql.SQL("drop owned by {}").format(login))
            admin.execute(sql.SQL("drop role {}").format(login))


def as_login(url: str, name: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{name}:secret@{rest.rpartition('@')[2]}"


@contextmanager
def roles_of_our_own(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The files with other role names: roles belong to the server, which has Daybook's."""
    prefix = f"dbt{secrets.token_hex(4)}"
    own = [m._replace(sql=m.sql.replace("daybook_", f"{prefix}_")) for m in files()]
    monkeypatch.setattr(runner, "files", lambda *_: own)
    yield prefix
    with postgres.connect(server_url) as admin:
        for role in ROLES:
            name = sql.Identifier(role.replace("daybook", prefix))
            admin.execute(sql.SQL("drop role if exists {}").format(name))


def test_a_login_that_may_make_roles_and_owns_the_database(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    with (
        roles_of_our_own(server_url, monkeypatch) as prefix,
        a_login(server_url, "createrole") as (_, url),
    ):
        # when
        migrate(url)
        # then: the login can take on each of its roles, and work
        for role in ("app", "edge", "operator", "worker"):
            with psycopg.connect(url, options=f"-c role={prefix}_{role}") as connection:
                assert connection.execute("select current_user").fetchone() == (
                    f"{prefix}_{role}",
                )
        assert_appends(url, prefix)


def test_a_login_that_was_given_the_roles_by_somebody_else(
    server_url: str, template: str
) -> None:
    with a_login(server_url, "nocreaterole") as (name, url):
        # given
        with postgres.connect(server_url) as admin:
            for role in ROLES:
                admin.execute(
                    sql.SQL("grant {} to {}").format(
                        sql.Identifier(role), sql.Identifier(name)
                    )
                )
        # when
        migrate(url)
        # then
        assert_appends(url, "daybook")


def test_a_login_that_may_not_take_on_the_roles_is_refused(server_url: str) -> None:
    with (
        a_login(server_url, "nocreaterole") as (_, url),
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        migrate(url)


def assert_appends(url: str, prefix: str) -> None:
    """The roles' rights fit together: an event goes in, its tenant sees it."""
    entry = an_entry(ids.new())
    as_edge: Any = f"{prefix}_edge"
    with psycopg.connect(conninfo(url, as_edge, "test"), autocommit=True) as connection:
        connection.execute(QUERIES["append"], calls.arrays([Request([entry])]))
        with connection.transaction():
            tenant = {"tenant_id": str(entry.tenant_id)}
            connection.execute(QUERIES["enter_tenant"], tenant)
            connection.execute(QUERIES["enter_role"], {"role": f"{prefix}_app"})
            assert connection.execute("select from events").rowcount == 1


# With what is there.

OLD_WEBHOOK = """
    insert into daybook.webhooks (
        tenant_id, webhook_id, number, url, event_types, retry, timeout_seconds,
        max_in_flight, metadata, state, version, created_by, created_at, updated_at)
    values (%(id)s, %(id)s, 1, 'https://e.example', '{a.*,b}', 'fast', 15, 10, '{}',
        'active', 3, 'test', now(), now())
"""
OLD_RANGES = """
    insert into daybook.webhook_ranges (
        tenant_id, pattern, to_position, from_position, webhook_id, version, own_stream)
    values (%(id)s, 'a.*', 9, 1, %(id)s, 1, '$'), (%(id)s, 'a.*', 99, 10, %(id)s, 3, '$'),
        (%(id)s, 'b', 99, 10, %(id)s, 3, '$')
"""


def test_webhooks_of_before_their_settings_stay_what_they_were(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    every = files()
    monkeypatch.setattr(runner, "files", lambda *_: every[:10])
    migrate(empty_database_url)
    params = {"id": ids.new()}
    with postgres.connect(empty_database_url) as connection:
        connection.execute(OLD_WEBHOOK, params)
        connection.execute(OLD_RANGES, params)
    # when
    monkeypatch.setattr(runner, "files", lambda *_: every)
    migrate(empty_database_url)
    # then
    with postgres.connect(empty_database_url) as connection:
        [settings] = connection.execute(
            "select retry, streams, filter, format, signing from daybook.webhooks"
        ).fetchall()
        versions = connection.execute(
            "select version, streams, filter, format from daybook.webhook_versions"
            " order by version"
        ).fetchall()
    assert tuple(settings) == ("fast", ["*"], None, "standard", ["v1"])
    assert [tuple(row) for row in versions] == [
        (version, ["*"], None, "standard") for version in (1, 3)
    ]


# As a package.


def test_the_wheel_has_the_files() -> None:
    """hatchling ships every file of a listed package, if nothing leaves it out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "migrations" in wheel["packages"]
    assert not wheel.keys() & {"exclude", "only-include", "include"}
    assert (ROOT / "migrations" / "__init__.py").exists()
    # and what git ignores is left out
    for line in (ROOT / ".gitignore").read_text().split():
        for path in (ROOT / "migrations").glob("*.sql"):
            assert not path.match(line)

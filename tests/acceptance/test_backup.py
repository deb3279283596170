"""Backup and restore with real dumps: complete or refused, and another log afterwards."""

import json
import os
import secrets
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from domain.application import Log
from migrations import runner
from migrations.runner import Migration
from projections import startup
from projections.log.appender import Appender
from projections.log.request_queue import Request
from tests.support import postgres
from tests.support.builders import a_tenant, a_webhook, an_entry
from tests.support.catalogue import describe
from tests.support.processes import DAYBOOK, cluster, expect, product
from tests.support.recording import recording
from tests.support.waiting import eventually
from workers.backup import archive, programs, restoring, taking
from workers.backup.programs import BackupError, Programs

Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(database_url: str) -> Iterator[Admin]:
    """A connection that sees everything."""
    with postgres.connect(database_url) as connection:
        yield connection


@pytest.fixture
def tenants(application: Log, appender: Appender) -> list[UUID]:
    """Two tenants with a webhook, events of every awkward shape, deliveries owed."""
    made = []
    awkward = [
        b'"\\n\\t\\\\.\\u0001"',
        b'"COPY daybook.events (x) FROM stdin;\\n"',
        b"[]",
    ]
    for name in ("one", "two"):
        tenant_id = a_tenant(application, name)
        a_webhook(application, tenant_id)
        entries = [
            an_entry(tenant_id, stream=f"s/{n % 7}", state=b'{"v":%b}' % awkward[n % 3])
            for n in range(300)
        ]
        appender.submit(Request(entries))
        made.append(tenant_id)
    return made


def rows_of(admin: Admin) -> dict[str, int]:
    """Every table's rows, as somebody sees them who sees everything."""
    found = admin.execute(
        "select relname from pg_class where relkind = 'r'"
        " and relnamespace = 'daybook'::regnamespace"
    ).fetchall()
    count = sql.SQL("select count(*) from daybook.{}")
    return {
        name: admin.execute(count.format(sql.Identifier(name))).fetchall()[0][0]
        for (name,) in found
    }


def log_of(url: str) -> list[tuple[Any, ...]]:
    with postgres.connect(url) as connection:
        return connection.execute(
            "select * from events order by log_position"
        ).fetchall()


# There and back.


def test_a_restored_database_is_the_one_that_was_backed_up(
    database_url: str,
    empty_database_url: str,
    admin: Admin,
    tenants: list[UUID],
    tmp_path: Path,
) -> None:
    # given
    path = tmp_path / "all.daybook"
    before = rows_of(admin)
    # when
    manifest = taking.take(database_url, path)
    restored = restoring.restore(empty_database_url, path)
    # then: row by row, and in every right and function
    assert manifest.tables == before
    assert before["events"] == manifest.log_position == 604
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert log_of(empty_database_url) == log_of(database_url)
    with postgres.connect(empty_database_url) as target:
        assert rows_of(target) == before
        assert describe(target) == describe(admin)
        # and it is another log, of this version
        [(incarnation,)] = target.execute(
            "select id from daybook.log_incarnation"
        ).fetchall()
        assert str(incarnation) == restored.incarnation != manifest.incarnation
        applied = target.execute("select * from public.schema_migrations order by 1")
        had = admin.execute("select * from public.schema_migrations order by 1")
        assert applied.fetchall() == had.fetchall()
        assert runner.pending(target) == []


async def test_processes_start_on_a_restored_database(
    database_url: str, empty_database_url: str, tmp_path: Path, tenant_id: UUID
) -> None:
    path = tmp_path / "all.daybook"
    taking.take(database_url, path)
    restoring.restore(empty_database_url, path)
    for role in ("daybook_app", "daybook_worker"):
        await startup.check(empty_database_url, role)
    appender = Appender(empty_database_url, "daybook_app")
    appender.start()
    [receipt] = await appender.append(Request([an_entry(tenant_id)]))
    appender.close()
    assert receipt.log_position == 1


def test_a_backup_is_one_moment(
    database_url: str, tenants: list[UUID], appender: Appender, tmp_path: Path
) -> None:
    """Events go in all the while; the counts agree because the snapshot is one."""
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            appender.submit(Request([an_entry(tenants[0]) for _ in range(20)]))

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for number in range(3):
            manifest = taking.take(database_url, tmp_path / f"{number}.daybook")
            assert manifest.tables["events"] == manifest.log_position
    finally:
        stop.set()
        publisher.join()
    assert len(log_of(database_url)) > manifest.log_position


def login(server_url: str, name: str) -> None:
    """One that may make nothing, and was given the roles by somebody else."""
    roles = "owner", "log", "app", "edge", "operator", "worker", "backup"
    with postgres.connect(server_url) as admin:
        made = sql.SQL("create role {} login password 'secret'")
        admin.execute(made.format(sql.Identifier(name)))
        for role in roles:
            admin.execute(
                sql.SQL("grant {} to {}").format(
                    sql.Identifier(f"daybook_{role}"), sql.Identifier(name)
                )
            )


def described(connection: Admin) -> list[str]:
    """Everything, but the one table that belongs to whoever migrates."""
    return [line for line in describe(connection) if "schema_migrations" not in line]


def test_a_login_that_is_no_superuser(
    server_url: str,
    database_url: str,
    empty_database_url: str,
    admin: Admin,
    tenants: list[UUID],
    tmp_path: Path,
) -> None:
    # given
    name = f"daybook_login_{secrets.token_hex(4)}"
    login(server_url, name)
    scheme, _, _ = database_url.partition("://")
    source, target = (
        f"{scheme}://{name}:secret@{url.rpartition('@')[2]}"
        for url in (database_url, empty_database_url)
    )
    try:
        with postgres.connect(server_url) as server:
            server.execute(
                sql.SQL("alter database {} owner to {}").format(
                    sql.Identifier(target.rpartition("/")[2]), sql.Identifier(name)
                )
            )
        # when
        taking.take(source, tmp_path / "b")
        restoring.restore(target, tmp_path / "b")
        # then
        assert log_of(empty_database_url) == log_of(database_url)
        with postgres.connect(empty_database_url) as restored:
            assert described(restored) == described(admin)
    finally:
        with postgres.connect(empty_database_url) as restored:
            gone = "drop owned by {}", "reassign owned by {} to postgres"
            for what in reversed(gone):
                restored.execute(sql.SQL(what).format(sql.Identifier(name)))
        with postgres.connect(server_url) as server:
            server.execute(
                sql.SQL("alter database {} owner to postgres").format(
                    sql.Identifier(target.rpartition("/")[2])
                )
            )
            server.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_a_backup_of_an_older_version_is_brought_up_to_this_one(
    empty_database_url: str,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    taking.take(database_url, tmp_path / "b")
    newer = Migration("9001", "tried", "create table daybook.tried (n int)", "digest")
    known = [*runner.files(), newer]
    monkeypatch.setattr(runner, "files", lambda *_: known)
    said: list[str] = []
    restoring.restore(empty_database_url, tmp_path / "b", said.append)
    assert said[-1] == "migrated: 9001 tried"
    with postgres.connect(empty_database_url) as target:
        assert runner.pending(target) == []


# The traps.


def test_the_trap_a_dump_of_nothing_that_succeeds(
    database_url: str, admin: Admin, tenants: list[UUID], tmp_path: Path
) -> None:
    """What this is all about: pg_dump as the owner of the tables, who owns every row."""
    server = admin.info.server_version // 10000
    tool = programs.find("pg_dump", server, server)
    database, environ = programs.connection(database_url)
    dump = tmp_path / "dump"
    done = subprocess.run(
        tool.command(
            "pg_dump",
            "--format=custom",
            "--schema=daybook",
            "--role=daybook_owner",
            "--enable-row-security",
            f"--file={dump}",
            database,
        ),
        env=environ,
        check=False,
    )
    assert done.returncode == 0
    listed = subprocess.run(
        tool.command("pg_restore", "--data-only", "--file=-", str(dump)),
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    copied = listed.partition("COPY daybook.events ")[2].partition("\\.\n")[0]
    assert copied.count("\n") == 1, "the heading and not one of 604 rows"


def test_a_table_that_hides_rows_is_refused_before_anything_is_read(
    database_url: str, admin: Admin, tenants: list[UUID], tmp_path: Path
) -> None:
    admin.execute("drop policy backup on events")
    admin.execute("revoke select on webhooks from daybook_backup")
    admin.execute("create table later (tenant_id uuid primary key)")
    admin.execute("alter table later enable row level security")
    admin.execute("grant select on later to daybook_backup")
    admin.execute(
        "create policy part on later for select to daybook_backup"
        " using (tenant_id is not null)"
    )
    admin.execute("create policy less on owed as restrictive for select using (false)")
    with pytest.raises(
        BackupError, match=r"see every row of events, later, owed, webh"
    ):
        taking.take(database_url, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_every_partition_is_seen_also_those_made_later(
    database_url: str, admin: Admin
) -> None:
    parts = admin.execute(
        "select inhrelid::regclass::text from pg_inherits"
        " where inhrelid::regclass::text ~ '_20' and inhparent in"
        " ('attempts'::regclass, 'results'::regclass)"
    ).fetchall()
    for (part,) in parts:
        admin.execute(sql.SQL("drop table {}").format(sql.Identifier(part)))
    admin.execute("select make_partitions()")
    assert len(parts) == 6
    with taking.connect(database_url) as connection:
        assert taking.counted(connection).keys() == rows_of(admin).keys()


Fake = Callable[[str], None]


@pytest.fixture
def pg_dump(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> Fake:
    """Put a script in front of the real pg_dump; $real is that one."""
    server = admin.info.server_version // 10000
    real = programs.find("pg_dump", server, server)

    def fake(script: str) -> None:
        folder = tmp_path_factory.mktemp("bin")
        (folder / "pg_dump").write_text(
            f"#!/bin/sh\nreal={real.folder}/pg_dump\n{script}"
        )
        (folder / "pg_dump").chmod(0o755)
        (folder / "pg_restore").symlink_to(real.folder / "pg_restore")
        monkeypatch.setattr(
            programs, "find", lambda *given: Programs(folder, real.major)
        )

    return fake


@pytest.mark.parametrize(
    ("script", "said"),
    [
        # It succeeds with no row of any walled table.
        ('exec $real "$@" --role=daybook_owner', "events: 0 of 604"),
        ('exec $real "$@" --exclude-table-data=daybook.owed', "owed: nothing of 0"),
        ('exec $real "$@" --exclude-table=daybook.events', "events: nothing of 604"),
        # It fails, at once or in the end.
        ("echo no such thing >&2; exit 1", "no such thing"),
        ('$real "$@"; echo late >&2; exit 3', "late"),
        # It ends well and has written only half.
        ('$real "$@" | head -c 30000', "pg_restore failed"),
    ],
)
def test_a_dump_that_is_not_complete_is_removed(
    database_url: str,
    tenants: list[UUID],
    pg_dump: Fake,
    tmp_path: Path,
    script: str,
    said: str,
) -> None:
    pg_dump(script)
    with pytest.raises(BackupError, match=said):
        taking.take(database_url, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_text("somebody's")
    with pytest.raises(BackupError, match="exists"):
        taking.take(database_url, path)
    assert path.read_text() == "somebody's"


# What is not restored.


@pytest.fixture
def backed_up(database_url: str, tenants: list[UUID], tmp_path: Path) -> Path:
    """A good backup."""
    path = tmp_path / "good"
    taking.take(database_url, path)
    return path


def changed(path: Path, **fields: Any) -> Path:
    """The same backup, with another manifest."""
    other = path.with_name("changed")
    manifest = json.loads(zipfile.ZipFile(path).read(archive.MANIFEST)) | fields
    with zipfile.ZipFile(other, "w") as file:
        file.writestr(archive.DUMP, zipfile.ZipFile(path).read(archive.DUMP))
        file.writestr(archive.MANIFEST, json.dumps(manifest))
    return other


def test_into_a_database_that_is_not_empty(
    database_url: str, empty_database_url: str, backed_up: Path
) -> None:
    with pytest.raises(BackupError, match="not empty"):
        restoring.restore(database_url, backed_up)
    with postgres.connect(empty_database_url) as target:
        target.execute("create table public.mine (n int)")
    with pytest.raises(BackupError, match=r"public\.mine"):
        restoring.restore(empty_database_url, backed_up)


def test_there_is_nothing_to_back_up(empty_database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "nothing.daybook"
    with pytest.raises(BackupError, match="there is no Daybook in this database"):
        taking.take(empty_database_url, path)
    assert not path.exists()


def test_a_damaged_file(empty_database_url: str, backed_up: Path) -> None:
    data = bytearray(backed_up.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = backed_up.with_name("damaged")
    for content in (bytes(data), bytes(data[: len(data) // 2]), b"", b"PGDMP"):
        damaged.write_bytes(content)
        with pytest.raises(BackupError, match="damaged"):
            restoring.restore(empty_database_url, damaged)
    with pytest.raises(BackupError, match="cannot be read"):
        restoring.restore(empty_database_url, damaged.with_name("absent"))
    assert_untouched(empty_database_url)


def test_a_backup_of_a_newer_version(empty_database_url: str, backed_up: Path) -> None:
    manifest = archive.read(backed_up)
    newer = [
        {"version": "9999", "name": "later", "sha256": "x", "applied_at": "T"},
        {"version": "0001", "name": "roles", "sha256": "x", "applied_at": "T"},
    ]
    for migration in newer:
        path = changed(backed_up, migrations=[migration], daybook="9.9")
        with pytest.raises(BackupError, match=r"with Daybook 9\.9"):
            restoring.restore(empty_database_url, path)
    with pytest.raises(BackupError, match="newer Daybook"):
        restoring.restore(empty_database_url, changed(backed_up, format=2))
    with pytest.raises(BackupError, match="Postgres 99"):
        restoring.restore(empty_database_url, changed(backed_up, postgres=99))
    with pytest.raises(BackupError, match="it takes pg_restore 99"):
        restoring.restore(empty_database_url, changed(backed_up, pg_dump=99))
    assert_untouched(empty_database_url)
    assert manifest.tables["events"] == 604


def assert_untouched(url: str) -> None:
    with postgres.connect(url) as target:
        found = target.execute(
            "select from pg_class where relnamespace in"
            " (select oid from pg_namespace where nspname in ('daybook', 'public'))"
        )
        assert found.fetchall() == []


def test_a_database_with_missing_rows_is_given_no_version(
    empty_database_url: str, backed_up: Path
) -> None:
    tables = archive.read(backed_up).tables
    path = changed(backed_up, tables=tables | {"events": 605})
    with pytest.raises(BackupError, match=r"rows are missing.* events: 604 of 605"):
        restoring.restore(empty_database_url, path)
    with postgres.connect(empty_database_url) as target:
        assert target.execute("select from schema_migrations").fetchall() == []


# As it is done, with processes, into a fresh cluster.


@pytest.mark.timeout(240)
def test_life_goes_on_in_a_fresh_cluster(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "all.daybook"
    with recording() as recorder, product(database_url, tmp_path) as made:
        # given: a product at work
        made.serve()
        worker = made.work()
        _, key = made.tenant()
        client = made.client(key)
        hook = {"url": f"{recorder.url}/hook", "event_types": ["*"], "retry": "fast"}
        webhook = expect(client.post("/api/v1/webhooks", json=hook), 201)
        recorder.secrets["/hook"] = webhook["secret"]
        batch = {"events": [{"type": "a.b", "data": {"n": n}} for n in range(30)]}
        expect(client.post("/api/v1/events/batch", json=batch), 202)
        eventually(lambda: len(recorder.ids("/hook")) == 30)
        worker.stop()
        owed = expect(client.post("/api/v1/events/batch", json=batch), 202)["events"]
        # when: it is backed up, goes on, and is lost
        said = daybook(database_url, "backup", str(file))
        assert "rows in" in said
        lost = expect(client.post("/api/v1/events/batch", json=batch), 202)["events"]
        page = expect(client.get("/api/v1/events?limit=70"), 200)
        for process in made.processes:
            process.kill()
        client.close()
        with cluster() as fresh:
            url = make_conninfo(fresh.url, dbname="restored")
            with postgres.connect(fresh.url) as server:
                server.execute("create database restored")
            said = daybook(url, "restore", str(file))
            assert "log_rewound" in said
            assert daybook(url, "migrate") == "nothing to do\n"
            made.database_url = url
            made.serve()
            worker = made.work()
            with made.client(key) as client:
                # then: readers of what is lost are told
                for query in (
                    f"cursor={page['next']}&limit=70",
                    f"after={lost[0]['position']}",
                ):
                    answer = client.get(f"/api/v1/events?{query}")
                    assert answer.status_code == 409, answer.text
                    assert answer.json()["code"] == "log_rewound"
                # and positions go on, and deliveries
                again = expect(client.post("/api/v1/events/batch", json=batch), 202)
                assert again["events"][0]["position"] == owed[-1]["position"] + 1
                wanted = {event["id"] for event in (*owed, *again["events"])}
                eventually(lambda: wanted <= set(recorder.ids("/hook")), 30)
                assert all(one.is_verified for one in recorder.arrivals["/hook"])
                assert not {event["id"] for event in lost} & set(recorder.ids("/hook"))
                streams = expect(
                    client.get(f"/api/v1/streams?prefix={owed[0]['id']}"), 200
                )
                assert [one["version"] for one in streams["data"]] == [1]
            worker.stop()
            for process in made.processes:
                process.kill()


def daybook(url: str, *words: str) -> str:
    """Run the command; what it says."""
    environ = os.environ | {"DAYBOOK_DATABASE_URL": url}
    done = subprocess.run(
        [DAYBOOK, *words], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_says_why_not(database_url: str, backed_up: Path) -> None:
    environ = os.environ | {"DAYBOOK_DATABASE_URL": database_url}
    for words in (["backup", backed_up], ["restore", backed_up]):
        done = subprocess.run(
            [DAYBOOK, *words], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr

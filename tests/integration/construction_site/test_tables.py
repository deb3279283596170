"""A context's own tables: migrated after ours, walled as ours, backed up with ours."""

from pathlib import Path

import httpx
import pytest

from api.settings import ApiSettings
from examples.construction_site.context import CONTEXT
from migrations import runner
from projections import startup
from projections.context import Contexts
from tests.integration.http_api.conftest import OPERATOR_KEY, running
from tests.support import postgres
from tests.support.builders import SECRET_KEYS
from tests.support.waiting import eventually
from workers.backup import restoring, taking
from workers.backup.programs import BackupError

FOLDERS = Contexts((CONTEXT,)).folders
THEIRS = [
    one.version for one in runner.files(FOLDERS) if one.version.startswith(CONTEXT.name)
]


def applied(url: str) -> list[str]:
    with postgres.connect(url) as admin:
        rows = admin.execute("select version from schema_migrations order by 1")
        return [version for (version,) in rows.fetchall()]


def test_their_files_come_after_ours_once(database_url: str) -> None:
    # given
    ours = [one.version for one in runner.files()]
    assert applied(database_url) == ours
    assert THEIRS[:2] == ["construction_site/0001", "construction_site/0002"]
    # when
    done = runner.migrate(database_url, FOLDERS)
    again = runner.migrate(database_url, FOLDERS)
    # then
    assert [one.version for one in done] == THEIRS
    assert again == []
    assert applied(database_url) == [*ours, *THEIRS]


def test_a_program_that_does_not_know_them_leaves_them_alone(database_url: str) -> None:
    runner.migrate(database_url, FOLDERS)
    assert runner.migrate(database_url) == []
    with postgres.connect(database_url) as admin:
        assert runner.pending(admin) == []
        admin.execute("delete from schema_migrations where version = %s", [THEIRS[-1]])
        assert runner.pending(admin) == []
        assert [one.version for one in runner.pending(admin, FOLDERS)] == THEIRS[-1:]


def test_one_of_theirs_that_changed_is_refused(database_url: str) -> None:
    runner.migrate(database_url, FOLDERS)
    with postgres.connect(database_url) as admin:
        change = "update schema_migrations set sha256 = 'x' where version = %s"
        admin.execute(change, [THEIRS[0]])
    with pytest.raises(runner.MigrationError, match="construction_site/0001"):
        runner.migrate(database_url, FOLDERS)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("alter table site_board no force row level security", "site_board"),
        (
            "create policy all_of_it on weekly_hours for select using (true)",
            "all_of_it",
        ),
        ("grant select on site_board to daybook_edge", "site_board"),
    ],
)
async def test_a_wall_of_theirs_that_is_open_keeps_processes_from_starting(
    database_url: str, change: str, fault: str
) -> None:
    runner.migrate(database_url, FOLDERS)
    await startup.check(database_url, *startup.API, *startup.WORKER)
    with postgres.connect(database_url) as admin:
        admin.execute(change.encode())
    with pytest.raises(startup.Refused, match=fault):
        await startup.check(database_url, *startup.API)


def test_an_api_before_its_migrations_is_not_ready(database_url: str) -> None:
    settings = ApiSettings(
        database_url=database_url, secret_keys=SECRET_KEYS, operator_key=OPERATOR_KEY
    )
    headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
    with running(settings, (CONTEXT,)) as api:

        def ready() -> httpx.Response:
            return httpx.get(f"{api}/health/ready", headers=headers, trust_env=False)

        eventually(lambda: "pending" in ready().text)
        assert ready().status_code == 503
        runner.migrate(database_url, FOLDERS)
        assert ready().status_code == 200


def test_they_are_backed_up_and_restored(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    # given
    runner.migrate(database_url, FOLDERS)
    row = "insert into site_board (tenant_id, generation, chantier_id) values (%s, 1, 'v')"
    with postgres.connect(database_url) as admin:
        admin.execute(row, ["00000000-0000-0000-0000-000000000001"])
    taking.take(database_url, tmp_path / "backup")
    # when
    with pytest.raises(BackupError, match="construction_site/0001"):
        restoring.restore(empty_database_url, tmp_path / "backup")
    restoring.restore(empty_database_url, tmp_path / "backup", folders=FOLDERS)
    # then
    with postgres.connect(empty_database_url) as admin:
        found = admin.execute("select chantier_id from site_board").fetchall()
        assert found == [("v",)]
        assert runner.pending(admin, FOLDERS) == []

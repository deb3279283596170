"""Another event type is a diff of three files: its aggregate, its command, its route."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.source import ROOT

EXAMPLE = ROOT / "examples" / "construction_site"
PATCH = EXAMPLE / "a_seventeenth_event.patch"
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from api.app import create_app
from api.settings import ApiSettings
from examples.construction_site.context import CONTEXT
from examples.construction_site.domain.incidents.incident import Incident
from projections.vault import generate_keys

told = {"titre": "Crane", "description": "It leans.", "priorite": "basse"}
incident = Incident(
    id="t/signalements/s", signalement_id="s", chantier_id="v", signale_par="k", **told
)
incident.close("Upright.", "k")
incident.reopen("k")
incident.reopen("k")
assert [event.TOPIC for event in incident.pending_events][2:] == ["signalement.reopened"]
assert not incident.is_closed
settings = ApiSettings(
    database_url="postgresql://nowhere/",
    secret_keys=generate_keys(),
    operator_key="an operator's key for the document",
)
document = create_app(settings, (CONTEXT,)).state.openapi
assert "/api/v1/signalements/{signalement_id}/rouvrir" in document["paths"]
assert document["webhooks"]["signalement.reopened"]["post"]["summary"]
print(len(CONTEXT.meanings))
"""


def test_it_is_a_diff_of_three_files() -> None:
    changed = re.findall(r"^\+\+\+ b/(.+)$", PATCH.read_text("utf-8"), re.MULTILINE)
    assert 1 <= len(changed) <= 3
    assert all((ROOT / name).exists() for name in changed)


def test_with_it_there_are_seventeen(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    applied = subprocess.run(
        ["git", "apply", PATCH], cwd=tmp_path, capture_output=True, check=False
    )
    assert applied.returncode == 0, applied.stderr
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("17\n", "")

"""The construction site in development mode: its past, its payroll, and what to type."""

import json
from pathlib import Path

from examples.construction_site.company.loading import load

__all__ = ["CONTEXTS", "HIDDEN", "PROGRAMS", "load", "screenful"]

CONTEXTS = "examples.construction_site.context:CONTEXT"
PROGRAMS = {"payroll": Path(__file__).parent / "integrations" / "payroll.py"}
# The payroll fetches the hours of the past when it is started for the first time.
HIDDEN = "by reconciliation"

# A site is opened, somebody is to work there, books a day, and is paid for it.
STEPS = {
    "chantiers": {
        "chantier_id": "pont-vieux",
        "nom": "Pont Vieux",
        "adresse": "Annecy",
    },
    "planning/affectations": {
        "ouvrier_id": "karim-b",
        "chantier_id": "pont-vieux",
        "debut": "2026-11-23",
        "fin": "2026-11-25",
    },
    "pointages": {
        "heures_id": "pv-1",
        "ouvrier_id": "karim-b",
        "chantier_id": "pont-vieux",
        "date": "2026-11-23",
        "minutes": 450,
        "par": "karim-b",
    },
    "pointages/pv-1/validate": {"par": "chef-abel"},
}


def screenful() -> list[str]:
    """The steps as commands, then a look at the worker's weeks."""
    key = '-H "Authorization: Bearer $DAYBOOK_API_KEY"'
    kind = "-H 'Content-Type: application/json'"
    api = "$DAYBOOK_API_URL/api/v1"
    posts = [
        f"curl -s {api}/{path} {key} {kind} -d '{json.dumps(body)}'"
        for path, body in STEPS.items()
    ]
    return [*posts, f"curl -s {api}/ouvriers/karim-b/semaines {key}"]

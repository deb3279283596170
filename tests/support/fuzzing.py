"""Cases that schemathesis makes from the OpenAPI document, sent to a server.

Good ones and bad ones, alone and one after another with what was answered before. A case
fails on a 5xx, on a status, a media type or a shape that the document does not have, and
when a bad one is taken for good.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.source import ROOT

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
LIVE = "/events/(sse|ws)"  # streams do not end
_HOOKS = "tests.support.fuzzing_hooks"


class Report(NamedTuple):
    """How many cases there were, and what was found, in words."""

    cases: int
    operations: int
    failures: str


def run(
    url: str,
    key: str,
    *,
    examples: int,
    seed: int,
    phases: Sequence[str] = ("examples", "coverage", "fuzzing", "stateful"),
    only: str = "",
    but: str = LIVE,
) -> Report:
    """Send cases as who has this key; up to `examples` for each operation and phase.

    `only` and `but` are regular expressions of paths.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = {
            "--header": f"Authorization: Bearer {key}",
            "--exclude-path-regex": but,
            "--checks": ",".join(CHECKS),
            "--phases": ",".join(phases),
            "--max-examples": str(examples),
            "--seed": str(seed),
            # One at a time: with threads Python 3.11 itself fails now and then.
            "--workers": "1",
            "--request-timeout": "30",
            "--report": "json",
            "--report-json-path": str(report),
        }
        if only:
            options["--include-path-regex"] = only
        words = [word for option in options.items() for word in option]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                *(f"{url}/openapi.json", *words),
                *("--continue-on-failure", "--no-color"),
            ],
            check=False,
            cwd=folder,  # it leaves a cache where it runs
            env=os.environ | {"SCHEMATHESIS_HOOKS": _HOOKS, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        if not report.exists():
            return Report(0, 0, done.stdout + done.stderr)
        told = json.loads(report.read_text())
    return Report(
        told["test_cases"]["generated"],
        told["operations"]["tested"],
        done.stdout if done.returncode else "",
    )

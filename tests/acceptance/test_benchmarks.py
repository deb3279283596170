"""The benchmarks of deliveries run, and print what they promise; not how fast it is."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.source import ROOT


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("delivery", "fan_out_10"),
        ("latency", "p95_at_200"),
        ("streams", "sse_500_clients"),
    ],
)
def test_a_benchmark_prints_its_figures(
    name: str, metric: str, server_url: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick"],
        cwd=ROOT,
        env=os.environ | {"DAYBOOK_BENCH_DATABASE_URL": server_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    figures = {
        line["metric"]: line for line in map(json.loads, ran.stdout.splitlines())
    }
    assert figures[metric]["bench"] == name
    assert all(line["ratio"] > 0 for line in figures.values())

"""docs/metrics.md: every metric is in its tables, with its type and labels.

Alerts name no other, and each has a line in the runbook.
"""

import re
from typing import Any

import yaml

import api.app
import workers.worker
from projections import figures, telemetry
from tests.support.source import ROOT

TEXT = (ROOT / "docs" / "metrics.md").read_text("utf-8")
RUNBOOK = (ROOT / "docs" / "operating.md").read_text("utf-8")
# Whoever counts has said so by being imported: both processes, whole.
PROCESSES = (api.app, workers.worker)

Described = dict[str, tuple[str, tuple[str, ...]]]


def listed() -> Described:
    """The tables' rows: type and labels, by name."""
    rows = re.findall(
        r"^\| `(daybook_\w+)` \| (\w+) \|([a-z_, ]*)\|", TEXT, re.MULTILINE
    )
    return {
        name: (kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in rows
    }


def counted() -> Described:
    """What the processes show, by the name that Prometheus sees."""
    collectors = telemetry.REGISTRY._collector_to_names
    of_process = [
        (one if hasattr(one, "_labelnames") else family, family)
        for one in collectors
        for family in one.collect()
    ]
    families = [*figures.of_projections([]), *figures.of_deliveries(None, None)]
    of_database = [(family, family) for family in families]
    return {
        _name(family): (family.type, tuple(owner._labelnames))  # type: ignore[union-attr]
        for owner, family in (*of_process, *of_database)
        if family.name.startswith("daybook_")
    }


def _name(family: Any) -> str:
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def test_each_metric_is_listed_with_its_type_and_labels() -> None:
    assert listed() == counted()


def alerts() -> list[dict[str, Any]]:
    blocks = re.findall(r"^```yaml\n(groups:.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [
        rule
        for block in blocks
        for group in yaml.safe_load(block)["groups"]
        for rule in group["rules"]
    ]


def test_alerts_are_about_metrics_that_there_are() -> None:
    names = set()
    for rule in alerts():
        names |= set(re.findall(r"\bdaybook_\w+", rule["expr"]))
    known = {*counted(), "daybook_append_wait_seconds_bucket"}
    assert names - known == set()


def test_each_alert_has_a_line_in_the_runbook() -> None:
    named = [rule["alert"] for rule in alerts()]
    assert named
    assert re.findall(r"^\| `(Daybook\w+)` \|", RUNBOOK, re.MULTILINE) == named

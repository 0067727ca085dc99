"""What is shipped for Prometheus and Grafana, held against what is exported, by Prometheus' own tool."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from renewer.model.facts import RunRecord, Standing
from renewer.policy.due import arrange, decide
from renewer.report import metrics
from renewer.report.documents import status_document
from tests.builders import HOST, HOUR, NOW, situation, terms
from tests.tell import fleet

ROOT = Path(__file__).parents[2]
RULES = ROOT / "monitoring" / "renewer.rules.yml"
DASHBOARD = ROOT / "monitoring" / "grafana-dashboard.json"
_METRIC = re.compile(r"\brenewer_(?!certificates\b)[a-z_]+")


def _promtool(*arguments: str) -> tuple[int, str]:
    ended = subprocess.run(
        [shutil.which("promtool") or "promtool", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return ended.returncode, ended.stdout + ended.stderr


def _exported() -> set[str]:
    """Every metric that is ever written, with a certificate and a watch that have all facts."""
    facts = situation()
    run = RunRecord(certificate="", run="r", host=HOST, at=NOW, ended_at=NOW, exit=0)
    document = status_document(
        {"www": facts},
        arrange([decide(facts, terms())], NOW),
        now=NOW,
        host=HOST,
        orphans=(),
        last_run=run,
    )
    document = msgspec.structs.replace(document, watches=fleet.watches(NOW))
    text = metrics.render(
        document, {"www": Standing(certificate="www", host=HOST, renewed_at=NOW)}, run, HOUR
    )
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_the_rules_are_what_prometheus_reads() -> None:
    """No rule has a fault of grammar."""
    code, said = _promtool("check", "rules", str(RULES))

    assert code == 0, said
    assert "SUCCESS" in said


def test_the_rules_fire_when_they_should() -> None:
    """Late, stopped, pending, wrongly served, degraded: fired; a renewal that takes its course: not."""
    code, said = _promtool("test", "rules", str(ROOT / "tests" / "tell" / "rules.test.yml"))

    assert code == 0, said


def test_rules_and_dashboard_ask_for_metrics_that_exist() -> None:
    """A renamed metric would silence an alert without a word."""
    asked = set(_METRIC.findall(RULES.read_text("utf-8")))
    asked |= set(_METRIC.findall("\n".join(_expressions(_dashboard()))))

    assert asked - _exported() == set()
    assert {name for name in _exported() if "certificate" in name} - asked <= {
        "renewer_certificate_not_before_timestamp_seconds",
        "renewer_certificate_last_success_timestamp_seconds",
    }


def _dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return document


def _expressions(document: dict[str, Any]) -> Iterator[str]:
    for panel in document["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_every_expression_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    """Each becomes a recording rule, which promtool parses."""
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(_expressions(_dashboard()))
    ]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    code, said = _promtool("check", "rules", str(file))

    assert (code, f"{len(rules)} rules found" in said) == (0, True), said


def test_the_dashboard_is_well_formed() -> None:
    """Panels have ids of their own, do not overlap, and name no data source of somebody's machine."""
    document = _dashboard()
    panels = document["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert max(x for x, _ in cells) < 24

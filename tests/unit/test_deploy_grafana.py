"""Dashboards: as their source says, of metrics and labels that exist, in PromQL, laid out cleanly.

Grafana itself cannot be started here: its typed models read them, Prometheus's parser the queries.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools.dashboards.__main__ import FOLDER, pages
from tools.dashboards.panels import COLUMNS

from renown.obs.metrics.registry import DEFINED
from tests.unit.test_deploy_container import program

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
TARGET_LABELS = {"instance", "job", "process"}
OF_PROMETHEUS = {"ALERTS": {"alertname", "alertstate", "severity", "chain"}}
UIDS = {"renown-overview", "renown-api", "renown-database", "renown-chains", "renown-trust"}


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


def queries(name: str) -> Iterator[tuple[str, str, str]]:
    for panel in panels(name):
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def labels_of(expr: str) -> tuple[set[str], set[str]]:
    """Metrics that an expression names, and labels that they can have."""
    known, found = set(TARGET_LABELS), set()
    for metric in re.findall(r"\b(renown_\w+|ALERTS)\b", expr):
        base = re.sub(r"_(bucket|sum|count)$", "", metric)
        defined = DEFINED.get(metric) or DEFINED.get(base)
        found.add(metric if defined is not None or metric in OF_PROMETHEUS else f"{metric} ?")
        if defined is not None:
            known |= set(defined.labels)
        if metric.endswith("_bucket"):
            known.add("le")
        known |= OF_PROMETHEUS.get(metric, set())
    return found, known


def test_dashboards__checked_in__are_what_their_source_writes() -> None:
    assert {path.name: text for path, text in pages().items()} == {
        name: (FOLDER / name).read_text() for name in DASHBOARDS
    }


def test_dashboards__uids__never_change() -> None:
    assert {one["uid"] for one in DASHBOARDS.values()} == UIDS
    assert {name.removesuffix(".json") for name in DASHBOARDS} == UIDS


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__metrics_and_labels__exist(name: str) -> None:
    for title, expr, legend in queries(name):
        found, known = labels_of(expr)
        grouped = {
            label.strip()
            for inner in re.findall(r"\b(?:by|on|without|group_right|group_left) \(([^)]*)\)", expr)
            for label in inner.split(",")
            if label.strip()
        }
        matched = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!=|!~|=)", expr))
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend))

        assert found, title
        assert not {one for one in found if one.endswith("?")}, title
        assert grouped | matched <= known, title
        assert shown <= (grouped or known), title


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__counters__are_only_read_as_rates(name: str) -> None:
    for title, expr, _ in queries(name):
        for metric in re.findall(r"\brenown_\w+(?:_total|_bucket|_sum|_count)\b", expr):
            if metric in DEFINED and DEFINED[metric].kind == "gauge":
                continue
            wrapped = rf"(?:rate|increase)\({metric}(?:\{{[^}}]*\}})?\["
            assert len(re.findall(wrapped, expr)) == expr.count(metric), (title, metric)


def test_dashboards__every_query__is_read_by_prometheus(tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:{number}", "expr": in_rules(expr)}
        for number, expr in enumerate(expr for name in DASHBOARDS for _, expr, _ in queries(name))
    ]
    path = tmp_path / "dashboards.rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))

    done = subprocess.run(
        [program("promtool"), "check", "rules", path],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def in_rules(expr: str) -> str:
    """As Grafana sends it, with every choice made."""
    filled = expr.replace("$__rate_interval", "5m")
    filled = re.sub(r"\$(instance|chain)\b", ".*", filled)
    assert "$" not in filled
    return filled


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__panels__lie_beside_each_other(name: str) -> None:
    places = {panel["id"]: panel["gridPos"] for panel in DASHBOARDS[name]["panels"]}

    assert len(places) == len(DASHBOARDS[name]["panels"])
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= COLUMNS for at in places.values())
    for one, other in combinations(places.values(), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__every_panel__says_what_it_shows_and_where_to_read_on(name: str) -> None:
    for panel in panels(name):
        assert panel["description"].strip(), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for link in panel["links"]:
            assert (ROOT / link["url"].removeprefix("${docs}/")).exists(), link["url"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__variables__are_those_that_queries_use(name: str) -> None:
    defined = {one["name"] for one in DASHBOARDS[name]["templating"]["list"]}
    used = {
        variable
        for _, expr, _ in queries(name)
        for variable in re.findall(r"\$(\w+)", expr)
        if not variable.startswith("__")
    }

    assert used == defined - {"datasource", "docs"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__grafanas_own_models__lose_nothing_of_it(name: str) -> None:
    sdk = "grafana_foundation_sdk"
    models = pytest.importorskip(f"{sdk}.models.dashboard")
    pytest.importorskip(f"{sdk}.cog.plugins").register_default_plugins()
    encoder = pytest.importorskip(f"{sdk}.cog.encoder").JSONEncoder
    read = models.Dashboard.from_json(DASHBOARDS[name])
    written = json.loads(json.dumps(read, cls=encoder))

    assert set(lost(DASHBOARDS[name], written)) <= {
        # Keys of the Prometheus plugin that the models leave out.
        *("/annotations/list/step", "/annotations/list/titleFormat", "/templating/list/definition"),
    }


def lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            inner = f"{path}/{key}"
            if key in kept:
                yield from lost(value, kept[key], inner)
            else:
                yield inner
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for one, other in zip(given, kept, strict=True):
            yield from lost(one, other, path)
    elif given != kept:
        yield path

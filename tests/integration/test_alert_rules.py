"""Every alert fires when it must and only then, says what to do, and finds its way to somebody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from asyncpg import PostgresError

from renown.obs.metrics import COMPONENTS, DEFINED
from renown.spec.events import KINDS
from renown.store.pool import Conn
from tests.alerts.live import ALERTMANAGER, PROMETHEUS
from tests.alerts.quick import quick_alertmanager, quick_rules
from tests.needs import need_program

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy/prometheus"
ROUTES = ROOT / "deploy/alertmanager/alertmanager.yml"
FILES = sorted((SHIPPED / "rules").glob("*.rules.yml"))
CASES = sorted((SHIPPED / "tests").glob("*.test.yml"))
SECTIONS = ["What it means", "Look first", "What to do", "When it is over"]
SEVERITIES = {"critical", "warning", "info"}
TEAMS = {"infrastructure", "security", "product", "chain"}
NEEDS = {"database", "redis", "node"}

FOREIGN = {"up": {"job", "instance", "process"}, "ALERTS": {"alertname", "alertstate"}}
FOREIGN |= {"alertmanager_notifications_failed_total": {"integration", "job", "instance"}}
FOREIGN |= {
    f"node_filesystem_{what}_bytes": {"job", "instance", "place", "mountpoint", "device", "fstype"}
    for what in ("avail", "size")
}
"""Metrics that Prometheus, Alertmanager and node_exporter make, and their labels."""
OF_TARGET = {"job", "instance", "process", "le"}


@cache
def _groups(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["groups"]
    return groups


def _rules() -> list[dict[str, Any]]:
    return [rule for path in FILES for group in _groups(path) for rule in group["rules"]]


ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in _rules() if "alert" in rule}
RECORDS = {rule["record"] for rule in _rules() if "record" in rule}
EACH = pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert["alert"])


# By the programs themselves -----------------------------------------------------------------------


def test_rules_and_config__checked_by_promtool__are_right(tmp_path: Path) -> None:
    program = need_program("promtool", PROMETHEUS)

    _right(program, "check", "rules", *map(str, FILES))
    _right(program, "check", "config", str(SHIPPED / "prometheus.yml"))
    _right(program, "check", "rules", *map(str, quick_rules(SHIPPED / "rules", tmp_path)))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts__in_their_cases__fire_and_keep_quiet(path: Path) -> None:
    _right(need_program("promtool", PROMETHEUS), "test", "rules", str(path))


def test_routes__checked_by_amtool__are_right_and_can_be_rendered(tmp_path: Path) -> None:
    program = need_program("amtool", ALERTMANAGER)
    quick = tmp_path / "quick.yml"
    quick_alertmanager(ROUTES, quick, "http://127.0.0.1:9")
    rendered = tmp_path / "rendered.yml"
    wanted = {"ALERTS_SECRETS": "/etc/alertmanager/secrets", "ALERTS_NOTES_CHANNEL": "#quiet"}
    rendered.write_text(_rendered(wanted).stdout)
    (tmp_path / "renown.tmpl").write_text((ROUTES.parent / "renown.tmpl").read_text())

    for path in (ROUTES, quick, rendered):
        _right(program, "check-config", str(path))
    assert "/run/secrets" not in rendered.read_text()
    assert "'#quiet'" in rendered.read_text()


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("severity=critical team=infrastructure", "page"),
        ("severity=critical team=chain", "page"),
        ("severity=critical team=product", "page"),
        ("severity=critical team=security", "page-and-security"),
        ("severity=warning team=security", "security"),
        ("severity=warning team=infrastructure", "infrastructure"),
        ("severity=warning team=product", "product"),
        ("severity=warning team=chain", "chain"),
        ("severity=info team=infrastructure", "notes"),
        ("severity=info team=security", "notes"),
        ("severity=info team=product", "notes"),
        ("severity=info team=chain", "notes"),
        ("alertname=SomebodyElses", "infrastructure"),
    ],
)
def test_routes__by_severity_and_team__lead_to(labels: str, receivers: str) -> None:
    program = need_program("amtool", ALERTMANAGER)

    _right(
        program,
        *("config", "routes", "test", f"--config.file={ROUTES}"),
        *(f"--verify.receivers={receivers}", *labels.split()),
    )


def test_routes__every_receiver__is_led_to() -> None:
    config = yaml.safe_load(ROUTES.read_text())
    used = {config["route"]["receiver"], *(one["receiver"] for one in config["route"]["routes"])}

    assert {one["name"] for one in config["receivers"]} == used


def test_secrets__of_receivers__are_named_by_file_only() -> None:
    text = ROUTES.read_text()

    keys = set(re.findall(r"\b([a-z_]*(?:password|key|api_url|token|secret)[a-z_]*):", text))
    assert keys == {"slack_api_url_file", "smtp_auth_password_file", "routing_key_file"}


@pytest.mark.parametrize(
    "given",
    [
        {"ALERTS_MAIL_FROM": "a@b.example\nroute: {}"},
        {"ALERTS_SMTP_HOST": "mail.example"},
        {"ALERTS_CRITICAL_CHANNEL": "#a', channel: 'b"},
        {"ALERTS_SLACK": "#misspelt"},
    ],
)
def test_render__what_could_say_anything__is_refused(given: dict[str, str]) -> None:
    done = _rendered(given)

    assert done.returncode == 64
    assert done.stdout == ""
    assert next(iter(given)) in done.stderr


# What is said -------------------------------------------------------------------------------------


def test_alerts__of_the_shipped_rules__are_many_in_each_group() -> None:
    groups = {group["name"]: len(group["rules"]) for path in FILES for group in _groups(path)}

    assert len(ALERTS) >= 20
    assert {"critical", "performance", "capacity", "security", "chain", "slo"} <= {
        name.removeprefix("renown-") for name in groups
    }


@EACH
def test_alert__as_shipped__says_whom_what_and_where_to_read_on(alert: dict[str, Any]) -> None:
    labels, annotations = alert["labels"], alert["annotations"]
    page = re.sub(r"(?<!^)(?=[A-Z])", "-", alert["alert"].removeprefix("Renown")).lower()

    assert "for" in alert
    assert labels["severity"] in SEVERITIES
    assert labels["team"] in TEAMS
    assert set(filter(None, labels.get("needs", "").split(","))) <= NEEDS
    assert {*labels} <= {"severity", "team", "needs"}
    assert {*annotations} == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == f"docs/operations/alerts/{page}.md"


@EACH
def test_runbook__of_every_alert__has_what_somebody_woken_needs(alert: dict[str, Any]) -> None:
    text = (ROOT / alert["annotations"]["runbook_url"]).read_text()

    assert text.splitlines()[0] == f"# {alert['alert']}"
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert re.search(r"^ {4}\S", text, re.MULTILINE), "nothing to type"


def _typed(pattern: str) -> list[tuple[str, str]]:
    """What runbooks tell somebody to type, with the page's name."""
    pages = sorted((ROOT / "docs/operations/alerts").glob("*.md"))
    lines = [(page.name, line) for page in pages for line in page.read_text().splitlines()]
    return [(name, found[1]) for name, line in lines if (found := re.match(pattern, line))]


async def test_runbooks__statements_for_psql__run_on_our_schema(conn: Conn) -> None:
    asked = _typed(r""" {4}psql "\$DATABASE_(?:REPLICA_)?URL" -c ['"](.+)['"]$""")

    assert len(asked) > 10
    for page, statement in asked:
        try:
            await conn.fetch(statement.replace('\\"', '"'))
        except PostgresError as exc:
            pytest.fail(f"{page}: {exc}: {statement}")


def test_runbooks__questions_to_prometheus__name_what_exists() -> None:
    asked = _typed(r" {4}curl -s '\S+/api/v1/query\?query=(.+)'$")

    assert asked
    for _, question in asked:
        _name_what_exists(question.replace("+", " "))


def test_runbooks__every_page__is_of_an_alert() -> None:
    named = {Path(alert["annotations"]["runbook_url"]).name for alert in ALERTS.values()}
    found = {path.name for path in (ROOT / "docs/operations/alerts").glob("*.md")}

    assert found - {"README.md"} == named


@pytest.mark.parametrize(
    "rule", _rules(), ids=lambda rule: str(rule.get("alert") or rule.get("record"))
)
def test_rule__as_shipped__names_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    queries = re.findall(r'query "([^"]+)"', str(rule.get("annotations", "")))

    for expression in (rule["expr"], *queries):
        _name_what_exists(expression)


def test_unknown_metrics_labels_and_values__in_a_rule__are_found() -> None:
    for wrong in (
        "renown_db_upp == 0",
        'renown_db_up{pool="x"} == 0',
        'renown_component_configured{component="reddis"} == 1',
        'renown_followed_facts_total{kind="registered"} > 1',
        "max by (chian) (renown_db_up)",
    ):
        with pytest.raises(AssertionError):
            _name_what_exists(wrong)


def test_activity_of_chains__in_every_alert__is_counted_at_the_head_only() -> None:
    named = " ".join(alert["expr"] for alert in ALERTS.values())

    assert "renown_followed_facts_total" in named
    assert "renown_events_stored_total" not in named


@pytest.mark.parametrize("part", ["redis", "replica", "crawler"])
def test_optional_parts__in_alerts_about_them__are_asked_for(part: str) -> None:
    about = {
        "redis": r"renown_redis_up|renown_limits_fallback",
        "replica": r"renown_replica_",
        "crawler": "renown_crawl_",
    }[part]

    for alert in ALERTS.values():
        if re.search(about, alert["expr"]):
            assert f'renown_component_configured{{component="{part}"}}' in alert["expr"]


# That each is tested ------------------------------------------------------------------------------


@EACH
def test_alert__as_shipped__has_a_case_that_fires_and_one_that_keeps_quiet(
    alert: dict[str, Any],
) -> None:
    fires, quiet = _verdicts()

    assert alert["alert"] in fires
    assert alert["alert"] in quiet


def test_cases__of_all_files__are_of_alerts_that_exist() -> None:
    fires, quiet = _verdicts()

    assert fires | quiet == {*ALERTS}


@pytest.mark.parametrize("world", ["idle", "backfill", "rebuild", "not configured", "started"])
def test_quiet_worlds__as_written__ask_for_every_alert(world: str) -> None:
    tests = yaml.load((SHIPPED / "tests/quiet.test.yml").read_text(), Loader=yaml.CSafeLoader)[
        "tests"
    ]
    found = [one for one in tests if one["name"].startswith(world)]

    assert len(found) == 1
    for check in found[0]["promql_expr_test"]:
        assert (check["expr"], check["exp_samples"]) == ("ALERTS", [])


# --------------------------------------------------------------------------------------------------


def _right(program: Path, *arguments: str) -> None:
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _rendered(given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("ALERTS_")}
    return subprocess.run(
        [sys.executable, str(ROUTES.parent / "render")],
        env=outside | given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@cache
def _verdicts() -> tuple[frozenset[str], frozenset[str]]:
    """Alerts that some case wants to fire, and those that one wants quiet."""
    fires: set[str] = set()
    quiet: set[str] = set()
    for path in CASES:
        for test in yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["tests"]:
            for check in test.get("alert_rule_test", ()):
                (fires if check["exp_alerts"] else quiet).add(check["alertname"])
    return frozenset(fires), frozenset(quiet)


WORDS = {"and", "or", "unless", "sum", "min", "max", "rate", "increase", "vector", "time"}
WORDS |= {"topk", "histogram_quantile", "max_over_time", "min_over_time", "avg_over_time"}


def _name_what_exists(expression: str) -> None:
    """Asserts that every metric is one, and every label one of a metric beside it."""
    labels: set[str] = set(OF_TARGET)
    for name, selector in _selectors(expression):
        known = _labels_of(name)
        labels |= known
        for label, value in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', selector):
            assert label in known, f"{name} has no label {label}"
            if (label, name) == ("component", "renown_component_configured"):
                assert value in COMPONENTS, value
            if name == "renown_followed_facts_total" and label == "kind":
                assert value in KINDS.values(), value
    for listed in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", expression):
        for label in filter(None, (one.strip() for one in listed.split(","))):
            assert label in labels, f"no label {label}"


def _selectors(expression: str) -> Iterator[tuple[str, str]]:
    # Groupings and durations are no metrics.
    bare = re.sub(r"\b(?:by|on|ignoring)\s*\([^)]*\)|\[\w+\]|\boffset \w+", " ", expression)
    for found in re.finditer(r'([a-zA-Z_:][\w:]*)\s*(\{(?:[^}"]|"[^"]*")*\})?', bare):
        name, selector = found.groups()
        if name not in WORDS:
            yield name, selector or ""


def _labels_of(name: str) -> set[str]:
    if name in FOREIGN:
        return FOREIGN[name]
    if name in RECORDS:
        return set()
    plain = re.sub(r"_(?:bucket|sum|count)$", "", name)
    defined = DEFINED.get(name) or DEFINED.get(plain)
    assert defined is not None, f"there is no metric {name}"
    return {*defined.labels, *OF_TARGET}

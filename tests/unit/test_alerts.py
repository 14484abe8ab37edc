"""Alert rules name metrics that exist and pages that can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from renown.obs import metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "deploy/prometheus").glob("*.rules.yml"))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_alerts__every_rule__names_our_metrics_and_a_runbook(path):
    known = set(re.findall(r"^# TYPE (\w+)", metrics.exposition().decode(), re.MULTILINE))
    rules = [
        rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
    ]

    assert rules
    for rule in rules:
        assert set(re.findall(r"renown_\w+", rule["expr"])) <= known, rule["alert"]
        page, _, heading = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
        assert heading in {text.lower().replace(" ", "-") for text in headings}, rule["alert"]

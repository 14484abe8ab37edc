"""The reference of alerts, from the rules that are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "deploy/prometheus/rules"
GROUPS = ("critical", "performance", "capacity", "security", "chain", "slo")

_INTRODUCTION = (
    "",
    "Every alert of [deploy/prometheus/rules](../../deploy/prometheus/rules), by group. An alert",
    "fires when its expression has held for the time under *for*. *Muted by* names what it follows",
    "from: while that has an alert of its own, Alertmanager tells nobody of this one. Each name",
    "leads to the page that says what to do. [Alerting](../operations/alerting.md) explains how to",
    "install, route, silence and test them.",
)


def alerts_page(note: str) -> str:
    """Every alert, as Markdown; `note` says that the page is generated."""
    lines = ["# Alerts", "", note, *_INTRODUCTION]
    for group in GROUPS:
        rules = _rules(group)
        lines += ["", f"## {group.upper() if group == 'slo' else group.capitalize()}", ""]
        lines += ["| alert | severity | team | for | muted by | fires when |", "|---" * 6 + "|"]
        for rule in (one for one in rules if "alert" in one):
            page = Path(rule["annotations"]["runbook_url"]).name
            labels = rule["labels"]
            cells = [
                f"[{rule['alert']}](../operations/alerts/{page})",
                labels["severity"],
                labels["team"],
                str(rule["for"]),
                labels.get("needs", "").replace(",", ", "),
                f"`{' '.join(rule['expr'].split())}`".replace("|", "\\|"),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        records = [one for one in rules if "record" in one]
        if records:
            lines += ["", "Recorded for them:", ""]
            lines += [f"- `{one['record']}`" for one in records]
    return "\n".join(lines) + "\n"


def _rules(group: str) -> list[dict[str, Any]]:
    text = (RULES / f"{group}.rules.yml").read_text()
    return [rule for one in yaml.safe_load(text)["groups"] for rule in one["rules"]]

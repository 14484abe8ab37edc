"""What follows from something that is told already is held back, by real Alertmanager."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.live import ROOT, alertmanager, until

NOWHERE = "http://127.0.0.1:9"

# What else is firing, and what of it is held back then, as `alertname{distinguishing label}`.
FIRING: tuple[tuple[str, dict[str, str], bool], ...] = (
    ("RenownChainNodesFailing", {"chain": "base"}, False),
    ("RenownIndexerStalled", {"chain": "base"}, True),
    ("RenownIndexerLag", {"chain": "base"}, True),
    ("RenownNodeErrors", {"chain": "base", "host": "a.example"}, True),
    ("RenownNodeErrors", {"chain": "ethereum", "host": "a.example"}, False),
    ("RenownIndexerStalled", {"chain": "ethereum"}, False),
    ("RenownIndexerLag", {"chain": "ethereum"}, True),  # by the stronger word
    ("RenownIndexerLag", {"chain": "linea"}, False),
    ("RenownDeepReorg", {"chain": "base"}, False),
    ("RenownTargetDown", {"instance": "index:9004", "process": "index"}, False),
    ("RenownDiskFilling", {"instance": "index:9004", "place": "data"}, True),
    ("RenownPoolNearlyFull", {"instance": "api-1:8004", "pool": "primary"}, False),
    ("RenownApiDown", {}, False),
    ("RenownTargetDown", {"instance": "api-1:8005", "process": "api"}, True),
    ("RenownDiskAlmostFull", {"instance": "api-1:8004", "place": "exports"}, False),
    ("RenownDiskFilling", {"instance": "api-1:8004", "place": "exports"}, True),
    ("RenownDiskFilling", {"instance": "api-1:8004", "place": "data"}, False),
    ("RenownAvailabilityBudgetFast", {}, False),
    ("RenownAvailabilityBudgetSlow", {}, True),
    ("RenownAvailabilityBudgetTrend", {}, True),
    ("RenownLatencyBudgetSlow", {}, False),
    ("RenownRedisDown", {"instance": "api-1:8004"}, False),
    ("RenownLimitHits", {"class": "search"}, True),
    ("RenownCacheHitRateLow", {"cache": "dear"}, True),
    ("RenownAuthFailures", {}, False),
    ("RenownDatabaseUnreachable", {"instance": "crawl:9004", "process": "crawl"}, False),
    ("RenownPoolWaiters", {"instance": "crawl:9004", "pool": "primary"}, True),  # its own
    ("RenownPoolWaiters", {"instance": "api-1:8004", "pool": "primary"}, False),
    ("RenownViewStale", {"view": "network"}, False),  # nobody's own
    ("RenownErrorRateHigh", {}, False),
    ("RenownReplicaDown", {"instance": "api-1:8004", "process": "api"}, False),
    ("RenownReplicaLag", {}, True),
    ("RenownDiskAlmostFull", {"instance": "disks:9100", "place": "postgres"}, False),
    ("RenownDatabaseDiskFilling", {"instance": "disks:9100", "place": "postgres"}, True),
    ("RenownDatabaseDiskFilling", {"instance": "disks:9100", "place": "replica"}, False),
)
# While PgBouncer is away.
BEHIND_IT: tuple[tuple[str, dict[str, str], bool], ...] = (
    ("RenownPgBouncerDown", {}, False),
    ("RenownDatabaseUnreachable", {"instance": "api-1:8004", "process": "api"}, True),
    ("RenownDatabaseUnreachable", {"instance": "probe:9004", "process": "probe"}, False),
    ("RenownErrorRateHigh", {}, True),
    ("RenownRequestsShed", {"cause": "pool-full"}, True),
    ("RenownIndexerStalled", {"chain": "base"}, False),
)


@pytest.mark.parametrize("firing", [FIRING, BEHIND_IT], ids=["all", "pgbouncer"])
def test_inhibition__while_stronger_alerts_fire__holds_back_what_follows_from_them(
    tmp_path: Path, firing: tuple[tuple[str, dict[str, str], bool], ...]
) -> None:
    wanted = {_name(alert, labels): held for alert, labels, held in firing}
    with alertmanager(tmp_path, NOWHERE) as place:
        _post(place, [_labels(alert, labels) for alert, labels, _ in firing])
        seen: dict[str, bool] = {}

        def as_wanted() -> bool:
            seen.update(_held(place))
            return seen == wanted

        until(as_wanted, lambda: {k: v for k, v in seen.items() if v != wanted[k]})


def test_inhibition__while_the_database_is_down__leaves_what_does_not_need_it(
    tmp_path: Path,
) -> None:
    shipped = {name: labels for name, labels in _shipped().items() if name != "RenownTargetDown"}
    wanted = {name: "database" in labels.get("needs", "") for name, labels in shipped.items()}
    # These would hold back others.
    for name in (
        *("RenownRedisDown", "RenownApiDown", "RenownChainNodesFailing"),
        *("RenownPgBouncerDown", "RenownReplicaDown"),
    ):
        del wanted[name]
    with alertmanager(tmp_path, NOWHERE) as place:
        _post(place, [{"alertname": name, **shipped[name]} for name in wanted])

        def as_wanted() -> bool:
            held = _held(place)
            # Held back by the stronger word about the same thing, as well.
            return all(held.get(name) or not needs for name, needs in wanted.items()) and not any(
                held.get(name)
                for name, needs in wanted.items()
                if not needs and not name.endswith("DiskFilling")
            )

        until(as_wanted, lambda: _held(place))
    assert sum(wanted.values()) > 15


def _shipped() -> dict[str, dict[str, str]]:
    rules: dict[str, dict[str, str]] = {}
    for path in (ROOT / "deploy/prometheus/rules").glob("*.rules.yml"):
        for group in yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["groups"]:
            rules |= {one["alert"]: one["labels"] for one in group["rules"] if "alert" in one}
    return rules


def _labels(alert: str, labels: dict[str, str]) -> dict[str, str]:
    return {"alertname": alert, **_shipped()[alert], **labels}


def _name(alert: str, labels: dict[str, str]) -> str:
    return alert + "".join(f" {key}={labels[key]}" for key in sorted(labels))


def _post(place: str, alerts: list[dict[str, str]]) -> None:
    request = urllib.request.Request(
        f"{place}/api/v2/alerts",
        json.dumps([{"labels": labels} for labels in alerts]).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def _held(place: str) -> dict[str, bool]:
    """Every alert that Alertmanager has, and whether it is held back."""
    with urllib.request.urlopen(f"{place}/api/v2/alerts", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    fixed = {"alertname", "severity", "team", "needs"}
    return {
        _name(
            one["labels"]["alertname"], {k: v for k, v in one["labels"].items() if k not in fixed}
        ): (one["status"]["state"] == "suppressed")
        for one in found
    }

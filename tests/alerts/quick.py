"""The shipped rules and routes at a sixtieth of their time, for tests that see them work.

Of the rules only `for` and `keep_firing_for` change, each divided by `FASTER`; expressions, labels
and annotations stay as they are. Of Alertmanager's configuration the waits of routes are divided
too, and each receiver becomes a webhook whose path is the receiver's name; matchers, grouping and
inhibition stay.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

FASTER = 60
SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def quick_rules(shipped: Path, folder: Path) -> list[Path]:
    """The rule files of `shipped`, written into `folder`."""
    written = []
    for path in sorted(shipped.glob("*.rules.yml")):
        text = re.sub(
            r"^( +(?:for|keep_firing_for): )(\w+)$",
            lambda found: f"{found[1]}{_quick(found[2])}",
            path.read_text(),
            flags=re.MULTILINE,
        )
        written.append(folder / path.name)
        written[-1].write_text(text)
    return written


def quick_alertmanager(shipped: Path, target: Path, webhook: str) -> None:
    """`alertmanager.yml` at `shipped`, written to `target`; `webhook` is the URL of ours."""
    config: dict[str, Any] = yaml.safe_load(shipped.read_text())
    del config["global"], config["templates"]
    for route in [config["route"], *config["route"]["routes"]]:
        for wait in ("group_wait", "group_interval", "repeat_interval"):
            if wait in route:
                route[wait] = _quick(route[wait])
    config["receivers"] = [
        {
            "name": one["name"],
            "webhook_configs": [{"url": f"{webhook}/{one['name']}", "send_resolved": True}],
        }
        for one in config["receivers"]
    ]
    target.write_text(yaml.safe_dump(config))


def seconds(duration: str) -> int:
    """Of a duration with one unit, as the rules have them."""
    return int(duration[:-1]) * SECONDS_OF[duration[-1]]


def _quick(duration: str) -> str:
    whole = seconds(duration)
    return f"{max(1, round(whole / FASTER))}s" if whole else "0s"

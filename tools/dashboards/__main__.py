"""Write deploy/grafana/dashboards/*.json.

python -m tools.dashboards           writes the files that changed
python -m tools.dashboards --check   fails when one would change
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.dashboards.api import API
from tools.dashboards.chains import CHAINS
from tools.dashboards.database import DATABASE
from tools.dashboards.overview import OVERVIEW
from tools.dashboards.panels import dashboard
from tools.dashboards.trust import TRUST

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "grafana" / "dashboards"

DASHBOARDS = (OVERVIEW, API, DATABASE, CHAINS, TRUST)


def pages() -> dict[Path, str]:
    """The text of each file."""
    return {
        FOLDER / f"{one.uid}.json": json.dumps(dashboard(one), indent=1, ensure_ascii=False) + "\n"
        for one in DASHBOARDS
    }


def main() -> int:
    stale = [
        path for path, text in pages().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        name = path.relative_to(ROOT)
        if "--check" in sys.argv:
            print(f"{name} is out of date: run `make docs`")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path])
            print(f"wrote {name}")
    return bool(stale) if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())

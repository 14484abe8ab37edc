"""The page on fetching names every reason that a fetch can have."""

from __future__ import annotations

import ast
from pathlib import Path

from renown.offchain.dial import _CERTIFICATE_REASONS
from renown.offchain.fetched import OUTCOMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "fetching.md").read_text()
MAKERS = {"Failed": 1, "_fail": 1, "_refused": 0, "_wrong": 0}


def reasons() -> set[str]:
    found = set(_CERTIFICATE_REASONS.values())
    for path in (ROOT / "src" / "renown" / "offchain").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in MAKERS and len(node.args) > MAKERS[name]:
                argument = node.args[MAKERS[name]]
                found |= {
                    value.value
                    for value in ast.walk(argument)
                    if isinstance(value, ast.Constant) and isinstance(value.value, str)
                }
    return found


def test_fetching_page__every_reason_and_outcome__is_explained():
    assert len(reasons()) > 30
    assert {reason for reason in reasons() if f"`{reason}`" not in PAGE} == set()
    assert {name for name in OUTCOMES if f"`{name}`" not in PAGE} <= {"undecodable"}

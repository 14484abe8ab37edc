"""The table of findings: complete, stable and worth reading."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from renown.spec.documents.reading import ALLOWANCES
from renown.spec.findings import FINDINGS, SEVERITIES, FindingKind, severity

SPEC = Path(__file__).parents[2] / "src" / "renown" / "spec"


def used_codes() -> set[str]:
    """Codes that the sources of the reader mention in calls of `add` and `Finding`."""
    found = set()
    for file in (*SPEC.joinpath("documents").glob("*.py"), SPEC / "inline.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and _called(node) in ("add", "Finding", "_failed"):
                found |= {
                    inner.value
                    for argument in node.args[:1]
                    for inner in ast.walk(argument)
                    if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
                }
    return {code for code in found if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)}


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def test_findings__every_code_the_reader_uses__is_explained() -> None:
    codes = used_codes() - {"url"}

    assert len(codes) > 30
    assert codes <= FINDINGS.keys()
    assert FINDINGS.keys() >= ALLOWANCES


def test_findings__in_the_table__are_sorted_by_subject_and_code() -> None:
    subjects = ["document", "identity", "uri", "endpoint", "attachment"]
    keys = [(subjects.index(kind.subject), kind.code) for kind in FINDINGS.values()]

    assert keys == sorted(keys)
    assert all(code == kind.code for code, kind in FINDINGS.items())


@pytest.mark.parametrize("kind", FINDINGS.values(), ids=lambda kind: kind.code)
def test_findings__each__has_a_code_a_title_and_a_fix(kind: FindingKind) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+|large|oversized|placeholder", kind.code)
    assert kind.severity in SEVERITIES
    for text in (kind.title, kind.fix):
        assert text.endswith(".")
        assert text[0].isupper() or text[0] == "`"
        assert "\n" not in text


def test_severity__of_a_code_of_a_later_version__is_info() -> None:
    assert severity("not-invented-yet") == "info"
    assert severity("not-json") == "error"


def test_findings__their_page__says_what_the_table_says() -> None:
    page = (SPEC.parents[2] / "docs" / "reference" / "findings.md").read_text()
    rows = dict(
        re.findall(r"^\| `([a-z0-9-]+)` \| ((?:error|warning|info)[^|]*) \|", page, re.MULTILINE)
    )

    assert list(rows) == list(FINDINGS)
    for code, told in rows.items():
        assert told.split(",")[0] == FINDINGS[code].severity
        assert ("not strict" in told) == (code in ALLOWANCES)
        assert FINDINGS[code].title.replace("|", "\\|") in page

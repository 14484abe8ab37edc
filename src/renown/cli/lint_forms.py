"""How findings are printed: for people, as JSON, and as annotations of GitHub's.

Details quote strangers. What is printed holds no control characters, never begins a line with
foreign text, and spells out what build systems take for commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

import msgspec

from renown.cli.console import clean
from renown.cli.linting import Linted
from renown.spec.documents import Finding
from renown.spec.documents.places import lines_of
from renown.spec.findings import FINDINGS, SEVERITIES, Severity

_ANNOTATIONS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of one target."""

    code: str
    severity: Severity
    subject: str
    path: str
    line: int | None
    detail: str
    title: str
    fix: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One target: what it is, and what was found. `reading` is null where nothing was read."""

    target: str
    kind: str
    klass: str | None = msgspec.field(name="class", default=None)
    reading: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    name: str | None = None
    passed: bool
    findings: list[Line]


def report(linted: Linted, *, passed: bool) -> Report:
    """All there is to say about one target."""
    document = linted.document
    lines = {}
    if document is not None and linted.named.kind == "file":
        lines = lines_of(document.raw, {finding.path for finding in linted.findings})
    registration = document.registration if document else None
    return Report(
        target=linted.named.name,
        kind=linted.named.kind,
        klass=document.klass if document else None,
        reading=document.reading if document else None,
        sha256=document.sha256.hex() if document else None,
        size_bytes=len(document.raw) if document else None,
        name=registration.name if registration else None,
        passed=passed,
        findings=[_line(finding, lines) for finding in linted.findings],
    )


def words(one: Report) -> Iterable[str]:
    """Lines for people, as compilers have them: `file:line: severity code: what (detail)`."""
    target = _safe(one.target if len(one.target) <= 80 else one.target[:79] + "…")
    read = f"{one.klass}, reading {one.reading}" if one.klass else "nothing could be read"
    yield f"{target}: {read}; {_counted(one.findings)}"
    for found in one.findings:
        where = target if found.line is None else f"{target}:{found.line}"
        at = f" {_safe(found.path)}" if found.path else ""
        detail = f" ({_safe(found.detail)})" if found.detail else ""
        yield f"{where}: {found.severity} {found.code}{at}: {found.title}{detail}"
        yield f"    {found.fix}"


def github(one: Report) -> Iterable[str]:
    """Lines that GitHub's runner shows beside the file's lines.

    Source: GitHub, "Workflow commands for GitHub Actions".
    """
    for found in one.findings:
        title = f"{found.code} {found.path}".strip()
        detail = f" ({found.detail})" if found.detail else ""
        properties = [f"title={_property(title)}"]
        if one.kind == "file":
            place = [f"file={_property(PurePath(one.target).as_posix())}"]
            properties = [*place, f"line={found.line or 1}", *properties]
        message = f"{found.title}{detail} {found.fix}"
        if one.kind != "file":
            message = f"{one.target[:80]}: {message}"
        yield f"::{_ANNOTATIONS[found.severity]} {','.join(properties)}::{_message(message)}"


def _line(finding: Finding, lines: dict[str, int]) -> Line:
    kind = FINDINGS[finding.code]
    return Line(
        code=finding.code,
        severity=kind.severity,
        subject=kind.subject,
        path=finding.path,
        line=lines.get(finding.path) if kind.subject in ("document", "identity") else None,
        detail=finding.detail,
        title=kind.title,
        fix=kind.fix,
    )


def _counted(findings: Sequence[Line]) -> str:
    counts = {word: sum(1 for found in findings if found.severity == word) for word in SEVERITIES}
    return ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "nothing found"


def _safe(text: str) -> str:
    # Runners of other systems, and GitHub's older form, take these for commands anywhere in a line.
    return clean(text).replace("##[", "## [").replace("##vso[", "## vso[")


def _message(text: str) -> str:
    return _safe(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")

"""Whether an agent's URI leads to a file: its row's state, and findings about the URI. Pure."""

from __future__ import annotations

from renown.derive.document_state import document_state
from renown.derive.profile import State
from renown.spec.documents.model import Finding
from renown.spec.uris import read_inline
from renown.store.profile_material import Material

_FAILURES = {
    "refused": "uri-refused",
    "too-large": "uri-oversized",
    "undecodable": "uri-undecodable",
    "unsupported": "uri-unsupported",
    "wrong-content": "content-mismatch",
}


def state_of(material: Material) -> State:
    """What became of the agent's URI. A file that was read once counts until another is read."""
    if not material.uri:
        return "none"
    return document_state(
        kind=material.uri_kind,
        attempts=material.attempts or 0,
        outcome=material.outcome,
        document_class=material.document_class,
        reading=material.reading,
    )


def uri_findings(material: Material) -> list[Finding]:
    """Findings about the URI and the last attempt to read it."""
    if not material.uri:
        return [Finding("uri-missing")]
    found = []
    if material.uri_kind == "http":
        found.append(Finding("uri-insecure"))
    if material.uri_kind in ("http", "https"):
        found.append(Finding("uri-mutable"))
    if material.uri_kind == "unsupported":
        found.append(Finding("uri-unsupported", detail=material.reason or ""))
        return found
    if material.uri_kind in ("data", "json"):
        found += read_inline(material.uri).findings
    if not material.attempts:
        return found
    if material.outcome in ("ok", "not-modified"):
        if material.final_url:
            found.append(Finding("uri-redirected", detail=material.final_url[:300]))
        if material.uri_kind in ("ipfs", "ar") and material.verified is None:
            found.append(Finding("content-unverified"))
        return found
    found.append(Finding(_failure(material), detail=_said(material)))
    return found


def _failure(material: Material) -> str:
    if material.outcome == "http-error":
        return "uri-server-error" if (material.status or 0) >= 500 else "uri-not-found"
    return _FAILURES.get(material.outcome or "", "uri-unreachable")


def _said(material: Material) -> str:
    if material.outcome == "http-error":
        return f"status {material.status}"
    return material.reason or material.outcome or ""

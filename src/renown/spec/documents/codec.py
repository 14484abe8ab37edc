"""Registrations and findings as they stand in the database: JSON, and back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from renown.spec.documents.model import Finding, Registration

_registration = msgspec.json.Decoder(Registration)
_findings = msgspec.json.Decoder(tuple[Finding, ...])
_encode = msgspec.json.Encoder().encode


def registration_json(registration: Registration) -> bytes:
    """A registration as a JSON object; what is not said is null."""
    return _encode(registration)


def registration_from(json: bytes | str) -> Registration:
    """The registration that `registration_json` wrote."""
    return _registration.decode(json)


def findings_json(findings: Iterable[Finding]) -> str:
    """Findings as a JSON list of objects, in the order given."""
    return _encode(list(findings)).decode()


def findings_from(json: bytes | str) -> tuple[Finding, ...]:
    """The findings that `findings_json` wrote."""
    return _findings.decode(json)

"""Read bytes as a document: parse, tell what it is, normalise, find. Pure, and never raises."""

from __future__ import annotations

import hashlib
from typing import Any

from renown.spec.documents.classes import class_of
from renown.spec.documents.fields import read_card, read_fields
from renown.spec.documents.json_text import parse
from renown.spec.documents.model import Class, Document, Reading, Registration
from renown.spec.documents.notes import Notes
from renown.spec.documents.templates import template_of

READER = 1
"""Version of all that is read and found here: raised when the same bytes give another document."""

ALLOWANCES = frozenset(
    {
        *("lenient-json", "byte-order-mark", "invalid-utf8", "nul-character", "lone-surrogate"),
        *("duplicate-key", "huge-number", "too-deep", "too-many-values", "long-text"),
        *("missing-type", "wrong-type", "type-variant", "missing-name", "missing-description"),
        *("missing-image", "missing-services", "nonstandard-spelling", "wrong-json-type"),
        *("malformed-service", "service-without-name", "service-without-endpoint"),
        *("malformed-registration", "not-a-registration"),
    }
)
"""Findings that keep a reading from being strict: a reader that knows the standard only would
miss or mistake something. The others are about what a well-formed file says."""


def read_document(raw: bytes) -> Document:
    """What `raw` is. Never raises; takes time in proportion to its length.

    `reading` is "strict" for a registration exactly as the standard has it, "tolerant" for one that
    needed an allowance, each of which is a finding; an A2A card, NFT metadata and a host's proof
    are read so too, though their class says that they are none. "none" is anything else.
    """
    notes = Notes()
    parsed = parse(raw, notes)
    if parsed.content is None:
        klass: Class = "html" if parsed.problem == "html-page" else "not-json"
        return _document(raw, klass, notes)
    value = parsed.value
    if type(value) is not dict:
        value = _unwrapped(value, notes)
        if not isinstance(value, dict):
            notes.add("not-an-object")
            return _document(raw, "not-an-object", notes, parsed.content)
    klass = class_of(value)
    if klass == "registration":
        registration: Registration | None = read_fields(value, notes)
    else:
        registration = _otherwise(value, klass, notes)
    return _document(raw, klass, notes, parsed.content, registration)


def _document(
    raw: bytes,
    klass: Class,
    notes: Notes,
    content: bytes | None = None,
    registration: Registration | None = None,
) -> Document:
    findings = notes.sorted()
    reading: Reading = "none"
    template = None
    if registration is not None and content is not None:
        template = template_of(content, registration.name, registration.image)
        exact = ALLOWANCES.isdisjoint([finding.code for finding in findings])
        reading = "strict" if exact else "tolerant"
    return Document(
        raw=raw,
        sha256=hashlib.sha256(raw).digest(),
        klass=klass,
        reading=reading,
        content=content,
        registration=registration,
        findings=findings,
        template=template,
    )


def _unwrapped(value: Any, notes: Notes) -> Any:
    """The object inside a list of one, or inside a text; as it is otherwise."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        notes.add("wrong-json-type", "", "the object stands in a list")
        return value[0]
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        inner = parse(value.encode(), Notes())
        if isinstance(inner.value, dict):
            notes.add("wrong-json-type", "", "the object stands in a text")
            return inner.value
    return value


def _otherwise(value: dict[str, Any], klass: Class, notes: Notes) -> Registration | None:
    """The registration that an object without the standard's type amounts to."""
    if klass == "untyped-registration":
        return read_fields(value, notes)
    notes.add("not-a-registration", "", klass)
    if klass == "domain-proof":
        return read_fields(value, Notes())  # its claims; that it lacks the rest is said above
    if klass == "agent-card":
        return read_card(value, notes)
    if klass == "nft-metadata":
        return read_fields(value, notes)
    return None

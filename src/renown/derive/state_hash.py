"""The state hash: one number by which two installations know that they hold the same.

It covers a chain's facts, unattached facts, quarantine and folded state, each section in key
order and by outside keys. It leaves out what may differ without meaning: surrogate ids,
wall-clock times, leases, node health, versions, the outbox, and block rows without facts.

    hash    = sha256(section, section, ...)           sections in the order of SECTIONS
    section = sha256(name NUL row row ...)
    row     = length (4 bytes) and field of every field; a field is a type byte and the value:
              N null, I decimal digits, B bytes, S UTF-8, T/F true and false, L list (count, fields)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

FACT_SECTIONS = (
    *("agent_registered", "uri_updated", "metadata_set", "agent_transferred", "agent_approved"),
    *("operator_set", "metadata_refreshed", "feedback_given", "feedback_revoked"),
    *("response_appended", "validation_requested", "validation_responded", "registry_changed"),
    "legacy_event",
)
STATE_SECTIONS = (
    *("agent", "agent_metadata", "agent_ownership", "feedback_mark", "agent_stats"),
    *("agent_tag_stats", "validation"),
)
SECTIONS = (*FACT_SECTIONS, "quarantine", "unattached", *STATE_SECTIONS)


class Section:
    """One section under way; rows must come in key order."""

    def __init__(self, name: str) -> None:
        self.rows = 0
        self._hash = hashlib.sha256(name.encode() + b"\0")

    def add(self, rows: Iterable[Iterable[Any]]) -> None:
        """Take rows further."""
        for row in rows:
            self._hash.update(b"".join(map(_field, row)))
            self.rows += 1

    def digest(self) -> bytes:
        """32 bytes over all rows so far."""
        return self._hash.digest()


def state_hash(sections: dict[str, bytes]) -> str:
    """The state hash from the digests of all SECTIONS, as 64 hex digits."""
    return hashlib.sha256(b"".join(sections[name] for name in SECTIONS)).hexdigest()


def _field(value: Any) -> bytes:
    if value is None:
        body = b"N"
    elif isinstance(value, bytes):
        body = b"B" + value
    elif value is True or value is False:
        body = b"T" if value else b"F"
    elif isinstance(value, int):
        body = b"I%d" % value
    elif isinstance(value, str):
        body = b"S" + value.encode()
    elif isinstance(value, list | tuple):
        body = b"L%d:" % len(value) + b"".join(map(_field, value))
    else:
        raise TypeError(f"a state hash has no form for {type(value).__name__}")
    return len(body).to_bytes(4) + body

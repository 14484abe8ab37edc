"""What became of a URI: from the last attempt to read it and the document behind it. Pure."""

from __future__ import annotations

from renown.derive.profile import State
from renown.spec.documents.model import Class, Reading

_REGISTRATIONS: tuple[Class, ...] = ("registration", "untyped-registration")
_OBJECTS: tuple[Class, ...] = ("agent-card", "nft-metadata", "domain-proof", "feedback", "object")


def document_state(
    *,
    kind: str | None,
    attempts: int,
    outcome: str | None,
    document_class: str | None,
    reading: str | None,
) -> State:
    """The state of an agent whose URI is this one. A file that was read counts until another is.

    Args:
        kind: of the URI; None where it is not known yet.
        outcome: of the last attempt.
        document_class, reading: of the document, both None where there is none.
    """
    strict: Reading = "strict"
    if document_class is not None:
        if document_class in _REGISTRATIONS:
            return "strict" if reading == strict else "tolerant"
        return "foreign" if document_class in _OBJECTS else "unreadable"
    if kind == "unsupported" or outcome == "unsupported":
        return "unsupported"
    if not attempts:
        return "pending"
    return "unreadable" if outcome == "undecodable" else "unreachable"

"""What bytes behind a URI are: read whatever they are, normalised, with findings. Pure."""

from renown.spec.documents.codec import (
    findings_from,
    findings_json,
    registration_from,
    registration_json,
)
from renown.spec.documents.model import Claim, Document, Finding, Registration, Service
from renown.spec.documents.reading import READER, read_document

__all__ = [
    "READER",
    "Claim",
    "Document",
    "Finding",
    "Registration",
    "Service",
    "findings_from",
    "findings_json",
    "read_document",
    "registration_from",
    "registration_json",
]

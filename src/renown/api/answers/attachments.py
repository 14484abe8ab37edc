"""The files beside facts: what feedback, responses and validations name, and whether it is that."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from renown.api.answers.findings import CheckedAt, Finding, said
from renown.api.answers.payments import ProofOfPayment, proof
from renown.api.answers.values import Count, Hash, hex_or_none
from renown.spec.documents import findings_from
from renown.spec.documents.model import Class
from renown.store import read_attachments as store
from renown.store.feedback import FeedbackRow
from renown.store.pool import Conn
from renown.store.read_attachments import Answered, AttachmentRow, Place
from renown.store.reads_responses import ResponseRow
from renown.store.validations import ValidationRow

Verdict = Literal[
    "pending",
    "absent",
    "bytes",
    "jcs",
    "agent0-py",
    "agent0-ts",
    "content-id",
    "mismatch",
    "unfetchable",
]


class AttachedFile(Struct, kw_only=True, frozen=True):
    """The file behind the URI that a fact names."""

    verdict: Annotated[
        Verdict,
        Meta(
            description="How the file compares with the hash on the chain. `bytes`: of its bytes."
            " `jcs`, `agent0-py`, `agent0-ts`: of its JSON as RFC 8785 or those SDKs write it."
            " `content-id`: no hash, but the URI names the content. `absent`: no hash to check."
            " `mismatch`: another file. `unfetchable`: there is none. `pending`: not read yet."
        ),
    ]
    outcome: Annotated[str | None, Meta(description="Of the last attempt to read it.")]
    checked_at: CheckedAt | None
    sha256: Annotated[Hash | None, Meta(description="See GET /v1/documents/{sha256}.")]
    size_bytes: Count | None
    document_class: Class | None
    findings: Annotated[
        list[Finding], Meta(description="Where it differs from the fact, which counts.")
    ]


Files = dict[Place, AttachedFile]
Beside = dict[Place, tuple[AttachedFile | None, ProofOfPayment | None]]
FileOrNone = Annotated[
    AttachedFile | None,
    Meta(
        description="The file, as far as it is known now, whatever `at` asks for; null where the"
        " fact names none, or it is not looked at yet."
    ),
]


async def of_feedback(conn: Conn, chain_id: int, rows: Iterable[FeedbackRow]) -> Beside:
    """What the files of feedback on one chain are, and which payments they name, by place."""
    found = await store.of_feedback(conn, chain_id, _named(rows))
    return {
        place: (None if file is None else _file(file), None if paid is None else proof(paid))
        for place, (file, paid) in found.items()
    }


async def of_responses(conn: Conn, chain_id: int, rows: Iterable[ResponseRow]) -> Files:
    """The files of responses on one chain, by place."""
    found = await store.of_responses(conn, chain_id, _named(rows))
    return {place: _file(row) for place, row in found.items()}


async def of_validations(
    conn: Conn, chain_id: int, agent_id: int, rows: Sequence[ValidationRow]
) -> tuple[list[AttachedFile | None], list[AttachedFile | None]]:
    """The files of one agent's requests, and of their answers, in the order of `rows`."""
    asked = [(row.contract, row.request_hash) for row in rows if row.request_uri]
    answered = [
        Answered(row.responded_block, row.contract, row.request_hash)
        for row in rows
        if row.response_uri and row.responded_block is not None
    ]
    requests = await store.of_requests(conn, chain_id, agent_id, asked)
    answers = await store.of_answers(conn, chain_id, agent_id, answered)
    keys = [(row.contract, row.request_hash) for row in rows]
    return (
        [_file(requests[key]) if key in requests else None for key in keys],
        [_file(answers[key]) if key in answers else None for key in keys],
    )


def version_with(version: str, beside: Iterable[Struct | None]) -> str:
    """`version` of an agent that no event raised, but what is known beside its facts may have."""
    known = [one for one in beside if one is not None]
    if not known:
        return version
    digest = hashlib.blake2b(msgspec.json.encode(known), digest_size=8)
    return f"{version}.{digest.hexdigest()}"


def _named(rows: Iterable[FeedbackRow | ResponseRow]) -> list[store.Fact]:
    return [(row.block_number, row.log_index, row.tx_hash) for row in rows if row.uri]


def _file(row: AttachmentRow) -> AttachedFile:
    return AttachedFile(
        verdict=row.verdict,  # type: ignore[arg-type]
        outcome=row.outcome,
        checked_at=row.checked_at,
        sha256=hex_or_none(row.sha256),
        size_bytes=row.size_bytes,
        document_class=row.document_class,  # type: ignore[arg-type]
        findings=said(findings_from(row.findings)),
    )

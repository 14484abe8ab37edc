"""Whether the files that feedback, responses and validations name are what was promised.

ERC-8004, "Hash rule": the hash is of the bytes as served; other serialisations that occur are told
apart, since only bytes and RFC 8785 are integrity.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from renown.spec.documents import findings_json, read_document
from renown.spec.documents.feedback import (
    FeedbackFile,
    compare_feedback,
    hash_verdict,
    read_feedback_file,
)
from renown.spec.documents.model import Finding
from renown.store import attachments, documents
from renown.store.attachments import Attached, Verdict
from renown.store.pool import Tx

BATCH_VERDICTS = 500


async def judge(tx: Tx, uri_ids: Sequence[int], now: datetime, *, pending: bool = False) -> int:
    """Give every attachment of these URIs its verdict. Returns how many were judged.

    Args:
        pending: only those that have none yet.
    """
    if not uri_ids:
        return 0
    count = 0
    verdicts: list[Verdict] = []
    held: _Held | None = None
    async for attached in attachments.of_uris(tx, uri_ids, pending=pending):
        if attached.document_id is None:
            held = None
        elif held is None or held.document_id != attached.document_id:
            held = _Held(attached.document_id, await documents.raw(tx, attached.document_id))
        verdicts.append(held.verdict(attached) if held is not None else _unfetchable(attached))
        if len(verdicts) == BATCH_VERDICTS:
            await attachments.judge(tx, verdicts, now)
            count += len(verdicts)
            verdicts = []
    await attachments.judge(tx, verdicts, now)
    return count + len(verdicts)


class _Held:
    """A document that attachments are compared with; what they have in common is found once."""

    def __init__(self, document_id: int, raw: bytes) -> None:
        self.document_id = document_id
        self._raw = raw
        self._hashes: dict[bytes | None, str] = {}
        self._file: FeedbackFile | None = None
        self._file_read = False

    def verdict(self, attached: Attached) -> Verdict:
        """How one attachment compares."""
        found = self._hash_verdict(attached.content_hash)
        if found == "absent" and attached.kind == "ipfs" and attached.verified:
            found = "content-id"
        findings = list(self._compared(attached)) if attached.role == "feedback" else []
        if found == "agent0-ts":
            findings.append(Finding("file-hash-weak"))
        return Verdict(
            *(attached.chain_id, attached.block_number, attached.log_index),
            self.document_id,
            found,
            findings_json(tuple(sorted(findings))),
        )

    def _hash_verdict(self, content_hash: bytes | None) -> str:
        if content_hash not in self._hashes:
            if len(self._hashes) > 1_000:  # strangers choose the hashes
                self._hashes.clear()
            self._hashes[content_hash] = hash_verdict(self._raw, content_hash)
        return self._hashes[content_hash]

    def _compared(self, attached: Attached) -> Sequence[Finding]:
        if not self._file_read:
            self._file = read_feedback_file(read_document(self._raw))
            self._file_read = True
        if self._file is None:
            return [Finding("file-unreadable")]
        if attached.client is None or attached.value is None or attached.decimals is None:
            return []  # the fact went meanwhile; so will the attachment
        return compare_feedback(
            self._file,
            chain_id=attached.chain_id,
            registry=attached.registry,
            agent_id=attached.agent_id,
            client=attached.client,
            value=attached.value,
            decimals=attached.decimals,
            tag1=attached.tag1 or b"",
            tag2=attached.tag2 or b"",
        )


def _unfetchable(attached: Attached) -> Verdict:
    place = (attached.chain_id, attached.block_number, attached.log_index)
    return Verdict(*place, None, "unfetchable", "[]")

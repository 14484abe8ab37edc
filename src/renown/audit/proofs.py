"""Proofs as they are handed to strangers, and how one is checked with nothing else at hand."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from renown.audit.checkpoint import Verifier, verify_note
from renown.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from renown.errors import AuditBroken, BadParameter

FIELDS = (
    *("entry_id", "at_us", "action", "subject", "subject_key", "request_id", "account_id"),
    *("key_id", "wallet", "address", "user_agent", "db_user", "program", "method", "route"),
    *("status", "duration_ms", "before", "after", "detail", "rule"),
)
"""What the places of a payload, a JSON array, mean."""

Hash = Annotated[str, Meta(description="Base64 of 32 bytes.")]


class InclusionProof(msgspec.Struct, frozen=True, kw_only=True):
    """That an entry is in the log which a checkpoint was signed for (RFC 6962, 2.1.1)."""

    format: Literal["renown-audit-inclusion/1"] = "renown-audit-inclusion/1"
    entry_id: int
    seq: Annotated[int, Meta(description="Its place in the log, from 0.")]
    payload: Annotated[
        str | None,
        Meta(description="The text that is hashed; null where retention removed the entry."),
    ]
    leaf_hash: Hash
    proof: Annotated[list[Hash], Meta(description="From the leaf upwards.")]
    checkpoint: Annotated[
        str | None, Meta(description="A signed note: size and root of the tree; null: none of it.")
    ]
    verifier: Annotated[
        str, Meta(description="The key that signs here; empty: have it from elsewhere.")
    ] = ""


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """That the log of one size is the beginning of the log of another (RFC 6962, 2.1.2)."""

    format: Literal["renown-audit-consistency/1"] = "renown-audit-consistency/1"
    old_size: int
    old_root: Hash
    new_size: int
    new_root: Hash
    proof: list[Hash]


class Checked(msgspec.Struct, frozen=True):
    """What a good proof shows. `entry` is the payload by `FIELDS`; None where it was removed.
    `is_own_key`: nobody vouches for the key but the proof itself."""

    seq: int
    size: int
    origin: str
    entry: dict[str, Any] | None
    is_own_key: bool


def read_payload(payload: str | bytes) -> dict[str, Any]:
    """The fields of an entry as they were hashed.

    Raises:
        AuditBroken: it is no array of them.
    """
    try:
        values = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != len(FIELDS):
        raise AuditBroken("the payload is no entry of an audit log")
    return dict(zip(FIELDS, values, strict=True))


def read_inclusion(content: bytes) -> InclusionProof:
    """A proof of inclusion from its JSON.

    Raises:
        BadParameter: it is none.
    """
    try:
        return msgspec.json.decode(content, type=InclusionProof)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadParameter(
            "this is no proof of inclusion as `renown audit prove --json` writes it",
            parameter="FILE",
        ) from None


def check_inclusion(found: InclusionProof, verifiers: Sequence[Verifier] = ()) -> Checked:
    """Check a proof, with the keys one trusts; without any, with the one it brings along.

    Raises:
        AuditBroken: it proves nothing; the message says why.
        BadParameter: it has no checkpoint, or no key is known to check that with.
    """
    if found.checkpoint is None:
        raise BadParameter(
            "the proof has no checkpoint: ask for one of the size of a checkpoint", parameter="FILE"
        )
    if not verifiers and not found.verifier:
        raise BadParameter(
            "the proof brings no key along: name the one that signs there", parameter="--key"
        )
    keys = list(verifiers) or [Verifier.read(found.verifier)]
    checkpoint = verify_note(found.checkpoint, keys)
    leaf = unbase64(found.leaf_hash)
    entry = None
    if found.payload is not None:
        if leaf_hash(found.payload.encode()) != leaf:
            raise AuditBroken("the entry is not the one that was hashed", seq=found.seq)
        entry = read_payload(found.payload)
        if entry["entry_id"] != found.entry_id:
            raise AuditBroken("the payload is that of another entry", seq=found.seq)
    path = [unbase64(one) for one in found.proof]
    if not verify_inclusion(leaf, found.seq, checkpoint.size, checkpoint.root_hash, path):
        raise AuditBroken(
            f"the proof does not lead from entry {found.seq} to the root that was signed",
            seq=found.seq,
        )
    return Checked(found.seq, checkpoint.size, checkpoint.origin, entry, not verifiers)


def check_consistency(found: ConsistencyProof) -> bool:
    """Whether the proof leads from the one root to the other."""
    return verify_consistency(
        *(found.old_size, unbase64(found.old_root), found.new_size, unbase64(found.new_root)),
        [unbase64(one) for one in found.proof],
    )


def to_base64(content: bytes) -> str:
    """As hashes stand in proofs."""
    return base64.b64encode(content).decode()


def unbase64(text: str) -> bytes:
    """What `to_base64` wrote; nothing for anything else."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return content if to_base64(content) == text else b""

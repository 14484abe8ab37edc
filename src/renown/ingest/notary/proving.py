"""Proofs for strangers, put together from a few rows, and checked before they are handed on."""

from __future__ import annotations

from renown.audit import merkle
from renown.audit.checkpoint import Verifier
from renown.audit.proofs import (
    ConsistencyProof,
    InclusionProof,
    check_consistency,
    check_inclusion,
    to_base64,
)
from renown.errors import AuditBroken, BadParameter, EntryNotFound
from renown.store import audit_leaves, audit_proofs
from renown.store.pool import Tx


async def prove_inclusion(tx: Tx, entry_id: int, verifier: Verifier) -> InclusionProof:
    """That an entry is in the log of the newest checkpoint.

    Raises:
        EntryNotFound: no such entry, or none that a checkpoint covers yet.
        AuditBroken: there is no proof: the log is not as it was signed.
    """
    entry = await audit_proofs.proven_entry(tx, entry_id)
    if entry is None:
        raise EntryNotFound(f"the audit log has no entry {entry_id}, or the notary not taken it")
    signed = await audit_proofs.latest_checkpoint(tx, at_least=entry.seq + 1)
    if signed is None:
        raise EntryNotFound(
            f"no checkpoint covers entry {entry_id} yet: ask again in a minute, or run "
            "`renown audit checkpoint --now`"
        )
    found = InclusionProof(
        entry_id=entry.entry_id,
        seq=entry.seq,
        payload=entry.payload,
        leaf_hash=to_base64(entry.leaf_hash),
        proof=await _path(tx, merkle.inclusion(entry.seq, signed.size)),
        checkpoint=signed.note,
        verifier=verifier.text,
    )
    check_inclusion(found, [verifier])
    return found


async def prove_consistency(tx: Tx, old: int, new: int) -> ConsistencyProof:
    """That the log of `old` entries is how that of `new` entries begins, from the nodes as they are
    now.

    Raises:
        BadParameter: there are not so many, or `old` is more than `new`.
        AuditBroken: there is no proof.
    """
    size = (await audit_leaves.head(tx)).size
    if not 0 <= old <= new <= size:
        raise BadParameter(f"the sizes ascend, and the log has {size} entries", parameter="NEW")
    found = ConsistencyProof(
        old_size=old,
        old_root=to_base64(await _root(tx, old)),
        new_size=new,
        new_root=to_base64(await _root(tx, new)),
        proof=await _path(tx, merkle.consistency(old, new)),
    )
    if not check_consistency(found):
        raise AuditBroken(f"the log of {new} entries does not begin with that of {old}", seq=0)
    return found


async def _root(tx: Tx, size: int) -> bytes:
    if not size:
        return merkle.EMPTY_ROOT
    [root] = await _hashes(tx, [merkle.cover(size)])
    return root


async def _path(tx: Tx, spans: list[merkle.Span]) -> list[str]:
    return [to_base64(one) for one in await _hashes(tx, spans)]


async def _hashes(tx: Tx, spans: list[merkle.Span]) -> list[bytes]:
    held = await audit_proofs.node_hashes(tx, merkle.nodes_of(spans))
    if any(node not in held for span in spans for node in span):
        raise AuditBroken("nodes of the audit log's tree are missing", seq=0)
    return merkle.assemble(spans, held.__getitem__)

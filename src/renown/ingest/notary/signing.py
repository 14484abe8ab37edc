"""Signing checkpoints, of a log that continues every one that was signed before."""

from __future__ import annotations

import asyncio

import structlog

from renown.audit.checkpoint import Checkpoint, Signer, read_note
from renown.audit.merkle import assemble, consistency, nodes_of, verify_consistency
from renown.errors import AuditBroken
from renown.ingest.notary import measured
from renown.ingest.notary.folder import CheckpointFolder
from renown.ingest.notary.sequencing import Point, frontier
from renown.store import audit_leaves, audit_proofs
from renown.store.pool import Conn, Tx, naming_failures, transaction

log = structlog.get_logger()


async def checkpoint(
    conn: Conn, signer: Signer, folder: CheckpointFolder, point: Point = lambda _: None
) -> str | None:
    """Sign where the log stands, if nothing signed it so yet, and write that to the folder, to the
    database and to the logs. Returns the newest checkpoint; None for an empty log.

    Raises:
        AuditBroken: the log does not continue what was signed: it was rewritten, or the database
            restored from an older copy. Nothing is signed then.
        OutputFailed: the folder cannot be written to.
        StoreError
    """
    last = await asyncio.to_thread(folder.latest)
    async with transaction(conn, "repeatable_read") as tx:
        kept = await audit_proofs.latest_checkpoint(tx)
        head = await audit_leaves.head(tx)
        tree = await frontier(tx, head.size)
        now = Checkpoint(signer.verifier.name, head.size, tree.root(), head.link_hash or bytes(32))
        if last is not None:
            await _must_continue(tx, read_note(last), now, f"in {folder.path}")
        if kept is not None:
            await _must_continue(tx, read_note(kept.note), now, "in the database")
    if not head.size:
        return None
    if last is not None and read_note(last).size == head.size:
        note = last
    else:
        note = signer.note(now.size, now.root_hash, now.link_hash)
        point("signed")
        await asyncio.to_thread(folder.add, note)
        point("exported")
        # Whoever collects the logs has it, too, out of reach of whoever has this machine.
        log.info("audit_checkpoint", size=now.size, note=note)
    if kept is None or kept.size < now.size:
        with naming_failures():
            await audit_proofs.keep_checkpoint(conn, now.size, now.root_hash, now.link_hash, note)
        point("kept")
    measured.signed(now.size)
    return note


async def _must_continue(tx: Tx, earlier: Checkpoint, now: Checkpoint, place: str) -> None:
    """Raises AuditBroken if the log of `now` does not begin with that of `earlier`."""
    if earlier.size > now.size:
        raise AuditBroken(
            f"the audit log has {now.size} entries, but a checkpoint {place} was signed for "
            f"{earlier.size}: entries were removed, or the database is an older copy",
            seq=now.size,
        )
    spans = consistency(earlier.size, now.size)
    held = await audit_proofs.node_hashes(tx, nodes_of(spans))
    # A node that is not there leads to no root that was ever signed.
    proof = assemble(spans, lambda node: held.get(node, bytes(32)))
    fits = verify_consistency(earlier.size, earlier.root_hash, now.size, now.root_hash, proof)
    if fits and earlier.size:
        fits = await audit_proofs.link_at(tx, earlier.size - 1) == earlier.link_hash
    if not fits:
        raise AuditBroken(
            f"the first {earlier.size} entries of the audit log are not those that the checkpoint "
            f"{place} was signed for: it was rewritten, or the database is another copy",
            seq=0,
        )

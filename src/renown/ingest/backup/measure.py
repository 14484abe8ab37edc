"""Count and hash what a database holds."""

from __future__ import annotations

from renown.audit.merkle import Frontier
from renown.ingest.backup.manifest import AuditHeld, ChainHeld, Outcome
from renown.store import dumping, hashing, held
from renown.store.pool import Conn, transaction


async def outcome(conn: Conn) -> Outcome:
    """Everything of one snapshot, also within an open repeatable-read transaction."""
    async with transaction(conn, "repeatable_read") as tx:
        chains = [
            ChainHeld(
                *(chain.chain_id, chain.slug, chain.block_number, chain.events),
                await hashing.stored_hash(tx, chain.chain_id),
            )
            for chain in await held.chains(tx)
        ]
        tree, leaves = Frontier(), 0
        async for some in held.leaf_hashes(tx):
            tree.extend(some)
            leaves += len(some)
        audit = AuditHeld(leaves, tree.root().hex(), await held.last_note(tx))
        return Outcome(await dumping.schema_hash(tx), await dumping.row_counts(tx), chains, audit)

"""Taking the lease of a chain: one writer at a time, of the chain this index was made from."""

from __future__ import annotations

from typing import LiteralString

import msgspec

from renown.errors import BadSettings, ChainNotFound, LeaseLost, WrongChain
from renown.spec.deployments import Deployment
from renown.store.pool import Conn, naming_failures
from renown.store.whole_numbers import use_whole_numbers
from renown.store.writer import Checkpoint, Writer


async def acquire(
    conn: Conn,
    deployment: Deployment,
    *,
    start_block: int,
    genesis_hash: bytes | None,
    name: str,
) -> Writer:
    """Take the lease of a chain, adding the chain when it is new.

    Args:
        conn: a connection nobody else uses; the lease lives and dies with it.
        start_block: where indexing begins; taken only when the chain is new here.
        genesis_hash: of the chain the nodes serve; must be the one this index was made from.
        name: of this process, shown to operators.

    Raises:
        LeaseLost: another process writes this chain.
        WrongChain: the index holds another chain of the same id.
        BadSettings: other validation contracts than those followed since indexing began.
    """
    with naming_failures():
        return await _acquire(conn, deployment, start_block, genesis_hash, name)


async def _acquire(
    conn: Conn,
    deployment: Deployment,
    start_block: int,
    genesis_hash: bytes | None,
    name: str,
) -> Writer:
    chain_id = deployment.chain_id
    if not await conn.fetchval(LOCK, chain_id):
        holder = await conn.fetchval("SELECT writer FROM checkpoint WHERE chain_id = $1", chain_id)
        raise LeaseLost(
            f"chain {deployment.slug} is being written by {holder or 'another process'};"
            " a chain has one writer at a time: stop that one first",
            chain_id=chain_id,
        )
    for setting in WRITERS_SETTINGS:
        await conn.execute(f"SET {setting}")
    await use_whole_numbers(conn)
    followed = await conn.fetchval(FOLLOWED_CONTRACTS, chain_id)
    if followed is not None and {*followed} != {*deployment.validation}:
        shown = ", ".join(f"0x{contract.hex()}" for contract in followed) or "none"
        raise BadSettings(
            f"{deployment.slug}: the validation contracts are not those that were followed here"
            f" ({shown}), so the index would have holes; set them as they were, or run"
            f" `renown db forget {deployment.slug}` and index again",
            chain_id=chain_id,
        )
    known_genesis = await conn.fetchval(
        ADD_CHAIN,
        chain_id,
        deployment.slug,
        deployment.name,
        deployment.testnet,
        deployment.identity,
        deployment.reputation,
        list(deployment.validation),
        deployment.explorer,
        start_block,
        genesis_hash,
    )
    if genesis_hash and known_genesis and known_genesis != genesis_hash:
        raise WrongChain(
            f"this index holds another chain {chain_id} (its first block differs); use another"
            f" database or data directory, or drop it with `renown db forget {deployment.slug}`",
            chain_id=chain_id,
        )
    await conn.execute(ADD_CHECKPOINT, chain_id)
    row = await conn.fetchrow(FENCE, chain_id, name)
    assert row is not None
    fence, *values = row
    return Writer(conn, deployment, fence, Checkpoint(*values))


async def stored_start_block(conn: Conn, deployment: Deployment) -> int | None:
    """Where a chain's indexing began; None when the chain is new here."""
    with naming_failures():
        row = await conn.fetchrow(START, deployment.chain_id)
    return None if row is None else int(row[0])


async def reopen(conn: Conn, deployment: Deployment, *, name: str) -> Writer:
    """Take the lease of a chain that is indexed already, for work that needs no node.

    Raises:
        ChainNotFound: this index has no such chain.
        LeaseLost: another process writes this chain.
    """
    with naming_failures():
        row = await conn.fetchrow(START, deployment.chain_id)
    if row is None:
        raise ChainNotFound(
            f"this index has no chain {deployment.slug}", chain_id=deployment.chain_id
        )
    indexed = msgspec.structs.replace(deployment, validation=tuple(row[1]))
    return await acquire(conn, indexed, start_block=row[0], genesis_hash=None, name=name)


# A writer joins tables of any size against keys in hand, in the order written, by index. Left to
# itself the planner goes by statistics, which a table that grows so fast never has in time; and it
# would plan anew each time, which for small commits costs more than running. Of a plan that serves
# every call it believes that "the blocks from here on" are a third of all: it would start parallel
# workers, and compile the statement, to find what is mostly nothing.
# The statistics that ANALYZE makes here are for readers' first queries: a small sample does.
WRITERS_SETTINGS: tuple[LiteralString, ...] = (
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "enable_seqscan = off",
    "max_parallel_workers_per_gather = 0",
    "jit = off",
    "plan_cache_mode = force_generic_plan",
    "join_collapse_limit = 1",
    "default_statistics_target = 10",
    "bytea_output = hex",  # what is retracted is read as JSON: see orphaned
    "renown.indexer = 'on'",  # see audit_foreign_write
)
START: LiteralString = "SELECT start_block, validations FROM chain WHERE chain_id = $1"
LOCK: LiteralString = (
    "SELECT pg_try_advisory_lock(hashtextextended('renown.writer.' || $1::bigint, 0))"
)
FOLLOWED_CONTRACTS: LiteralString = """
SELECT c.validations FROM chain c JOIN checkpoint k USING (chain_id)
 WHERE c.chain_id = $1 AND k.position > 0
"""
ADD_CHAIN: LiteralString = """
INSERT INTO chain AS c (chain_id, slug, name, testnet, identity, reputation, validations, explorer,
                        start_block, genesis_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (chain_id)
    DO UPDATE SET validations = excluded.validations, explorer = excluded.explorer,
                  genesis_hash = coalesce(c.genesis_hash, excluded.genesis_hash)
RETURNING c.genesis_hash
"""
ADD_CHECKPOINT: LiteralString = """
INSERT INTO checkpoint (chain_id, block_number)
SELECT chain_id, start_block - 1 FROM chain WHERE chain_id = $1
    ON CONFLICT DO NOTHING
"""
FENCE: LiteralString = """
UPDATE checkpoint SET fence = fence + 1, writer = $2, updated_at = now()
 WHERE chain_id = $1
RETURNING fence, block_number, block_hash, final_block, position, events, phase, problem
"""

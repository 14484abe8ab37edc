"""Whether the index has everything: checked against the chain, and published.

Identity ids run 0..n-1 without gaps, so coverage is provable: the highest id that `ownerOf` knows
must be the last of a gapless run here. Feedback has no such id; its log counts are compared range
by range with a node of another operator, and `getLastIndex` of sampled pairs with the highest
index held.

    proven          ids agree, and a second operator counts the same logs
    single-source   ids agree, and only one operator was there to count
    gap             something is missing or surplus; `findings` say what
    unknown         the nodes could not answer
"""

from __future__ import annotations

import random
from typing import Any, Literal, LiteralString, Protocol

import msgspec
from eth_hash.auto import keccak

from renown.chain.source import CallReverted, LogCount
from renown.errors import NodeError, NodeInconsistent, NoNodeLeft
from renown.spec.deployments import Deployment
from renown.store import facts
from renown.store.audit_entries import say_unattended
from renown.store.pool import Conn
from renown.types import BlockRef

State = Literal["proven", "single-source", "gap", "unknown"]
SAMPLED_RANGES = 8
SAMPLED_PAIRS = 16
RANGE_EVENTS = 2_000
"""Events a sampled range spans at most: what one node answers in one go."""
GET_LAST_INDEX = keccak(b"getLastIndex(uint256,address)")[:4]


class Coverage(msgspec.Struct, frozen=True):
    """The outcome of one check at `checked_block`. `operators` are the hosts that were asked."""

    chain_id: int
    state: State
    checked_block: int
    agents_held: int
    agents_on_chain: int | None
    ranges_checked: int
    pairs_checked: int
    findings: list[str]
    operators: list[str]


class Source(Protocol):
    """What the check needs of a chain; `chain.source.ChainSource` in earnest."""

    @property
    def operators(self) -> set[str]: ...
    async def block(self, number: int) -> BlockRef | None: ...
    async def highest_agent_id(self, at_block: int) -> int | None: ...
    async def count_logs(
        self, first: int, last: int, *, avoid_host: str | None = None
    ) -> LogCount: ...
    async def call(self, to: bytes, calldata: bytes, at_block: int) -> bytes: ...


async def contracts(conn: Conn, deployment: Deployment) -> tuple[bytes, ...]:
    """The contracts whose logs this index holds; those of the deployment when it holds none."""
    row = await conn.fetchrow(CONTRACTS, deployment.chain_id)
    return deployment.contracts if row is None else (row[0], row[1], *row[2])


async def check(
    source: Source, conn: Conn, deployment: Deployment, *, seed: int, ranges: int = SAMPLED_RANGES
) -> Coverage:
    """Compare what is held with the chain and store the outcome."""
    chain_id = deployment.chain_id
    row = await conn.fetchrow(HELD, chain_id)
    if row is None:
        at, at_hash, held, first_id, last_id = -1, None, 0, None, None
    else:
        at, at_hash, held, first_id, last_id = row
    findings: list[str] = []
    operators: set[str] = set()
    on_chain: int | None = None
    counted = pairs = 0
    unfinished = ""
    single = False
    choose = random.Random(seed)
    try:
        await _same_chain(source, at, at_hash)
        highest = await source.highest_agent_id(at)
        on_chain = 0 if highest is None else highest + 1
        findings += await _id_findings(conn, chain_id, at, on_chain, held, first_id, last_id)
        for first, last in await _sample_ranges(conn, chain_id, at, ranges, choose):
            count, hosts = await _count(source, first, last)
            single = single or len(hosts) < 2
            operators |= hosts
            here = await facts.count(conn, chain_id, first, last)
            counted += 1
            if here != count.logs:
                findings.append(
                    f"blocks {first}..{last}: {here} logs held,"
                    f" {count.logs} counted by {count.host}"
                )
        for agent_id, client, index in await conn.fetch(
            PAIRS, chain_id, at, choose.random(), SAMPLED_PAIRS
        ):
            theirs = await _last_index(source, deployment.reputation, agent_id, client, at)
            pairs += 1
            if theirs != index:
                findings.append(
                    f"agent {agent_id}, client 0x{client.hex()}:"
                    f" highest feedback index held {index}, on chain {theirs}"
                )
    except (NodeError, CallReverted) as exc:
        unfinished = exc.detail if isinstance(exc, NodeError) else "a call reverted"
    if findings and not unfinished:
        try:
            await _same_chain(source, at, await conn.fetchval(HASH_OF, chain_id, at))
        except NodeError:
            unfinished, findings = "the chain was reorganised meanwhile", []
    state = _judge(gap=bool(findings), unfinished=bool(unfinished) or not counted, single=single)
    if unfinished:
        findings.append(f"the check could not be finished: {unfinished}")
    outcome = Coverage(
        chain_id=chain_id,
        state=state,
        checked_block=at,
        agents_held=held,
        agents_on_chain=on_chain,
        ranges_checked=counted,
        pairs_checked=pairs,
        findings=findings,
        operators=sorted(operators),
    )
    await say_unattended(conn)
    await conn.execute(
        SAVE,
        chain_id,
        state,
        at,
        held,
        on_chain,
        msgspec.json.encode(findings).decode(),
        outcome.operators,
    )
    return outcome


async def _same_chain(source: Source, at: int, at_hash: bytes | None) -> None:
    """Comparing with another chain, or another branch of this one, would prove nothing."""
    block = await source.block(at) if at >= 0 else None
    if block is None or block.hash != at_hash:
        raise NodeInconsistent(
            f"the nodes have another block {at} than the one held:"
            " another chain, or a reorg that is not followed yet"
        )


def _judge(*, gap: bool, unfinished: bool, single: bool) -> State:
    """What was found missing counts, however much could not be looked at."""
    if gap:
        return "gap"
    if unfinished:
        return "unknown"
    return "single-source" if single else "proven"


async def _id_findings(
    conn: Conn,
    chain_id: int,
    at: int,
    on_chain: int,
    held: int,
    first_id: int | None,
    last_id: int | None,
) -> list[str]:
    if held == on_chain and (held == 0 or (first_id, last_id) == (0, held - 1)):
        return []
    missing = [r[0] for r in await conn.fetch(MISSING, chain_id, at, on_chain)]
    findings = [f"agents held {held}, on chain {on_chain}"]
    if missing:
        findings.append(f"first missing ids: {', '.join(map(str, missing))}")
    return findings


async def _sample_ranges(
    conn: Conn, chain_id: int, at: int, wanted: int, choose: random.Random
) -> list[tuple[int, int]]:
    """Seeded ranges of the stored blocks, each with some facts, and the newest stretch always."""
    start = await conn.fetchval("SELECT start_block FROM chain WHERE chain_id = $1", chain_id)
    if start is None or at < start:
        return []
    found: set[tuple[int, int]] = set()
    anchors = [start, *(choose.randint(start, at) for _ in range(max(0, wanted - 2)))]
    for anchor in anchors:
        last: Any = await conn.fetchval(REACH, chain_id, anchor, at, RANGE_EVENTS)
        found.add((anchor, at if last is None else max(anchor, last)))
    newest: Any = await conn.fetchval(REACH_BACK, chain_id, at, RANGE_EVENTS)
    found.add((at if newest is None else newest, at))
    return sorted(found)


async def _count(source: Source, first: int, last: int) -> tuple[LogCount, set[str]]:
    """The count of another operator than the one first asked, and who was asked."""
    count = await source.count_logs(first, last)
    if len(source.operators) < 2:
        return count, {count.host}
    try:
        second = await source.count_logs(first, last, avoid_host=count.host)
    except NoNodeLeft:
        return count, {count.host}
    return second, {count.host, second.host}


async def _last_index(
    source: Source, reputation: bytes, agent_id: int, client: bytes, at: int
) -> int:
    calldata = GET_LAST_INDEX + agent_id.to_bytes(32) + client.rjust(32, b"\0")
    return int.from_bytes(await source.call(reputation, calldata, at))


CONTRACTS: LiteralString = """
SELECT identity, reputation, validations FROM chain WHERE chain_id = $1
"""
HASH_OF: LiteralString = "SELECT hash FROM block WHERE chain_id = $1 AND number = $2"
REACH_BACK: LiteralString = """
SELECT min(number) FROM (
    SELECT number, sum(fact_count) OVER (ORDER BY number DESC) AS events
      FROM (SELECT number, fact_count FROM block
             WHERE chain_id = $1 AND number <= $2 ORDER BY number DESC LIMIT $3) AS near
) AS summed
 WHERE events <= $3
"""
HELD: LiteralString = """
SELECT k.block_number, k.block_hash,
       (SELECT count(*) FROM agent a WHERE a.chain_id = $1 AND a.created_block <= k.block_number),
       (SELECT min(agent_id) FROM agent a WHERE a.chain_id = $1),
       (SELECT max(agent_id) FROM agent a WHERE a.chain_id = $1)
  FROM checkpoint k WHERE k.chain_id = $1
"""
MISSING: LiteralString = """
SELECT i FROM generate_series(0, $3::bigint - 1) AS i
 WHERE NOT EXISTS (SELECT FROM agent
                    WHERE chain_id = $1 AND agent_id = i AND created_block <= $2)
 ORDER BY i LIMIT 20
"""
REACH: LiteralString = """
SELECT number FROM (
    SELECT number, sum(fact_count) OVER (ORDER BY number) AS events
      FROM (SELECT number, fact_count FROM block
             WHERE chain_id = $1 AND number BETWEEN $2 AND $3 ORDER BY number LIMIT $4) AS near
) AS summed
 WHERE events > $4 ORDER BY number LIMIT 1
"""
PAIRS: LiteralString = """
SELECT agent_id, client,
       (array_agg(feedback_index ORDER BY block_number DESC, log_index DESC))[1]  -- restarts count
  FROM feedback_given f
 WHERE chain_id = $1 AND block_number <= $2
   AND (agent_id, client) IN (
        SELECT agent_id, client FROM feedback_given
         WHERE chain_id = $1
           AND block_number >= (
               SELECT min(number) + ($3::float8 * (max(number) - min(number)))::bigint
                 FROM block WHERE chain_id = $1)
         ORDER BY block_number LIMIT $4)
 GROUP BY agent_id, client
"""
SAVE: LiteralString = """
INSERT INTO coverage
       (chain_id, state, checked_block, agents_held, agents_on_chain, findings, operators)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7)
    ON CONFLICT (chain_id)
    DO UPDATE SET state = excluded.state, checked_block = excluded.checked_block,
                  checked_at = now(), agents_held = excluded.agents_held,
                  agents_on_chain = excluded.agents_on_chain,
                  findings = excluded.findings, operators = excluded.operators
"""

"""Where agents could be paid at a moment of the past: owner, wallet, and receivers declared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from renown.derive.fold import Fold
from renown.derive.identity import Identity
from renown.derive.payment import AgentPlace, AgentThen
from renown.spec.documents import registration_from
from renown.spec.protocols.capabilities import Price
from renown.spec.transfers import network_id
from renown.store import facts
from renown.store.pool import Conn, Tx
from renown.types import ZERO_ADDRESS

BEFORE_FIRST_SEEN = timedelta(days=1)
AFTER_LAST_SEEN = timedelta(days=7)
"""Endpoints are asked now and then: what one said holds for so long around the times it was heard
to say so."""

_ADDRESS = re.compile(r"(?:eip155:([0-9]{1,18}):)?(0x[0-9a-fA-F]{40})", re.ASCII)


async def saw(tx: Tx, endpoint_id: int, prices: Iterable[Price], at: datetime) -> None:
    """An endpoint asked to be paid so, at a moment."""
    wanted = {
        (price.network, bytes.fromhex(match[2][2:]))
        for price in prices
        if (match := _ADDRESS.fullmatch(price.pay_to)) is not None
    }
    if wanted:
        ordered = sorted(wanted)
        await tx.execute(
            SAW, endpoint_id, [network for network, _ in ordered], [raw for _, raw in ordered], at
        )


async def agents_then(
    conn: Conn, places: Iterable[AgentPlace], *, pay_chain_id: int, block_number: int, time: int
) -> dict[AgentPlace, AgentThen]:
    """What agents were at a block of the chain they were paid on, or at its time on others.

    Agents of chains that are not indexed that far are left out.

    Args:
        time: of the block, Unix seconds.
    """
    by_chain: dict[int, list[int]] = {}
    for chain_id, agent_id in sorted(set(places)):
        by_chain.setdefault(chain_id, []).append(agent_id)
    moment = datetime.fromtimestamp(time, UTC)
    found: dict[AgentPlace, AgentThen] = {}
    for chain_id, agent_ids in by_chain.items():
        block = block_number if chain_id == pay_chain_id else None
        row = await conn.fetchrow(MOMENT, chain_id, block, moment)
        if row is None or row[0] is None:
            continue
        upto, is_final = row
        identities = await _identities(conn, chain_id, agent_ids, upto)
        for agent_id in agent_ids:
            identity = identities.get(agent_id)
            if identity is None:
                found[chain_id, agent_id] = AgentThen(is_final=is_final)
                continue
            declared = await _declared(conn, chain_id, identity, pay_chain_id, moment)
            wallet = identity.wallet if identity.wallet != ZERO_ADDRESS else None
            # Elsewhere the address can be somebody else's: a contract proves it for one chain.
            is_own = (
                chain_id == pay_chain_id
                and identity.wallet_state == "proved"
                and wallet is not None
                and not await _is_shared(conn, chain_id, agent_id, wallet, upto)
            )
            found[chain_id, agent_id] = AgentThen(
                identity.owner, wallet, is_own, declared, is_final
            )
    return found


# The last block at or before the moment: all blocks that may still go are kept, so it is final if
# nothing of its time can come in its place.
MOMENT: LiteralString = """
SELECT CASE WHEN $2::bigint IS NOT NULL THEN
                 CASE WHEN k.block_number >= $2 THEN $2 END
            WHEN k.block_time >= $3::timestamptz THEN coalesce(b.number, c.start_block - 1) END,
       k.final_block >= coalesce($2, b.number, c.start_block - 1)
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN LATERAL (
       SELECT number FROM block
        WHERE chain_id = c.chain_id AND time <= $3
        ORDER BY time DESC, number DESC LIMIT 1) b ON $2::bigint IS NULL
 WHERE c.chain_id = $1
"""
# Whether the last that logs say of another agent's wallet is this one. The index
# `metadata_set_by_wallet` serves it.
SHARED: LiteralString = """
SELECT EXISTS (
    SELECT FROM metadata_set s
     WHERE s.chain_id = $1 AND s.key = 'agentWallet'::bytea
       AND octet_length(s.value) IN (20, 32) AND s.value = ANY($2::bytea[])
       AND s.agent_id <> $3 AND s.block_number <= $4
       AND NOT EXISTS (
           SELECT FROM metadata_set n
            WHERE n.chain_id = s.chain_id AND n.agent_id = s.agent_id AND n.key = s.key
              AND n.block_number <= $4
              AND (n.block_number, n.log_index) > (s.block_number, s.log_index)))
"""
# The file as it was last read before, or, if it never was, the first time after.
FILE: LiteralString = """
SELECT d.registration::text
  FROM uri u
  LEFT JOIN LATERAL (
       (SELECT r.document_id, 1 AS turn FROM resolution r
         WHERE r.uri_id = u.uri_id AND r.document_id IS NOT NULL AND r.attempted_at <= $2
         ORDER BY r.attempted_at DESC LIMIT 1)
        UNION ALL
       (SELECT r.document_id, 2 FROM resolution r
         WHERE r.uri_id = u.uri_id AND r.document_id IS NOT NULL AND r.attempted_at > $2
         ORDER BY r.attempted_at LIMIT 1)
        ORDER BY turn LIMIT 1) h ON NOT u.fixed
  JOIN document d ON d.document_id = coalesce(h.document_id, u.document_id)
 WHERE u.hash = sha256($1)
"""
OFFERS: LiteralString = """
SELECT DISTINCT p.network, p.address
  FROM agent_endpoint l
  JOIN endpoint_payee p USING (endpoint_id)
 WHERE l.chain_id = $1 AND l.agent_id = $2
   AND p.first_seen_at <= $3::timestamptz + $4::interval
   AND p.last_seen_at >= $3::timestamptz - $5::interval
"""
SAW: LiteralString = """
INSERT INTO endpoint_payee AS p (endpoint_id, network, address, first_seen_at, last_seen_at)
SELECT $1, w.network, w.address, $4, $4
  FROM unnest($2::text[], $3::bytea[]) AS w (network, address)
    ON CONFLICT (endpoint_id, network, address)
    DO UPDATE SET last_seen_at = greatest(p.last_seen_at, excluded.last_seen_at),
                  first_seen_at = least(p.first_seen_at, excluded.first_seen_at)
"""


async def _identities(
    conn: Conn, chain_id: int, agent_ids: Sequence[int], upto_block: int
) -> dict[int, Identity]:
    known = await facts.of_agents(
        conn, chain_id, agent_ids, upto_block=upto_block, tables=facts.IDENTITY_TABLES
    )
    return Fold().run(known).identities


async def _is_shared(
    conn: Conn, chain_id: int, agent_id: int, wallet: bytes, upto_block: int
) -> bool:
    forms = [wallet, bytes(12) + wallet]
    found: bool = await conn.fetchval(SHARED, chain_id, forms, agent_id, upto_block)
    return found


async def _declared(
    conn: Conn, chain_id: int, identity: Identity, pay_chain_id: int, moment: datetime
) -> frozenset[bytes]:
    """Receivers for payments on a chain: wallets of the file, and those that endpoints named."""
    found: set[bytes] = set()
    stored = await conn.fetchval(FILE, identity.uri, moment) if identity.uri else None
    services = registration_from(stored).services if stored else ()
    for service in services:
        match = _ADDRESS.fullmatch(service.endpoint or "") if service.kind == "wallet" else None
        if match is not None and match[1] in (None, str(pay_chain_id)):
            found.add(bytes.fromhex(match[2][2:]))
    rows = await conn.fetch(
        OFFERS, chain_id, identity.agent_id, moment, BEFORE_FIRST_SEEN, AFTER_LAST_SEEN
    )
    for network, address in rows:
        with suppress(ValueError):
            if network_id(network) == pay_chain_id:
                found.add(address)
    found.discard(ZERO_ADDRESS)
    return frozenset(found)

"""Which payments feedback files name."""

from __future__ import annotations

from renown.spec.documents.feedback import payment_in
from renown.store import payment_claims
from renown.store.payment_claims import FeedbackLook, Named
from renown.store.pool import Conn, retry_conflicts, transaction

FILES_AT_ONCE = 100


async def name_payments(conn: Conn) -> int:
    """Look at one batch of files, and make, change or drop their claims. Returns how many."""

    async def batch() -> int:
        async with transaction(conn) as tx:
            looks = await payment_claims.looks(tx, limit=FILES_AT_ONCE)
            for one in looks:
                place = (one.chain_id, one.block_number, one.log_index)
                await payment_claims.name(tx, place, _named(one))
            if looks:
                await payment_claims.looked(tx, looks)
            return len(looks)

    return await retry_conflicts(batch)


def _named(look: FeedbackLook) -> Named | None:
    """What the file says; None where that names no transaction. A chain left out is the agent's."""
    if look.content is None or look.agent_id is None:
        return None
    said = payment_in(look.content)
    if said is None or said.transaction is None:
        return None
    assert look.client is not None
    assert look.feedback_index is not None
    return Named(
        place=(look.chain_id, look.block_number, look.log_index),
        agent_id=look.agent_id,
        client=look.client,
        feedback_index=look.feedback_index,
        pay_chain_id=look.chain_id if said.chain_id is None else said.chain_id,
        tx_hash=bytes.fromhex(said.transaction[2:]),
        payer=bytes.fromhex(said.payer[2:]) if said.payer else None,
        payee=bytes.fromhex(said.payee[2:]) if said.payee else None,
    )

"""Why a transaction failed in its block, and what a registration made."""

from __future__ import annotations

from renown.chain.rpc import CallReverted
from renown.chain.tx.signed import read_signed
from renown.errors import NodeError
from renown.ingest.operations.seen_chain import Chain
from renown.spec import reverts
from renown.spec.abi import REGISTERED
from renown.spec.transactions import Receipt
from renown.types import MAX_BIGINT


async def revert_reason(chain: Chain, receipt: Receipt, raw: bytes) -> str:
    """What the contract said, found by running the call again on the block before.

    What came before it in its own block is not there then, so it may succeed this time, and old
    state may be gone: the reason says so. Never raises for what a node says.
    """
    signed = read_signed(raw)
    before = max(0, receipt.block_number - 1)
    try:
        await chain.call(signed.to, signed.calldata, block=before, sender=signed.sender)
    except CallReverted as exc:
        return reverts.reason(exc.revert_data)
    except NodeError:
        said = "reverted, and no node could say why"
    else:
        said = "reverted, because of what came before it in its block"
    if receipt.gas_used * 64 >= signed.gas * 63:
        return f"out of gas: it used all of the {signed.gas} it was given"
    return said


def registered_agent(receipt: Receipt, registry: bytes, sender: bytes) -> int | None:
    """The id of the agent that a call of `register` made, None where no log says so.

    The receiver hook of a contract may register more agents within; the outer one's log is last.
    """
    owner = bytes(12) + sender
    for log in reversed(receipt.logs):
        topics = log.topics
        if (log.address, len(topics)) == (registry, 3) and topics[0] == REGISTERED.topic0:
            agent_id = int.from_bytes(topics[1])
            if topics[2] == owner and agent_id <= MAX_BIGINT:
                return agent_id
    return None

"""What the chain says before anything is signed: would it pass, what does it cost, which nonce."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from renown.api.deps import Desk
from renown.derive.operation import PlannedStep
from renown.spec.transactions import SignedTransaction, UnsignedTransaction
from renown.store.operation_nonces import held_nonces, next_free

if TYPE_CHECKING:
    from renown.chain.tx.writer import ChainWriter


async def estimates(
    writer: ChainWriter, sender: bytes, steps: Sequence[PlannedStep]
) -> list[int | None]:
    """Gas of each step, as things stand; None for one whose call is not known yet.

    The steps of an operation do not build on each other, but for those whose call waits for what
    an earlier one brings: they are asked about when it has.

    Raises:
        CallWouldFail: the contract refuses one; the reason is the contract's.
        NodeError: no node answers.
    """

    async def one(step: PlannedStep) -> int | None:
        if step.calldata is None:
            return None
        return await writer.estimate(sender, step.contract, step.calldata)

    return list(await asyncio.gather(*map(one, steps)))


async def require_passing(
    writer: ChainWriter,
    sender: bytes,
    steps: Sequence[PlannedStep],
    signed: Sequence[SignedTransaction],
) -> None:
    """Signed transactions that no node has yet would pass, as things stand. One that a node has is
    beyond that question: in a block, it may be the very reason why it would not pass again.

    Raises:
        CallWouldFail, NodeError: as `estimates`.
    """
    known = await asyncio.gather(*(writer.known(one.tx_hash) for one in signed))
    new = [step for step, is_known in zip(steps, known, strict=True) if not is_known]
    await estimates(writer, sender, new)


async def prepared(
    desk: Desk,
    writer: ChainWriter,
    sender: bytes,
    steps: Sequence[PlannedStep],
    gas: Sequence[int | None],
) -> list[UnsignedTransaction | None]:
    """The unsigned transactions, nonces one after the other; None where there is no gas.

    The nonces are free as far as the nodes know, and we: what was handed in before may not have
    reached a node yet.

    Raises:
        NodeError: no node answers.
    """
    if not any(gas):
        return [None] * len(steps)
    fees, nonce = await asyncio.gather(writer.fees(), writer.nonce(sender, "pending"))
    async with desk.reading() as conn:
        held = await held_nonces(conn, writer.chain_id, sender, nonce)
    taken = {one.nonce for one in held}
    made: list[UnsignedTransaction | None] = []
    for step, allowed in zip(steps, gas, strict=True):
        if step.calldata is None or allowed is None:
            made.append(None)
            continue
        nonce = next_free(nonce, taken)
        made.append(
            UnsignedTransaction(
                chain_id=writer.chain_id,
                sender=sender,
                to=step.contract,
                calldata=step.calldata,
                nonce=nonce,
                gas=allowed,
                max_fee_wei=fees.max_fee_wei,
                priority_fee_wei=fees.priority_fee_wei,
            )
        )
        nonce += 1
    return made


async def funds_warning(
    writer: ChainWriter, sender: bytes, transactions: Sequence[UnsignedTransaction | None]
) -> str | None:
    """What the sender lacks to pay for all of them at worst; None where it lacks nothing."""
    most = sum(one.gas * one.max_fee_wei for one in transactions if one is not None)
    if not most:
        return None
    held = await writer.balance(sender)
    if held >= most:
        return None
    return f"the sender may have to pay {_ether(most)} for gas and has {_ether(held)}"


def _ether(wei: int) -> str:
    return f"{wei / 10**18:.6f} of the chain's own currency"

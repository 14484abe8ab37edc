"""What a call would do: its answer, the gas it takes, or why the contract refuses it."""

from __future__ import annotations

from typing import Literal

from renown.chain.nodes import Member, NodePool
from renown.chain.rpc import CallReverted, Refusal
from renown.chain.tx.offering import is_about_node
from renown.chain.tx.receipts import hex_bytes, quantity
from renown.chain.tx.verdicts import execution_failed, verdict
from renown.errors import CallWouldFail, NodeError
from renown.spec import reverts

GAS_MARGIN_PERCENT = 20
"""State moves between the estimate and the block; what is not used is not paid."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""More than a call of ten million gas can bring forth, whose answer is hexadecimal too. A node that
sends more is at fault, not the contract."""

Block = int | Literal["latest", "pending"]


async def call(
    pool: NodePool,
    to: bytes | None,
    calldata: bytes,
    *,
    block: Block = "latest",
    sender: bytes | None = None,
    gas: int | None = None,
    deadline_seconds: float | None = None,
) -> bytes:
    """`eth_call`; see `ChainWriter.call`."""
    params = [_call(sender, to, calldata, gas), hex(block) if isinstance(block, int) else block]

    async def question(member: Member) -> bytes:
        try:
            answer = await member.node.call(
                "eth_call", params, str, deadline=deadline_seconds, max_bytes=2 * MAX_ANSWER_BYTES
            )
        except Refusal as exc:
            said = str(exc.context.get("node_message", ""))
            if execution_failed(said):
                raise CallReverted(f"call failed: {said}", revert_data=b"", failure=said) from None
            raise
        return hex_bytes(answer)

    return await pool.ask("a call", question, reach=block if isinstance(block, int) else 0)


async def estimate(pool: NodePool, sender: bytes, to: bytes, calldata: bytes) -> int:
    """Gas to allow; see `ChainWriter.estimate`."""
    params = [_call(sender, to, calldata)]

    async def question(member: Member) -> int | Refusal:
        try:
            return quantity(await member.node.call("eth_estimateGas", params, str))
        except Refusal as exc:
            if is_about_node(exc):
                raise
            return exc  # about the call: the next node would say the same

    try:
        found = await pool.ask("an estimate", question)
    except CallReverted as exc:
        if exc.revert_data:
            raise would_fail(reverts.reason(exc.revert_data)) from None
        raise await _why(pool, exc, sender, to, calldata) from None
    if isinstance(found, Refusal):
        raise await _why(pool, found, sender, to, calldata)
    return found + found * GAS_MARGIN_PERCENT // 100


def would_fail(reason: str) -> CallWouldFail:
    """The contract says `reason`."""
    return CallWouldFail(f"the contract would refuse this: {reason}", reason=reason)


def cannot_pay(sender: bytes, why: str) -> CallWouldFail:
    """The chain would not even ask the contract."""
    address = f"0x{sender.hex()}"
    return CallWouldFail(
        f"{address} cannot pay for the gas: {why}", reason="insufficient funds", sender=address
    )


async def _why(
    pool: NodePool, refused: Refusal | CallReverted, sender: bytes, to: bytes, calldata: bytes
) -> CallWouldFail:
    """The reason behind a refused estimate: some nodes give it to callers only."""
    said = str(refused.context.get("node_message", ""))
    if verdict(said).code == "funds":
        return cannot_pay(sender, said)
    if "exceeds allowance" in said:
        return would_fail("it takes more gas than the node allows")
    try:
        await call(pool, to, calldata, sender=sender)
    except CallReverted as exc:
        return would_fail(exc.context.get("failure") or reverts.reason(exc.revert_data))
    except NodeError:
        pass
    if isinstance(refused, CallReverted):
        return would_fail(reverts.reason(b""))
    return would_fail(f"the node cannot estimate its gas: {said or refused.detail}")


def _call(
    sender: bytes | None, to: bytes | None, calldata: bytes, gas: int | None = None
) -> dict[str, str]:
    asked = {"data": f"0x{calldata.hex()}"}
    if to is not None:
        asked["to"] = f"0x{to.hex()}"
    if sender is not None:
        asked["from"] = f"0x{sender.hex()}"
    if gas is not None:
        asked["gas"] = hex(gas)
    return asked

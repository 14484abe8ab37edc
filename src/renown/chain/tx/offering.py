"""Offer signed bytes to the nodes of a chain, and ask who has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.chain.nodes import Member, NodePool
from renown.chain.ranges import RateLimited, classify
from renown.chain.rpc import Refusal
from renown.chain.tx.verdicts import verdict
from renown.errors import NodeError, NodeInconsistent, NoNodeLeft
from renown.spec.transactions import Sent


async def offer(pool: NodePool, raw: bytes) -> Sent:
    """Put signed bytes before one node after the other until one has them.

    Any number of nodes may be given the same bytes: together they are still one transaction.
    `refused` only where every node that could be asked answered, and none takes them; `unsure` as
    soon as one that did not answer may have taken them. Never raises for what a node says or does.
    """
    question = _offering(raw)
    refused: Sent | None = None
    unanswered = ""
    for member in pool.in_order():
        try:
            said = await pool.on(member, "a broadcast", question)
        except NodeError as exc:
            unanswered = unanswered or exc.detail
            continue
        if said.verdict in ("taken", "known"):
            return said
        if said.verdict == "unsure":
            unanswered = unanswered or said.reason
        else:
            refused = refused or said
    if refused is None or unanswered:
        return Sent("unsure", unanswered or f"no node of chain {pool.chain_id} can be asked now")
    return refused


async def somebody_has(pool: NodePool, tx_hash: bytes) -> bool:
    """Whether some node has the transaction, in its pool or in a block.

    Raises:
        NodeError: no node says yes, and one could not be asked.
    """
    params = [f"0x{tx_hash.hex()}"]

    async def question(member: Member) -> bool:
        found = await member.node.call("eth_getTransactionByHash", params, _MAYBE_KNOWN)
        return found is not None

    failure: NodeError | None = None
    members = pool.in_order()
    for member in members:
        try:
            if await pool.on(member, "a transaction", question):
                return True
        except NodeError as exc:
            failure = exc
    if failure is not None:
        raise failure
    if not members:
        raise NoNodeLeft(f"no node of chain {pool.chain_id} can be asked now")
    return False


def is_about_node(exc: Refusal) -> bool:
    """Whether the node failed, or is asked too much, rather than refuses what it was asked."""
    said = exc.context.get("node_message", "")
    limited = classify(exc.code, said, http_status=exc.http_status, blocks=1)
    return exc.transient or isinstance(limited, RateLimited)


class _Known(msgspec.Struct):
    """A transaction that a node has; what it says of it does not matter."""


_MAYBE_KNOWN: Any = _Known | None


def _offering(raw: bytes) -> Callable[[Member], Awaitable[Sent]]:
    params = [f"0x{raw.hex()}"]
    tx_hash = f"0x{keccak(raw).hex()}"

    async def question(member: Member) -> Sent:
        try:
            answer = await member.node.call("eth_sendRawTransaction", params, str)
        except Refusal as exc:
            if is_about_node(exc):
                raise
            return verdict(exc.context.get("node_message") or exc.detail)
        if answer.lower() != tx_hash:
            raise NodeInconsistent(
                f"{member.host} took a transaction under another hash", host=member.host
            )
        return Sent("taken")

    return question

"""The questions that are put to one node, typed. Raises NodeError; checks shapes, not truth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from renown.chain.nodes import Member
from renown.chain.ranges import Halve, NarrowTo, UseRange, classify
from renown.chain.rpc import MAX_ANSWER_BYTES, Refusal
from renown.chain.verify import Header
from renown.errors import BeyondHead, NodeError, NodeInconsistent, NodeTimeout, RangeTooWide
from renown.spec.logs import RawLog

_ONE_BLOCK_BYTES = 4 * MAX_ANSWER_BYTES  # a range of one block cannot be narrowed


async def headers(member: Member, numbers: Sequence[int]) -> list[Header]:
    """The headers of `numbers`, in their order.

    Raises:
        BeyondHead: the node lacks one of them; it may lag, or sit behind a balancer.
    """
    calls = [(hex(number), False) for number in numbers]
    found = await member.node.batch(
        "eth_getBlockByNumber", calls, _MAYBE_HEADER, slim=without_transactions
    )
    missing = [
        place for place, item in enumerate(found) if isinstance(item, Refusal) and item.transient
    ]
    if missing and len(missing) < len(found):  # a batch that failed in parts: ask those again
        again = await member.node.batch(
            "eth_getBlockByNumber", [calls[place] for place in missing], _MAYBE_HEADER
        )
        for place, item in zip(missing, again, strict=True):
            found[place] = item
    result: list[Header] = []
    for number, item in zip(numbers, found, strict=True):
        if isinstance(item, NodeError):
            raise item
        if item is None:
            raise BeyondHead(f"{member.host} has no block {number}", host=member.host, block=number)
        result.append(item)
    return result


async def header_by_tag(member: Member, tags: Sequence[str]) -> list[Header | NodeError | None]:
    """The headers that the node's tags stand for; None or an error where it has none."""
    found: list[Header | NodeError | None] = await member.node.batch(
        "eth_getBlockByNumber", [(tag, False) for tag in tags], _MAYBE_HEADER
    )
    return found


async def height(member: Member) -> int:
    """The node's own head."""
    text = await member.node.call("eth_blockNumber", [], str)
    number = quantity(text)
    member.saw_head(number)
    return number


async def require_reach(member: Member, last: int) -> None:
    """The node has block `last`, or BeyondHead: ranges past a head are answered at random."""
    if (member.head is None or member.head < last) and await height(member) < last:
        raise BeyondHead(
            f"{member.host} is at block {member.head}, before {last}", host=member.host, block=last
        )


async def logs_in_range(
    member: Member, contracts: Sequence[str], first: int, last: int
) -> list[RawLog]:
    """`eth_getLogs` of one range; the node's sizer learns from it.

    Raises:
        RangeTooWide: ask again for no more than `member.sizer.blocks` blocks.
    """
    blocks = last - first + 1
    params = [{"fromBlock": hex(first), "toBlock": hex(last), "address": contracts}]
    begun = time.monotonic()
    try:
        logs = await member.node.call(
            "eth_getLogs",
            params,
            list[RawLog],
            max_bytes=_ONE_BLOCK_BYTES if blocks == 1 else None,
        )
    except Refusal as exc:
        verdict = classify(
            exc.code,
            exc.context.get("node_message", ""),
            http_status=exc.http_status,
            blocks=blocks,
        )
        if not isinstance(verdict, (UseRange, NarrowTo, Halve)):
            raise
        member.sizer.refused(first, last, verdict)
    except RangeTooWide:
        if blocks == 1:
            raise NodeInconsistent(
                f"{member.host} sends more than {_ONE_BLOCK_BYTES} bytes of logs for one block",
                block=first,
            ) from None
        member.sizer.refused(first, last, Halve())
    except NodeTimeout:
        member.sizer.timed_out(blocks)
        raise
    else:
        member.sizer.answered(
            blocks,
            seconds=time.monotonic() - begun,
            logs=len(logs),
            size_bytes=weight_bytes(logs),
        )
        return logs
    raise RangeTooWide(
        f"{member.host} wants fewer than {blocks} blocks at once", host=member.host, blocks=blocks
    )


async def logs_over(
    member: Member, contracts: Sequence[str], first: int, last: int
) -> list[RawLog]:
    """`eth_getLogs` of a range of any width, from one node, in as many parts as it wants."""
    logs: list[RawLog] = []
    while first <= last:
        end = min(last, first + member.sizer.blocks - 1)
        try:
            logs += await logs_in_range(member, contracts, first, end)
        except RangeTooWide:
            continue  # the sizer has shrunk; one block is never refused so
        first = end + 1
    return logs


async def logs_of_blocks(
    member: Member, contracts: Sequence[str], hashes: Sequence[str]
) -> list[list[RawLog] | NodeError]:
    """`eth_getLogs` by block hash, one answer a hash (EIP-234). An unknown block is an error."""
    calls = [({"blockHash": block_hash, "address": contracts},) for block_hash in hashes]
    found: list[list[RawLog] | NodeError] = await member.node.batch(
        "eth_getLogs", calls, list[RawLog]
    )
    return found


async def contract_call(member: Member, to: bytes, calldata: bytes, at_block: int) -> bytes:
    """`eth_call`. Raises CallReverted with the revert data."""
    found = (await contract_calls(member, to, [calldata], at_block))[0]
    if isinstance(found, NodeError):
        raise found
    return found


async def contract_calls(
    member: Member, to: bytes, calldatas: Sequence[bytes], at_block: int
) -> list[bytes | NodeError]:
    """Many calls of one contract at one block, in order; a failed one is its error."""
    calls = [
        ({"to": "0x" + to.hex(), "data": "0x" + data.hex()}, hex(at_block)) for data in calldatas
    ]
    found = await member.node.batch("eth_call", calls, str)
    return [item if isinstance(item, NodeError) else _call_result(item) for item in found]


def weight_bytes(logs: Sequence[RawLog]) -> int:
    """About what the logs take in memory and took on the wire."""
    return 700 * len(logs) + sum([len(log.data) for log in logs])


def quantity(text: str) -> int:
    """A JSON-RPC quantity below 2^63."""
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number < 2**63:
        raise NodeInconsistent("not a quantity", value=text[:70])
    return number


def _call_result(text: str) -> bytes:
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise NodeInconsistent("a call result that is not hex") from None


def without_transactions(body: bytes) -> bytes:
    """An answer full of headers with their lists of transaction hashes emptied.

    The lists are nine tenths of a header and nobody reads them; looking for their end costs a
    twentieth of parsing them. Whatever does not look like that is left for the parser to judge.
    """
    first, *rest = body.split(_TRANSACTIONS)
    kept = [first]
    for part in rest:
        end = part.find(b"]")
        if end < 0:
            return body
        kept.append(_TRANSACTIONS)
        kept.append(part[end:])
    return b"".join(kept)


_TRANSACTIONS = b'"transactions":['
_MAYBE_HEADER: Any = Header | None

"""What the mock node answers: an indexer's calls and a benchmark's.

An indexer asks for heads by tag, headers, logs by range or block hash, code, storage, a few calls,
in batches or alone. A benchmark steers through methods that begin with `mock_`: move the head,
follow, reorganise, count.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from typing import Any

import msgspec

from bench import forms
from bench.branches import Branches, Span
from bench.kept import Kept
from bench.wire import Wire
from bench.world import World

CHAIN_ID = 31337
SAFE_BLOCKS, FINAL_BLOCKS = 32, 64  # below the head
MAX_RANGE_BLOCKS, MAX_LOGS = 10_000, 20_000  # what paid nodes usually allow


Pieces = list[bytes | memoryview]
"""Parts of an answer, to be joined: most of its bytes are copied only once."""


class Refused(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, revert_data: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.revert_data = code, message, revert_data


class Call(msgspec.Struct, gc=False):
    method: str
    params: Any = ()
    id: msgspec.Raw = msgspec.Raw(b"null")


class Filter(msgspec.Struct, rename="camel", gc=False):
    """The argument of eth_getLogs."""

    address: str | list[str] | None = None
    from_block: str | None = None
    to_block: str | None = None
    block_hash: str | None = None
    topics: list[str | list[str] | None] = []


class MockNode:
    """The node. Every `eth_` method answers for `head` and the present branch.

    Args:
        keep: render everything now and keep it, rather than at each request.
    """

    def __init__(
        self,
        content: World,
        *,
        max_range_blocks: int = MAX_RANGE_BLOCKS,
        max_logs: int = MAX_LOGS,
        keep: bool = False,
    ) -> None:
        self.world = content
        self.wire = Wire(content)
        self.branches = Branches(content)
        self.kept = Kept(self.wire, self.branches) if keep else None
        self.head = content.last_block
        self.head_times: list[tuple[int, float]] = []  # while following: number, monotonic seconds
        self.max_range_blocks, self.max_logs = max_range_blocks, max_logs
        self._following: asyncio.Task[None] | None = None
        self._registries = {"0x" + r.hex(): place for place, r in enumerate(forms.REGISTRIES)}
        self._methods: dict[str, Callable[..., Pieces]] = {
            "eth_chainId": lambda: _json(hex(CHAIN_ID)),
            "net_version": lambda: _json(str(CHAIN_ID)),
            "web3_clientVersion": lambda: _json("mockchain/1"),
            "eth_syncing": lambda: _json(False),
            "eth_blockNumber": lambda: _json(hex(self.head)),
            "eth_getBlockByNumber": self.block_by_number,
            "eth_getBlockByHash": self.block_by_hash,
            "eth_getLogs": self.logs,
            "eth_getCode": self.code,
            "eth_getStorageAt": self.storage,
            "eth_call": self.call,
            "mock_world": lambda: _json(self.describe()),
            "mock_stats": self.stats,
            "mock_setHead": self.set_head,
            "mock_follow": self.follow,
            "mock_heads": lambda: _json(self.head_times),
            "mock_reorg": self.reorg,
            "mock_lastBlockRating": lambda agent, below: _json(
                content.last_block_rating(agent, below)
            ),
            "mock_logsUpTo": lambda number: _json(
                content.logs_up_to(self.branches.shown_up_to(number))
            ),
        }
        self._reset()

    # JSON-RPC ------------------------------------------------------------------------------

    def answer(self, body: bytes) -> bytes:
        """Answer one request or batch."""
        self.requests += 1
        try:
            asked = _CALLS.decode(body)
        except msgspec.DecodeError as exc:
            return _error(b"null", Refused(-32700, f"parse error: {exc}"))
        if isinstance(asked, Call):
            return b"".join(self._reply(asked))
        pieces: Pieces = [b"["]
        for call in asked:
            pieces += self._reply(call)
            pieces.append(b",")
        pieces[-1] = b"]" if asked else b"[]"
        return b"".join(pieces)

    def _reply(self, call: Call) -> Pieces:
        self.calls += 1
        call_id = bytes(call.id)
        method = self._methods.get(call.method)
        try:
            if method is None:
                raise Refused(-32601, f"the method {call.method} does not exist")
            result = method(*call.params)
        except Refused as exc:
            return [_error(call_id, exc)]
        except (TypeError, ValueError, msgspec.ValidationError) as exc:
            return [_error(call_id, Refused(-32602, f"invalid params: {exc}"))]
        return [b'{"jsonrpc":"2.0","id":%b,"result":' % call_id, *result, b"}"]

    def block_by_number(self, tag: str, full: bool = False) -> Pieces:
        number = self._number(tag)
        if full:
            raise Refused(-32602, "only transaction hashes are served")
        if number > self.head:
            return [b"null"]
        self.headers += 1
        branches = self.branches
        parent = branches.hash(number - 1) if number else b"0x" + b"0" * 64
        place = branches.place(number)
        bloom = None if place is None or self.kept is None else self.kept.bloom(place)
        return [self.wire.header(place, number, branches.hash(number), parent, bloom)]

    def block_by_hash(self, block_hash: str, full: bool = False) -> Pieces:
        number = self._number_of_hash(block_hash)
        return [b"null"] if number is None else self.block_by_number(hex(number), full)

    def logs(self, wish: dict[str, Any]) -> Pieces:
        asked = msgspec.convert(wish, Filter)
        if asked.block_hash is not None:
            number = self._number_of_hash(asked.block_hash)
            if number is None:
                raise Refused(-32000, "unknown block")
            first = last = number
        else:
            first, last = self._range(asked)
        addresses = [asked.address] if isinstance(asked.address, str) else asked.address
        wanted = set(self._registries.values())
        if addresses is not None:
            wanted &= {self._registries.get(address.lower(), -1) for address in addresses}
        pieces: Pieces = []
        for span in self.branches.spans(first, last):
            pieces += self._span(span, wanted)
        if not pieces:
            return [b"[]"]
        if any(asked.topics):
            return [_matching(pieces, asked.topics)]
        pieces[0] = pieces[0][1:]
        return [b"[", *pieces, b"]"]

    def _span(self, span: Span, wanted: set[int]) -> Pieces:
        world = self.world
        if self.kept is not None and span.original and len(wanted) == len(self._registries):
            logs_before = world.logs_before
            self.logs_served += logs_before[span.end_place] - logs_before[span.first_place]
            return [self.kept.logs(span.first_place, span.end_place)]
        pieces: Pieces = []
        for place in range(span.first_place, span.end_place):
            number = world.blocks[place] + span.shift
            pieces += self.wire.logs(place, number, self.branches.hash(number), wanted)
        self.logs_served += len(pieces) // 2
        return pieces

    def _range(self, asked: Filter) -> tuple[int, int]:
        first, last = self._number(asked.from_block), self._number(asked.to_block)
        if first > last:
            raise Refused(-32602, "invalid block range params")
        if last > self.head:
            raise Refused(-32602, "block range extends beyond current head block")
        if last - first + 1 > self.max_range_blocks:
            message = f"block range is too wide (maximum {self.max_range_blocks})"
            raise Refused(-32600, message)
        shown = self.branches.shown_up_to
        found = self.world.logs_up_to(shown(last)) - self.world.logs_up_to(shown(first - 1))
        if found > self.max_logs and first < last:
            raise Refused(-32005, f"query returned more than {self.max_logs} results")
        return first, last

    def code(self, address: str, tag: str = "latest") -> Pieces:
        deployed = self._number(tag) >= self.world.blocks[0]
        return _json("0x60806040" if deployed and address.lower() in self._registries else "0x")

    def storage(self, address: str, slot: str, tag: str = "latest") -> Pieces:
        """The implementation behind each proxy (ERC-1967); every other slot is zero."""
        place = self._registries.get(address.lower())
        known = place is not None and int(slot, 16) == forms.IMPLEMENTATION_SLOT
        if place is None or not known or self._number(tag) < self.world.blocks[0]:
            return _json("0x" + "0" * 64)
        return _json(f"0x{forms.IMPLEMENTATIONS[place]:064x}")

    def call(self, request: dict[str, str], tag: str = "latest") -> Pieces:
        """`ownerOf`, `getLastIndex` and `getVersion`; anything else reverts without data."""
        data = bytes.fromhex((request.get("data") or request.get("input") or "0x")[2:])
        place = self._registries.get(request["to"].lower())
        actions = self.world.actions_up_to(self.branches.shown_up_to(self._number(tag)))
        selector, words = data[:4].hex(), data[4:]
        if place == 0 and selector == forms.OWNER_OF:
            agent = int.from_bytes(words[:32])
            owner = self.world.owner(agent, actions)
            if owner is None:
                raise Refused(3, "execution reverted", f"0x7e273289{agent:064x}")
            return _json(f"0x{forms.account_address(owner):064x}")
        if place == 1 and selector == forms.GET_LAST_INDEX:
            agent, client = int.from_bytes(words[:32]), forms.account_of(words[44:64])
            return _json(f"0x{self.world.last_index(agent, client, actions):064x}")
        if place is not None and selector == forms.GET_VERSION:
            return _json("0x" + forms.words(b"2.0.0").decode())
        raise Refused(3, "execution reverted", "0x")

    def _number(self, tag: str | None) -> int:
        match tag:
            case None | "latest" | "pending":
                return self.head
            case "earliest":
                return 0
            case "safe":
                return max(0, self.head - SAFE_BLOCKS)
            case "finalized":
                return max(0, self.head - FINAL_BLOCKS)
            case _:
                return int(tag, 16)

    def _number_of_hash(self, block_hash: str) -> int | None:
        number = int(block_hash[-8:], 16)
        known = number <= self.head and self.branches.hash(number) == block_hash.encode()
        return number if known else None

    # What benchmarks steer -------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """The world's figures."""
        content = self.world
        return {
            "density": content.density,
            "seed": content.seed,
            "events": content.logs,
            "blocks_with_events": len(content.blocks),
            "last_block": content.last_block,
            **content.counts,
        }

    def stats(self, reset: bool = False) -> Pieces:
        """What was served since the last reset, and the CPU time it took."""
        figures = {
            "cpu_seconds": time.process_time() - self._cpu_before,
            "requests": self.requests,
            "calls": self.calls,
            "logs": self.logs_served,
            "headers": self.headers,
            "bytes": self.bytes_sent,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        if reset:
            self._reset()
        return _json(figures)

    def _reset(self) -> None:
        self.requests = self.calls = self.logs_served = self.headers = self.bytes_sent = 0
        self._cpu_before = time.process_time()

    def set_head(self, number: int) -> Pieces:
        """Put the head at `number`; stops following. Hashes do not change."""
        self._stop()
        self.head = number
        return _json(number)

    def follow(self, blocks_per_second: float, until: int | None = None) -> Pieces:
        """Raise the head by one block at a steady rate; `mock_heads` tells when each came."""
        self._stop()
        self.head_times = []
        self._following = asyncio.get_running_loop().create_task(
            self._grow(1 / blocks_per_second, until)
        )
        return _json(self.head)

    async def _grow(self, pause_seconds: float, until: int | None) -> None:
        next_time = time.monotonic()
        while until is None or self.head < until:
            next_time += pause_seconds
            await asyncio.sleep(max(0.0, next_time - time.monotonic()))
            self.head += 1
            self.head_times.append((self.head, time.monotonic()))

    def _stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None

    def reorg(self, depth: int, shift: int = 0) -> Pieces:
        """Give the last `depth` blocks new hashes, their events `shift` blocks later; the head
        keeps its number. Answers the first block that changed."""
        first = self.head - depth + 1
        if not 1 < first <= self.head:
            raise Refused(-32602, "no such depth")
        self.branches.reorg(first, shift=shift)
        return _json(first)


_CALLS = msgspec.json.Decoder(Call | list[Call])


def _json(value: object) -> Pieces:
    return [msgspec.json.encode(value)]


def _error(call_id: bytes, refused: Refused) -> bytes:
    error: dict[str, Any] = {"code": refused.code, "message": refused.message}
    if refused.revert_data is not None:
        error["data"] = refused.revert_data
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (call_id, msgspec.json.encode(error))


def _matching(pieces: Pieces, topics: list[str | list[str] | None]) -> bytes:
    """Of rendered logs those that match a topic filter. Slow: indexers filter by address."""
    kept = []
    for log in msgspec.json.decode(b"[" + b"".join(pieces)[1:] + b"]"):
        wished = [[t] if isinstance(t, str) else t for t in topics]
        if len(wished) <= len(log["topics"]) and all(
            not wish or topic in wish for wish, topic in zip(wished, log["topics"], strict=False)
        ):
            kept.append(log)
    return msgspec.json.encode(kept)

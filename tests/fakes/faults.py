"""How nodes fail: one value per way, and the refusals that real providers send.

A fault is given to a `FakeNode` with `node.fail(...)`: for a number of requests, or for ever,
for one method or for all. `Chaos` rolls dice instead.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class Fault(enum.Enum):
    """One way to fail."""

    # the transport
    TIMEOUT = "never answers"
    RESET = "drops the connection"
    RATE_LIMITED = "429 without Retry-After"
    RATE_LIMITED_WITH_TIME = "429 with Retry-After: 0"
    HTML = "502 with a page of HTML"
    UNAVAILABLE = "503 without a body"
    # the message
    CUT = "JSON that ends too early"
    WRONG_ID = "the answer to another request"
    PARTIAL_BATCH = "errors for some calls of a batch"
    MISSING_IN_BATCH = "no answer for one call of a batch"
    NULL = "null as result"
    INTERNAL = "-32603 internal error"
    PRUNED = "missing trie node"
    # lies about logs
    EMPTY = "no logs though there are some"
    DROPPED = "one log left out"
    DUPLICATED = "one log twice"
    FORGED = "one log made up"
    UNSORTED = "logs in reverse order"
    WRONG_BLOCK_HASH = "a log of another block"
    WRONG_ADDRESS = "a log of another contract"
    REMOVED = "a log marked as removed"


TRANSIENT = (
    Fault.RESET,
    Fault.RATE_LIMITED_WITH_TIME,
    Fault.HTML,
    Fault.UNAVAILABLE,
    Fault.CUT,
    Fault.WRONG_ID,
    Fault.PARTIAL_BATCH,
    Fault.MISSING_IN_BATCH,
    Fault.NULL,
    Fault.INTERNAL,
)
"""Failures that are over with the next request."""

LIES = (
    Fault.EMPTY,
    Fault.DROPPED,
    Fault.DUPLICATED,
    Fault.FORGED,
    Fault.UNSORTED,
    Fault.WRONG_BLOCK_HASH,
    Fault.WRONG_ADDRESS,
    Fault.REMOVED,
)
"""False answers to `eth_getLogs`."""


@dataclass
class Planned:
    """A fault that waits for its request."""

    fault: Fault
    method: str | None = None
    times: int | None = 1  # None: for ever

    def fires(self, method: str) -> bool:
        """Whether it hits this request; uses itself up."""
        if self.times == 0 or (self.method is not None and self.method != method):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Chaos:
    """Seeded faults: each request fails with probability `rate`, in one of `kinds`."""

    seed: int
    rate: float
    kinds: Sequence[Fault] = TRANSIENT
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def roll(self) -> Fault | None:
        """The fault of the next request, or None."""
        return self._dice.choice(self.kinds) if self._dice.random() < self.rate else None


@dataclass(frozen=True)
class RangeLimit:
    """How a provider refuses a range wider than `blocks`.

    `answer` makes the error's (code, message) from (first, last); `legal` is how many blocks a
    client that understands the message asks for at most, or None where it can only halve.
    """

    provider: str
    blocks: int
    answer: Callable[[int, int], tuple[int, str]]
    legal: int | None
    http_status: int = 200

    def refuses(self, first: int, last: int) -> bool:
        """Whether the range is too wide."""
        return last - first + 1 > self.blocks


def _says(
    provider: str,
    limit: int,
    code: int,
    message: str,
    *,
    legal: int | None = None,
    status: int = 200,
) -> RangeLimit:
    """A limit whose message is `message` with `N` replaced by the limit."""
    text = message.replace("{N}", str(limit)).replace("{N,}", f"{limit:,}")
    return RangeLimit(provider, limit, lambda _first, _last: (code, text), legal, status)


def _proposes(provider: str, limit: int, code: int, message: str) -> RangeLimit:
    """A limit whose message proposes a range."""

    def answer(first: int, _last: int) -> tuple[int, str]:
        return code, message.format(first=hex(first), last=hex(first + limit - 1))

    return RangeLimit(provider, limit, answer, limit)


PROVIDERS: tuple[RangeLimit, ...] = (
    _proposes(
        "Alchemy",
        700,
        -32602,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range "
        "and no limit on the response size, or you can request any block range with a cap of 10K "
        "logs in the response. Based on your parameters and the response size limit, this block "
        "range should work: [{first}, {last}]",
    ),
    _proposes(
        "Infura",
        650,
        -32005,
        "query returned more than 10000 results. Try with this block range [{first}, {last}].",
    ),
    _proposes(
        "zkSync",
        640,
        -32600,
        "Query returned more than 10000 results. Try with this block range [{first}, {last}].",
    ),
    _says("QuickNode", 10_000, -32614, "eth_getLogs is limited to a {N,} range", legal=10_000),
    _says("1RPC", 5_000, -32001, "eth_getLogs is limited to a {N} blocks range", legal=5_000),
    _says("1RPC by size", 300, -32001, "response size should not greater than 10000000 bytes"),
    _says("Blast", 3_000, -32000, "eth_getLogs is limited to a {N} range", legal=3_000),
    _says("BlockPI", 1_024, -32602, "eth_getLogs is limited to {N} block range", legal=1_024),
    _says("Ankr", 3_000, -32600, "block range is too wide", legal=3_000),
    _says("TAC", 100, -32000, "maximum [from, to] blocks distance: {N}", legal=100),
    _says(
        "Cloudflare",
        800,
        -32047,
        "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: {N}",
        legal=799,
    ),
    _says(
        "thirdweb", 1_000, -32602, "Maximum allowed number of requested blocks is {N}", legal=1_000
    ),
    _says(
        "Chainstack",
        10_000,
        -32602,
        "Block range limit exceeded. See more details at the documentation",
        legal=10_000,
    ),
    _says("Chainstack free", 100, -32602, "Block range limit exceeded.", legal=100),
    _says("Coinbase", 1_000, -32602, "please limit the query to at most {N} blocks", legal=999),
    _says("Base", 900, -32614, "block range too large"),
    _says(
        "Base, unhealthy",
        512,
        -32011,
        "no backend is currently healthy to serve traffic",
        status=503,
    ),
    _says("PublicNode", 50_000, -32701, "exceed maximum block range: {N}", legal=50_000),
    _says(
        "Blast, paid",
        5_000,
        -32000,
        "The request exceeds the range allowed for your plan (90000 > {N})",
        legal=5_000,
    ),
    _says("dRPC", 10_000, 35, "ranges over {N} blocks are not supported on freetier"),
    _says(
        "Avalanche",
        2_048,
        -32000,
        "requested too many blocks from 1 to 90000, maximum is set to {N}",
        legal=2_047,
    ),
    _says("Moonriver", 1_024, -32603, "block range is too wide (maximum {N})", legal=1_024),
    _says(
        "Aurora",
        2_000,
        -32005,
        "You can make eth_getLogs requests with up to a {N} block range.",
        legal=2_000,
    ),
    _says("Harmony", 1_024, -32000, "query must be smaller than size {N}", legal=1_024),
    _says("Tron", 5_000, -32600, "exceed max block range: {N}", legal=4_999),
    _says("Hyperliquid", 50, -32603, "query exceeds max block range {N}", legal=50),
    _says(
        "Swell", 100_000 // 128, -32000, "block range greater than {N} max", legal=100_000 // 128
    ),
    _says("Somnia", 1_000, -32000, "block range exceeds {N}", legal=1_000),
    _says(
        "Merkle 10k",
        10_000,
        -32000,
        "eth_getLogs range is too large, max is 10k blocks",
        legal=10_000,
    ),
    _says(
        "Merkle 1k", 1_000, -32000, "eth_getLogs range is too large, max is 1k blocks", legal=1_000
    ),
    _says("Optimism", 900, -32000, "Block range is too large"),
    _says("Optimism by size", 900, -32010, "backend response too large"),
    _says("Arbitrum", 777, -32000, "logs matched by query exceeds limit of 10000"),
    _says("Polygon zkEVM", 777, -32000, "query returned more than 10000 results"),
    _says("llamarpc", 777, -32000, "query exceeds max results 20000"),
    _says("Monad", 100, -32614, "block range too large"),
    _says("eRPC", 400, -32012, "range exceeded max allowed"),
    _says("eRPC threshold", 400, -32012, "range threshold exceeded"),
    _says("Valtitude", 400, -32012, "allowed block range threshold exceeded"),
)
"""Every fingerprint of the wild that we know, with a limit it might have."""

"""How many blocks to ask for at once, learnt from what nodes answer. Pure.

`classify` reads a node's refusal of `eth_getLogs`; `RangeSizer` turns refusals, answer times and
answer sizes into the next range's width. Widths are counts of blocks, both ends included: where
a provider means `to - from` by its number, a count of the same number is legal as well.

Source of the messages: Ponder's getLogsRetryHelper and graph-node; execution-apis PR 875.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

INVALID_PARAMS = -32602
LIMIT_EXCEEDED = -32005
PRUNED_HISTORY = 4444
METHOD_MISSING = -32601
MAX_RANGE_BLOCKS = 100_000


@dataclass(frozen=True, slots=True)
class UseRange:
    """The node proposes the range `first..last`; good for this data only."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class NarrowTo:
    """The node never takes more than `blocks` blocks."""

    blocks: int


@dataclass(frozen=True, slots=True)
class Halve:
    """Too much, no number given."""


@dataclass(frozen=True, slots=True)
class BeyondHead:
    """The node does not have these blocks yet, or not this fork of them. Never split."""


@dataclass(frozen=True, slots=True)
class NotASizeError:
    """The request is wrong in itself; a narrower one would be as wrong. Never split."""


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Too many requests; wait, then ask the same again."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The node threw this part of the past away; another node may have it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing we know. Bounded retries, then an alarm."""


Verdict = UseRange | NarrowTo | Halve | BeyondHead | NotASizeError | RateLimited | Pruned | Unknown


def classify(code: int | None, message: str, *, http_status: int = 200, blocks: int) -> Verdict:
    """What a refusal of a range of `blocks` blocks asks of us.

    Args:
        code: the JSON-RPC error code; None where the node answered without one.
        message: the error's text, as sent.
        http_status: of the answer that carried it.
        blocks: width of the refused range; a limit that it already keeps becomes `Halve`.

    A width of one block is never answered with `UseRange`, `NarrowTo` or `Halve`: `Unknown`.
    """
    text = " ".join(message.lower().split())[:2_000]
    if any(part in text for part in _BEYOND_HEAD):
        return BeyondHead()
    if "invalid block range" in text:
        return NotASizeError()
    if code == PRUNED_HISTORY or any(part in text for part in _PRUNED):
        return Pruned()
    if _PER_TIME.search(text):
        return RateLimited()
    if (verdict := _size(text, blocks)) is not None:
        return verdict if blocks > 1 else Unknown()
    if http_status == 429 or code == 429 or _RATE.search(text):
        return RateLimited()
    if http_status == 413 and blocks > 1:
        return Halve()
    if code == LIMIT_EXCEEDED:
        return RateLimited()
    if code in (INVALID_PARAMS, METHOD_MISSING):
        return NotASizeError()
    return Unknown()


class RangeSizer:
    """The width of the next range for one node.

    Grows after fast, small answers; shrinks after refusals, after slow answers and after large
    ones; never exceeds a limit the node has named. A width that was refused without a limit is
    a ceiling that is tried again only after `PATIENCE` good answers below it.
    Always between 1 and `limit_blocks`.
    """

    SLOW_SECONDS, FAST_SECONDS = 5.0, 1.5
    TARGET_LOGS, TARGET_BYTES = 4_000, 4 * 1024 * 1024
    PATIENCE = 32

    def __init__(self, *, start_blocks: int = 1_000, max_blocks: int = MAX_RANGE_BLOCKS) -> None:
        self.limit_blocks = max_blocks
        self._blocks = max(1, min(start_blocks, max_blocks))
        self._ceiling = max_blocks
        self._good_answers = 0

    @property
    def blocks(self) -> int:
        """Width to ask for next."""
        return self._blocks

    def answered(self, blocks: int, *, seconds: float, logs: int, size_bytes: int) -> None:
        """A range of `blocks` blocks was served."""
        load = max(
            logs / self.TARGET_LOGS, size_bytes / self.TARGET_BYTES, seconds / self.SLOW_SECONDS
        )
        if load > 1:
            self._shrink_to(int(blocks / min(load, 4.0)))
            return
        self._good_answers += 1
        if self._good_answers >= self.PATIENCE and self._ceiling < self.limit_blocks:
            self._good_answers = 0
            self._ceiling = min(self.limit_blocks, self._ceiling + self._ceiling // 4 + 1)
        if blocks >= self._blocks and load < 0.5 and seconds <= self.FAST_SECONDS:
            self._blocks = max(self._blocks, min(self._blocks * 2, self._reachable()))

    def timed_out(self, blocks: int) -> None:
        """A range of `blocks` blocks was not served in time."""
        self._refuse_from(blocks)
        self._shrink_to(blocks // 4)

    def refused(self, first: int, last: int, verdict: Verdict) -> None:
        """The range `first..last` was refused; only size verdicts change anything."""
        blocks = last - first + 1
        match verdict:
            case UseRange(first=start, last=end):
                self._refuse_from(end - start + 2)
                self._shrink_to(end - start + 1)
            case NarrowTo(blocks=limit):
                self.limit_blocks = max(1, min(self.limit_blocks, limit))
                self._shrink_to(limit)
            case Halve():
                self._refuse_from(blocks)
                self._shrink_to(blocks // 2)
            case _:
                pass

    def _reachable(self) -> int:
        """How wide growth may go: not close to what was refused, or it would be refused again."""
        if self._ceiling >= self.limit_blocks:
            return self.limit_blocks
        return max(1, self._ceiling * 3 // 4)

    def _refuse_from(self, blocks: int) -> None:
        self._ceiling = max(1, min(self._ceiling, blocks - 1))
        self._good_answers = 0

    def _shrink_to(self, blocks: int) -> None:
        self._blocks = max(1, min(self._blocks, blocks, self.limit_blocks))


_N = r"([0-9][0-9,_]*k?)\b"
_HEX_PAIR = re.compile(
    r"block range(?: should work)?:? ?\[ ?(0x[0-9a-f]{1,16}), ?(0x[0-9a-f]{1,16})"
)


def _exact(pattern: str, *, less: int = 0) -> Callable[[str], int | None]:
    compiled = re.compile(pattern.replace("<N>", _N))

    def read(text: str) -> int | None:
        match = compiled.search(text)
        return None if match is None else max(1, _number(match[1]) - less)

    return read


def _number(digits: str) -> int:
    plain = digits.replace(",", "").replace("_", "")
    scale = 1_000 if plain.endswith("k") else 1
    return int(plain.rstrip("k")[:12]) * scale


# Messages that name the limit. Order matters where one text contains another's words.
_NAMED: tuple[Callable[[str], int | None], ...] = (
    _exact(r"max range: <N>", less=1),  # Cloudflare
    _exact(r"limit the query to at most <N>", less=1),  # Coinbase, Base
    _exact(r"requested too many blocks from .{1,40}, maximum is set to <N>", less=1),  # Avalanche
    _exact(r"exceed max block range: <N>", less=1),  # Tron
    _exact(r"maximum \[from, ?to\] blocks distance: <N>"),  # TAC
    _exact(r"maximum allowed number of requested blocks is <N>"),  # thirdweb
    _exact(r"maximum block range: <N>"),  # PublicNode
    _exact(r"exceeds the range allowed for your plan \([0-9,_]+ > <N>\)"),  # Blast, paid
    _exact(r"block range is too wide \(maximum <N>\)"),  # Moonriver
    _exact(r"up to an? <N> block range"),  # Aurora, Alchemy
    _exact(r"query must be smaller than size <N>"),  # Harmony
    _exact(r"query exceeds max block range <N>"),  # Hyperliquid
    _exact(r"block range greater than <N> max"),  # Swell
    _exact(r"block range exceeds <N>"),  # Somnia
    _exact(r"range is too large, max is <N> blocks"),  # Merkle
    _exact(r"limited to an? <N>"),  # QuickNode, 1RPC, Blast
    _exact(r"limited to <N> blocks?"),  # BlockPI
)

# Messages whose limit we know though they do not say it: tried in this order.
_SILENT: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("block range limit exceeded", (10_000, 100)),  # Chainstack, and its free plan
    ("block range is too wide", (3_000,)),  # Ankr
)

_HALVE = (
    "response size should not greater than",  # 1RPC
    "block range too large",  # Base, Monad
    "block range is too large",  # Optimism
    "no backend is currently healthy to serve traffic",  # Base
    "backend response too large",  # Optimism
    "blocks are not supported on free",  # dRPC
    "logs matched by query exceeds limit",  # Arbitrum
    "query returned more than",  # zkEVM, Infura
    "query exceeds max results",  # llamarpc, Ankr
    "exceeded max allowed",  # eRPC
    "range threshold exceeded",  # eRPC, Valtitude
    "response size exceeded",
    "response is too big",
    "response too large",
    "request entity too large",
    "too many results",
    "query timeout exceeded",
    "query timed out",
    "execution timeout",
    "context deadline exceeded",
)

_BEYOND_HEAD = (
    "beyond current head",
    "unknown block",
    "header not found",
    "block not found",
    "cannot be found",
    "one of the blocks specified",
)

_PRUNED = (
    "missing trie node",
    "pruned",
    "state is not available",
    "state not available",
    "historical state",
    "no state available",
    "archive node",
    "history is not available",
    "ancient block",
)

_PER_TIME = re.compile(
    r"(?:requests?|calls?|units?|credits?) ?(?:per|/) ?(?:second|minute|hour|day|s\b)"
)

_RATE = re.compile(
    r"rate.?limit|too many requests|compute units per second|exceeded its throughput"
    r"|request limit|requests? count exceeded|request rate|quota|capacity exceeded"
    r"|limit exceeded|throttl"
)


def _size(text: str, blocks: int) -> Verdict | None:
    if match := _HEX_PAIR.search(text):
        first, last = int(match[1], 16), int(match[2], 16)
        return UseRange(first, last) if 0 < last - first + 1 < blocks else Halve()
    for read in _NAMED:
        if (limit := read(text)) is not None:
            return NarrowTo(limit) if limit < blocks else Halve()
    for part, limits in _SILENT:
        if part in text:
            return next((NarrowTo(limit) for limit in limits if limit < blocks), Halve())
    return Halve() if any(part in text for part in _HALVE) else None

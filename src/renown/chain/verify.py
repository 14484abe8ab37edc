"""Is what a node says about logs true? Pure checks; a failed one raises NodeInconsistent.

Compared as hex text: the node's own spelling is what is stored, and converting costs more than
checking. A header proves little by itself, but everything a node says must fit together, and
fit what other nodes say.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from eth_hash.auto import keccak

from renown.errors import NodeInconsistent
from renown.spec.logs import RawLog
from renown.types import BlockRef

MAX_NUMBER = 2**63 - 1
ZERO_BLOOM = "0x" + "0" * 512
_BLOOM_BITS = 2048
_CACHED_BLOOMS = 65_536


class Header(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The fields of a block header that are checked; hex text as sent."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    logs_bloom: str = ""


class LogCheck:
    """Checks the logs of one chain's contracts.

    Args:
        contracts: 20-byte addresses that were asked for.
    """

    def __init__(self, contracts: Iterable[bytes]) -> None:
        self.addresses = frozenset("0x" + contract.hex() for contract in contracts)
        self.blooms = BloomBits()

    def by_block(self, logs: Sequence[RawLog], first: int, last: int) -> dict[int, slice]:
        """Where each block's logs stand in `logs`; ascending, within `first..last`.

        Raises:
            NodeInconsistent: a log of another contract or range, removed, out of order, twice,
                with another hash than its block's other logs, or without topics' shape.
        """
        self._asked_for(logs)
        slices: dict[int, slice] = {}
        begin, number, previous_index = 0, -1, -1
        block_text = block_hash = ""
        for place, log in enumerate(logs):
            if log.block_number != block_text:
                if number >= 0:
                    slices[number] = slice(begin, place)
                following = _number(log.block_number)
                if following <= number:
                    raise NodeInconsistent("logs out of order", block=following)
                if not first <= following <= last:
                    raise NodeInconsistent("a log outside the range", block=following)
                begin, number, previous_index = place, following, -1
                block_text, block_hash = log.block_number, log.block_hash
            elif log.block_hash != block_hash:
                raise NodeInconsistent("two hashes for one block", block=number)
            try:
                index = int(log.log_index, 16)
            except ValueError:
                index = -1
            if not previous_index < index <= MAX_NUMBER:
                raise NodeInconsistent("logs out of order or twice", block=number, log_index=index)
            previous_index = index
        if number >= 0:
            slices[number] = slice(begin, len(logs))
        return slices

    def _asked_for(self, logs: Sequence[RawLog]) -> None:
        addresses = self.addresses
        for log in logs:
            if log.address not in addresses and log.address.lower() not in addresses:
                raise NodeInconsistent("a log of another contract", contract=log.address[:42])
            if log.removed:
                raise NodeInconsistent("a removed log", block=log.block_number[:18])
            if len(log.topics) > 4:
                raise NodeInconsistent(
                    "a log with more than four topics", block=log.block_number[:18]
                )

    def against_header(
        self, logs: Sequence[RawLog], header: Header, *, every_topic: bool, blooms: bool
    ) -> None:
        """The logs of one block belong to `header`, and its bloom knows them.

        With `every_topic` all topics are looked for, otherwise the address and the event only:
        a topic costs a hash, an address and an event are remembered.

        Raises:
            NodeInconsistent: another block hash, or the bloom rules a log out.
        """
        self.of_block(logs, header)
        if not blooms or not has_bloom(header):
            return
        bloom = _bloom_number(header.logs_bloom)
        kinds: set[tuple[str, str]] = set()
        for log in logs:
            kind = (log.address, log.topics[0] if log.topics else "")
            if not every_topic:
                if kind in kinds:
                    continue
                kinds.add(kind)
            if not self.fits_bloom(log, bloom, every_topic=every_topic):
                raise NodeInconsistent(
                    "a log that its block's bloom rules out",
                    block=header.number,
                    log_index=log.log_index[:20],
                )

    @staticmethod
    def of_block(logs: Sequence[RawLog], header: Header) -> None:
        """The logs carry the header's hash, or NodeInconsistent."""
        for log in logs:
            if log.block_hash != header.hash and log.block_hash.lower() != header.hash.lower():
                raise NodeInconsistent(
                    "a log of another block than the header's",
                    block=header.number,
                    log_block_hash=log.block_hash[:66],
                    header_hash=header.hash[:66],
                )

    def fits_bloom(self, log: RawLog, bloom: int, *, every_topic: bool) -> bool:
        """Whether `bloom` allows the log."""
        bits = self.blooms.of(log.address)
        topics = log.topics if every_topic else log.topics[:1]
        for topic in topics:
            bits |= self.blooms.of(topic)
        return bloom & bits == bits

    def may_have_logs(self, header: Header) -> bool:
        """Whether the header's bloom allows a log of any of the contracts."""
        bloom = _bloom_number(header.logs_bloom)
        return any(
            bloom & bits == bits for bits in (self.blooms.of(item) for item in self.addresses)
        )

    def missing_is_proved(self, logs: Iterable[RawLog], header: Header) -> bool:
        """Whether every one of `logs`, absent from another answer, fits the bloom in full.

        Two nodes that agree on the header but not on the logs: a log that the bloom knows in all
        its topics was left out by the one, a log that it does not know was made up by the other.
        """
        bloom = _bloom_number(header.logs_bloom)
        return all(
            self.fits_bloom(log, bloom, every_topic=True)
            and log.block_hash.lower() == header.hash.lower()
            for log in logs
        )


class BloomBits:
    """The three bloom bits of hex values, remembered (Yellow Paper, 4.3.1: M3:2048)."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}

    def of(self, value: str) -> int:
        """Bits of an address or topic given as hex text.

        Raises:
            NodeInconsistent: not hex.
        """
        bits = self._bits.get(value)
        if bits is None:
            if len(self._bits) >= _CACHED_BLOOMS:
                self._bits.clear()
            bits = self._bits[value] = bloom_bits(_bytes(value))
        return bits


def bloom_bits(value: bytes) -> int:
    """The three bits that `value` sets in a 2048-bit bloom."""
    digest = keccak(value)
    bits = 0
    for place in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[place : place + 2]) % _BLOOM_BITS)
    return bits


def has_bloom(header: Header) -> bool:
    """Whether the bloom can tell anything: a zero bloom of zkSync-like chains cannot."""
    return len(header.logs_bloom) == 514 and header.logs_bloom != ZERO_BLOOM


def block_ref(header: Header, number: int | None = None) -> BlockRef:
    """A header as a BlockRef.

    Raises:
        NodeInconsistent: not the block `number`, or fields that are no hashes and no numbers.
    """
    found = _number(header.number)
    if number is not None and found != number:
        raise NodeInconsistent("a header of another block", asked=number, block=found)
    block_hash, parent = _bytes(header.hash), _bytes(header.parent_hash)
    if len(block_hash) != 32 or len(parent) != 32:
        raise NodeInconsistent("a header whose hashes are not 32 bytes", block=found)
    return BlockRef(found, block_hash, parent, _number(header.timestamp))


def linked(blocks: Sequence[BlockRef]) -> None:
    """Each block is the parent of the next.

    Raises:
        NodeInconsistent: a break in the chain; the node may have switched forks in between.
    """
    for parent, child in itertools.pairwise(blocks):
        if child.number != parent.number + 1 or child.parent_hash != parent.hash:
            raise NodeInconsistent("headers that do not follow each other", block=child.number)


def same_logs(some: Sequence[RawLog], others: Sequence[RawLog]) -> bool:
    """Whether two nodes' logs of one block are the same, whatever the letters' case."""
    return some == others or [_folded(log) for log in some] == [_folded(log) for log in others]


def without(some: Sequence[RawLog], others: Sequence[RawLog]) -> list[RawLog]:
    """The logs of `some` that `others` lacks."""
    known = {_folded(log) for log in others}
    return [log for log in some if _folded(log) not in known]


def log_counts(
    logs: Sequence[RawLog], blocks: Mapping[int, slice], contracts: Collection[bytes]
) -> tuple[dict[int, int], dict[bytes, int]]:
    """Logs per block, and per contract."""
    by_contract = dict.fromkeys(contracts, 0)
    for log in logs:
        by_contract[_bytes(log.address)] += 1
    return {number: part.stop - part.start for number, part in blocks.items()}, by_contract


def _folded(log: RawLog) -> tuple[str, ...]:
    return (
        log.address.lower(),
        log.data.lower(),
        log.block_hash.lower(),
        log.transaction_hash.lower(),
        f"{_number(log.log_index)}",
        *(topic.lower() for topic in log.topics),
    )


def _bloom_number(text: str) -> int:
    try:
        return int(text, 16) if text else 0
    except ValueError:
        raise NodeInconsistent("a bloom that is not hex") from None


def _number(text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number <= MAX_NUMBER:
        raise NodeInconsistent("not a block quantity", value=text[:70])
    return number


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise NodeInconsistent("not hex", value=text[:70]) from None

"""A model chain: deterministic blocks, real blooms, reorgs on demand. No I/O, no clock.

    chain = FakeChain(seed=1)
    chain.append([fake_log(REGISTRY, [TOPIC], "0x")])   # block 1; block 0 is the genesis
    chain.extend(10)                                    # ten empty blocks
    orphans = chain.reorg(3, [[...], [], [], []])       # drops 3 blocks, adds 4 of another branch
    chain.adopt(orphans)                                # back to the first branch

The same seed and the same calls give the same hashes. `FakeNode` serves a chain over JSON-RPC.
"""

from __future__ import annotations

import bisect
import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from eth_hash.auto import keccak

ZERO_TOPIC = "0x" + "00" * 32
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
FIRST_TIME_SECONDS = 1_750_000_000

LogFields = Mapping[str, Any]


def fake_log(
    address: bytes | str, topics: Sequence[bytes | str], data: bytes | str = "0x", **more: Any
) -> dict[str, Any]:
    """The fields of a log that its contract decides: address, topics, data.

    `transaction` groups logs: those of one block with the same value share a transaction hash.
    """
    return {
        "address": _hex(address),
        "topics": [_hex(topic) for topic in topics],
        "data": _hex(data),
        **more,
    }


class FakeBlock:
    """One block as a node shows it; `header` and `logs` are ready JSON."""

    __slots__ = ("header", "header_json", "logs", "logs_json", "mints", "number")

    def __init__(self, number: int, header: dict[str, Any], logs: list[dict[str, Any]]) -> None:
        self.number = number
        self.header = header
        self.logs = logs
        self.header_json = msgspec.Raw(msgspec.json.encode(header))
        self.logs_json = [msgspec.Raw(msgspec.json.encode(log)) for log in logs]
        self.mints: dict[str, int] = {}  # by contract, up to and with this block

    @property
    def hash(self) -> str:
        """`0x` and 64 hex digits."""
        return str(self.header["hash"])

    def __repr__(self) -> str:
        return f"FakeBlock({self.number}, {self.hash[:10]}, {len(self.logs)} logs)"


class FakeChain:
    """The chain everybody would agree on, were all nodes honest and quick.

    Args:
        seed: of every hash and of the bloom noise.
        transactions: hashes listed in each header; 100 make a header of 7 KB.
        blooms: False for a zkSync-like chain, whose blooms are always zero.
        bloom_noise: how many foreign values each bloom carries; makes false positives.
        finality_lag: blocks behind the head that `finalized` keeps by itself; None: only moved
            by `finalize`.
        first: number of the first block, to model a chain whose past is not needed.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        chain_id: int = 31337,
        transactions: int = 0,
        blooms: bool = True,
        bloom_noise: int = 0,
        block_seconds: float = 2.0,
        finality_lag: int | None = 8,
        first: int = 0,
    ) -> None:
        self.chain_id = chain_id
        self.code_since: dict[str, int] = {}
        self.finalized = first
        self.safe = first
        self._seed = seed
        self._transactions = transactions
        self._blooms = blooms
        self._noise = random.Random(seed)
        self._bloom_noise = bloom_noise
        self._block_seconds = block_seconds
        self._finality_lag = finality_lag
        self._first = first
        self._branch = 0
        self._blocks: list[FakeBlock] = []
        self._busy: list[int] = []  # numbers of blocks with logs, ascending
        self._by_hash: dict[str, FakeBlock] = {}
        self._bits: dict[str, int] = {}
        self.append()

    # What is so ----------------------------------------------------------------------------

    @property
    def head(self) -> FakeBlock:
        """The newest block."""
        return self._blocks[-1]

    def block(self, number: int) -> FakeBlock | None:
        """The canonical block at a height."""
        place = number - self._first
        return self._blocks[place] if 0 <= place < len(self._blocks) else None

    def block_by_hash(self, block_hash: str) -> FakeBlock | None:
        """A canonical block; orphans are forgotten, as `eth_getLogs` by hash forgets them."""
        return self._by_hash.get(block_hash.lower())

    def busy_blocks(self, first: int, last: int) -> list[FakeBlock]:
        """The blocks of `first..last` that have logs."""
        begin, end = bisect.bisect_left(self._busy, first), bisect.bisect_right(self._busy, last)
        return [self._blocks[number - self._first] for number in self._busy[begin:end]]

    def logs(self, first: int, last: int) -> list[dict[str, Any]]:
        """The truth: every canonical log of `first..last`, in order."""
        return [log for block in self.busy_blocks(first, last) for log in block.logs]

    def has_code(self, address: str, number: int) -> bool:
        """Whether the contract exists at a block; set with `deploy`."""
        since = self.code_since.get(address.lower())
        return since is not None and since <= number

    def agents(self, contract: str, number: int) -> int:
        """How many tokens the contract has minted up to a block: ERC-721 transfers from zero."""
        block = self.block(number)
        return 0 if block is None else block.mints.get(contract.lower(), 0)

    # What happens --------------------------------------------------------------------------

    def deploy(self, address: bytes | str, at_block: int = 0) -> None:
        """The contract has code from a block on."""
        self.code_since[_hex(address)] = at_block

    def append(self, logs: Iterable[LogFields] = ()) -> FakeBlock:
        """One more block with these logs, in order."""
        number = self._first + len(self._blocks)
        parent = self._blocks[-1].hash if self._blocks else "0x" + "00" * 32
        block_hash = _sha(self._seed, self._branch, number, parent)
        entries = [
            {
                "address": fields["address"],
                "topics": list(fields["topics"]),
                "data": fields["data"],
                "blockNumber": hex(number),
                "blockHash": block_hash,
                "transactionHash": _sha(block_hash, fields.get("transaction", index)),
                "transactionIndex": "0x0",
                "logIndex": hex(fields.get("log_index", index)),
                "removed": False,
            }
            for index, fields in enumerate(logs)
        ]
        header = {
            "number": hex(number),
            "hash": block_hash,
            "parentHash": parent,
            "timestamp": hex(FIRST_TIME_SECONDS + int(number * self._block_seconds)),
            "logsBloom": self._bloom(entries),
            "stateRoot": _sha("state", block_hash),
            "transactions": [_sha(block_hash, "tx", i) for i in range(self._transactions)],
            "uncles": [],
        }
        return self._push(FakeBlock(number, header, entries))

    def extend(self, blocks: int) -> None:
        """Empty blocks."""
        for _ in range(blocks):
            self.append()

    def reorg(self, depth: int, blocks: Sequence[Iterable[LogFields]]) -> list[FakeBlock]:
        """Drop the newest `depth` blocks and append `blocks` on another branch.

        Returns:
            The orphans, oldest first; `adopt` brings them back.
        """
        if not 0 < depth < len(self._blocks):
            raise ValueError(f"cannot drop {depth} of {len(self._blocks)} blocks")
        orphans = self._truncate(len(self._blocks) - depth)
        self._branch += 1
        for logs in blocks:
            self.append(logs)
        return orphans

    def adopt(self, blocks: Sequence[FakeBlock]) -> list[FakeBlock]:
        """Make an orphaned branch canonical again. Returns what it replaces."""
        place = blocks[0].number - self._first
        if self._blocks[place - 1].hash != blocks[0].header["parentHash"]:
            raise ValueError("the branch does not hang from this chain")
        orphans = self._truncate(place)
        for block in blocks:
            self._push(block)
        return orphans

    def finalize(self, number: int) -> None:
        """Move the finality tags up to `number`."""
        self.finalized = max(self.finalized, number)
        self.safe = max(self.safe, number)

    # Inside --------------------------------------------------------------------------------

    def _push(self, block: FakeBlock) -> FakeBlock:
        mints = dict(self._blocks[-1].mints) if self._blocks and block.logs else None
        for log in block.logs:
            topics = log["topics"]
            if len(topics) == 4 and topics[0] == TRANSFER and topics[1] == ZERO_TOPIC:
                assert mints is not None
                mints[log["address"]] = mints.get(log["address"], 0) + 1
        if mints is not None:
            block.mints = mints
        elif self._blocks:
            block.mints = self._blocks[-1].mints
        self._blocks.append(block)
        self._by_hash[block.hash] = block
        if block.logs:
            self._busy.append(block.number)
        if self._finality_lag is not None:
            self.finalize(block.number - self._finality_lag)
        return block

    def _truncate(self, length: int) -> list[FakeBlock]:
        orphans = self._blocks[length:]
        del self._blocks[length:]
        for block in orphans:
            self._by_hash.pop(block.hash, None)
        while self._busy and self._busy[-1] >= self._first + length:
            self._busy.pop()
        return orphans

    def _bloom(self, logs: Sequence[LogFields]) -> str:
        bits = 0
        if self._blooms:
            for log in logs:
                for value in (log["address"], *log["topics"]):
                    bits |= self._value_bits(value)
            for _ in range(self._bloom_noise):
                bits |= self._value_bits(self._noise.randbytes(20).hex(), keep=False)
        return f"0x{bits:0512x}"

    def _value_bits(self, value: str, *, keep: bool = True) -> int:
        bits = self._bits.get(value)
        if bits is None:
            digest = keccak(bytes.fromhex(value.removeprefix("0x")))
            pairs = [int.from_bytes(digest[i : i + 2]) & 2047 for i in (0, 2, 4)]
            bits = 1 << pairs[0] | 1 << pairs[1] | 1 << pairs[2]
            if keep and len(self._bits) < 100_000:
                self._bits[value] = bits
        return bits


def _sha(*parts: object) -> str:
    return "0x" + hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def _hex(value: bytes | str) -> str:
    return value.lower() if isinstance(value, str) else "0x" + value.hex()

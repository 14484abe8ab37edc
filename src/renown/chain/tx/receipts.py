"""Receipts and blocks as nodes write them, read with care: shapes and sizes, not truth."""

from __future__ import annotations

import msgspec

from renown.errors import NodeInconsistent
from renown.spec.transactions import Log, Receipt

MAX_QUANTITY = 2**63 - 1


class JsonBlock(msgspec.Struct, gc=False):
    """What we read of a block's header."""

    number: str
    hash: str
    timestamp: str


class JsonPendingBlock(msgspec.Struct, gc=False):
    """What we read of a block that is still being made: it has no hash."""

    timestamp: str


class JsonLog(msgspec.Struct, rename="camel", gc=False):
    """One log of a receipt."""

    address: str
    topics: list[str]
    data: str
    log_index: str


class JsonReceipt(msgspec.Struct, rename="camel"):
    """A receipt. Chains from before Byzantium, which have no status, are not written to."""

    transaction_hash: str
    block_hash: str
    block_number: str
    status: str
    gas_used: str
    sender: str = msgspec.field(name="from")
    to: str | None = None
    logs: list[JsonLog] = []

    def receipt(self, tx_hash: bytes) -> Receipt:
        """As ours.

        Raises:
            NodeInconsistent: it is another transaction's, or its parts are not what they must be.
        """
        if hex_bytes(self.transaction_hash, 32) != tx_hash:
            raise NodeInconsistent("a receipt of another transaction")
        return Receipt(
            tx_hash=tx_hash,
            block_number=quantity(self.block_number),
            block_hash=hex_bytes(self.block_hash, 32),
            succeeded=quantity(self.status) == 1,
            sender=hex_bytes(self.sender, 20),
            to=None if self.to is None else hex_bytes(self.to, 20),
            gas_used=quantity(self.gas_used),
            logs=tuple(
                Log(
                    hex_bytes(log.address, 20),
                    tuple(hex_bytes(topic, 32) for topic in log.topics),
                    hex_bytes(log.data),
                    quantity(log.log_index),
                )
                for log in self.logs
            ),
        )


def quantity(text: str, *, most: int = MAX_QUANTITY) -> int:
    """A JSON-RPC quantity up to `most`. Raises NodeInconsistent for anything else."""
    number = -1
    if text.startswith("0x") and text.isalnum() and text.isascii() and len(text) <= 66:
        try:
            number = int(text, 16)
        except ValueError:
            number = -1
    if not 0 <= number <= most:
        raise NodeInconsistent("not a quantity", value=text[:70])
    return number


def hex_bytes(text: str, length: int | None = None) -> bytes:
    """The bytes behind `0x`. Raises NodeInconsistent where it is not hex, or not that long."""
    if text.startswith("0x"):
        try:
            found = bytes.fromhex(text[2:])
        except ValueError:
            found = None
        if found is not None and length in (None, len(found)):
            return found
    raise NodeInconsistent("not the hexadecimal that was asked for", value=text[:70])

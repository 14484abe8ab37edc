"""A chain of payments: blocks of transactions that move tokens, and can be taken back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from eth_hash.auto import keccak

from renown.errors import NodeTimeout
from renown.spec.tokens import DEVNET_DOLLAR
from renown.spec.transactions import Log, Receipt
from renown.spec.transfers import AUTHORIZATION_USED, TRANSFER
from tests.factories import person

FACILITATOR = person(900)


class Move(msgspec.Struct, frozen=True):
    """One transfer; `signed` where the payer only signed for it (EIP-3009)."""

    payer: bytes
    payee: bytes
    amount: int = 1_000_000
    token: bytes = DEVNET_DOLLAR
    signed: bool = False


def logs_of(moves: Sequence[Move], *, first_index: int = 0) -> tuple[Log, ...]:
    """The logs that moves leave, as a token with EIP-3009 writes them."""
    logs: list[Log] = []
    for move in moves:
        if move.signed:
            used = (AUTHORIZATION_USED, _word(move.payer), keccak(b"nonce"))
            logs.append(Log(move.token, used, b"", first_index + len(logs)))
        topics = (TRANSFER, _word(move.payer), _word(move.payee))
        payload = move.amount.to_bytes(32)
        logs.append(Log(move.token, topics, payload, first_index + len(logs)))
    return tuple(logs)


class PaymentChain:
    """What a node answers about transactions. `final` is the last final block."""

    def __init__(self, *, first_time: int, block_seconds: int = 12) -> None:
        self.final = -1
        self.is_away = False
        self.questions = 0
        self._first_time = first_time
        self._block_seconds = block_seconds
        self._pooled: set[bytes] = set()
        self._receipts: dict[bytes, Receipt] = {}
        self._forks = 0

    def pool(self, name: str) -> bytes:
        """A transaction that waits."""
        tx_hash = keccak(name.encode())
        self._pooled.add(tx_hash)
        return tx_hash

    def pay(self, name: str, block: int, *moves: Move, succeeded: bool = True) -> bytes:
        """A transaction in a block."""
        tx_hash = keccak(name.encode())
        self._pooled.discard(tx_hash)
        self._receipts[tx_hash] = Receipt(
            tx_hash=tx_hash,
            block_number=block,
            block_hash=self._hash(block),
            succeeded=succeeded,
            sender=FACILITATOR,
            to=DEVNET_DOLLAR,
            gas_used=50_000,
            logs=logs_of(moves) if succeeded else (),
        )
        return tx_hash

    def drop(self, tx_hash: bytes, *, keeps: bool = True) -> None:
        """A reorganisation takes the transaction out of its block; `keeps`: back to the pool."""
        del self._receipts[tx_hash]
        self._forks += 1
        if keeps:
            self._pooled.add(tx_hash)

    async def receipt(self, tx_hash: bytes) -> Receipt | None:
        self.questions += 1
        if self.is_away:
            raise NodeTimeout("away")
        return self._receipts.get(tx_hash)

    async def known(self, tx_hash: bytes) -> bool:
        return tx_hash in self._pooled or tx_hash in self._receipts

    async def block_hash(self, number: int) -> bytes | None:
        found = [one for one in self._receipts.values() if one.block_number == number]
        return found[0].block_hash if found else self._hash(number)

    async def block_time(self, number: int) -> int:
        return self._first_time + self._block_seconds * number

    async def final_block(self) -> int:
        return self.final

    def _hash(self, number: int) -> bytes:
        return keccak(b"payment block %d of fork %d" % (number, self._forks))


def _word(address: bytes) -> bytes:
    return bytes(12) + address

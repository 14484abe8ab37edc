"""Random registry activity as facts: mostly what contracts emit, in part what they never would.

Deterministic in the seed. Facts without a subject, repeats and restarts of feedback indexes occur
on purpose, since an index must give one answer for those too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from eth_hash.auto import keccak

from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID
from renown.spec.events import (
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    LegacyEvent,
    MetadataRefreshed,
    MetadataSet,
    OperatorSet,
    Quarantined,
    RegistryChanged,
    ResponseAppended,
    UriUpdated,
    ValidationRequested,
    ValidationResponded,
)
from renown.types import ZERO_ADDRESS, BlockRef

DEVNET = DEPLOYMENTS[DEVNET_CHAIN_ID]
TAGS = (b"", b"starred", b"uptime", b"bad \x00 \xff", b"t" * 3000)
KEYS = (b"agentWallet", b"agentName", b"AgentWallet", b"k" * 3000)


class Activity:
    """A source of blocks with facts; each call goes on from where the one before stopped."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._accounts = [sha256(b"account %d" % n).digest()[:20] for n in range(5)]
        self._next_agent = 0
        self._indexes: dict[tuple[int, bytes], int] = {}
        self._requests: list[tuple[int, bytes, bytes]] = []

    def block(self, number: int, parent: bytes, *, facts: int) -> tuple[BlockRef, list[Fact]]:
        """The block `number` on top of `parent`, with about `facts` facts."""
        salt = self._random.randbytes(8)
        ref = BlockRef(
            number,
            sha256(b"block" + salt + number.to_bytes(8) + parent).digest(),
            parent,
            1_700_000_000 + 12 * number,
        )
        found: list[Fact] = []
        while len(found) < facts:
            tx_hash = self._random.randbytes(32)
            for kind, *fields in self._action(tx_hash):
                log_index = len(found) + self._random.choice((0, 0, 0, 5))
                if found:
                    log_index = max(log_index, found[-1].log_index + 1)
                found.append(kind(number, log_index, tx_hash, *fields))
        return ref, found

    def _action(self, tx_hash: bytes) -> Sequence[tuple[Any, ...]]:  # kind, contract, fields…
        r = self._random
        identity, reputation = DEVNET.identity, DEVNET.reputation
        agent = r.randrange(self._next_agent) if self._next_agent else 0
        who, other = r.choice(self._accounts), r.choice(self._accounts)
        roll = r.random()
        if self._next_agent < 3 or roll < (0.15 if self._next_agent < 8 else 0.03):
            agent, self._next_agent = self._next_agent, self._next_agent + 1
            uri = r.choice((b"", b"https://a.example/x", b"ipfs://c", b"\xff\x00"))
            wallet = (MetadataSet, identity, agent, KEYS[0], keccak(KEYS[0]), who)
            hooked: list[tuple[Any, ...]] = []
            if r.random() < 0.2:  # a receiver hook that acts before Registered is emitted
                tricks: tuple[tuple[Any, ...], ...] = (
                    (UriUpdated, identity, agent, who, b"https://hook.example"),
                    (MetadataSet, identity, agent, KEYS[0], keccak(KEYS[0]), b""),
                )
                hooked = [r.choice(tricks)]
            if uri or r.random() < 0.3:  # `register("")` announces metadata, `register()` does not
                hooked.append((MetadataRefreshed, identity, agent, agent))
            return [
                (AgentTransferred, identity, agent, ZERO_ADDRESS, who),
                *hooked,
                (AgentRegistered, identity, agent, who, uri),
                wallet,
            ]
        if roll < 0.22:
            return [
                (MetadataSet, identity, agent, KEYS[0], keccak(KEYS[0]), b""),
                (AgentTransferred, identity, agent, who, other),
            ]
        if roll < 0.27:
            return [
                (MetadataRefreshed, identity, agent, agent),
                (UriUpdated, identity, agent, who, r.choice((b"", b"ar://x", b"data:,{}"))),
            ]
        if roll < 0.34:
            key = r.choice(KEYS)
            entry = r.choice((b"", who, bytes(12) + who, b"name", b"v" * 3000))
            return [(MetadataSet, identity, agent, key, keccak(key), entry)]
        if roll < 0.37:
            return [(AgentApproved, identity, agent, who, r.choice((other, ZERO_ADDRESS)))]
        if roll < 0.39:
            return [(OperatorSet, identity, who, other, r.random() < 0.5)]
        if roll < 0.70:
            index = self._indexes.get((agent, who), 0) + 1
            if r.random() < 0.02:
                index = 1  # the registry restarted its indexes
            self._indexes[agent, who] = index
            decimals = r.choice((0, 0, 2, 18))
            amount = r.choice((0, 1, -7, 87, 10**38, -(10**38), r.randrange(-(10**20), 10**20)))
            return [
                (
                    *(FeedbackGiven, reputation, agent, who, index, amount, decimals),
                    *(r.choice(TAGS), r.choice(TAGS[:3]), b"https://e", b"", bytes(32)),
                )
            ]
        client = r.choice(self._accounts)
        index = r.randrange(1, self._indexes.get((agent, client), 0) + 2)
        if roll < 0.76:
            return [(FeedbackRevoked, reputation, agent, client, index)]
        if roll < 0.84:
            return [(ResponseAppended, reputation, agent, client, index, who, b"u", bytes(32))]
        if roll < 0.89:
            contract = r.choice((DEVNET.validation[0], who))
            request = (agent, contract, r.randbytes(32))
            if self._requests and r.random() < 0.1:
                request = r.choice(self._requests)
            self._requests.append(request)
            return [(ValidationRequested, request[1], request[0], who, request[2], b"req")]
        if roll < 0.95 and self._requests:
            agent, contract, request_hash = r.choice(self._requests)
            return [
                (
                    *(ValidationResponded, contract, agent, r.choice((who, other)), request_hash),
                    *(r.randrange(101), b"answer", bytes(32), b"hard"),
                )
            ]
        if roll < 0.97:  # what a chain never says: subjects that do not exist
            ghost = self._next_agent + r.randrange(3)
            return [
                (
                    *(FeedbackGiven, reputation, ghost, who, 1, 5, 0),
                    *(b"ghost", b"", b"", b"", bytes(32)),
                ),
                (FeedbackRevoked, reputation, ghost, who, 1),
            ]
        if roll < 0.98:
            return [(RegistryChanged, identity, "upgraded", who, None, None)]
        if roll < 0.99:
            return [(LegacyEvent, reputation, "NewFeedback(old)", agent, who, b"", b"\x01")]
        return [(Quarantined, identity, "unknown-topic", None, (bytes(32),), b"\x00\xff")]

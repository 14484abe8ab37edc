"""A chain told fact by fact, and stored through the one writer there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.derive.identity import AGENT_WALLET
from renown.spec.deployments import DEVNET_CHAIN_ID, Deployment, find
from renown.spec.events import (
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    MetadataSet,
    Quarantined,
    ResponseAppended,
    UriUpdated,
    ValidationRequested,
    ValidationResponded,
)
from renown.store.lease import acquire
from renown.store.pool import connect
from renown.store.writer import Extension
from renown.types import ZERO_ADDRESS, BlockRef

DEVNET = find(str(DEVNET_CHAIN_ID))
BASE = find("base")
FIRST_TIME = 1_760_000_000
"""Unix time of block 0; each block takes 12 seconds."""
REGISTRY_2 = bytes.fromhex("8004cb1bf31daf7788923b405b754f57aceb4272")


def person(number: int) -> bytes:
    """An address; the same for the same number."""
    return keccak(b"person %d" % number)[:20]


ALICE, BOB, CAROL, DAVE = (person(n) for n in range(4))


class Story:
    """Facts of one chain in order. Each method adds one or more to the current block."""

    def __init__(self, deployment: Deployment = DEVNET, *, first_block: int = 1) -> None:
        self.deployment = deployment
        self.first_block = first_block
        self.number = first_block
        self.facts: list[Fact] = []
        self.quarantined: list[Quarantined] = []
        self._log_index = 0
        self._transaction = 0

    # Time and place ----------------------------------------------------------------------------

    def next_block(self, blocks: int = 1) -> Story:
        """Go on in a later block."""
        self.number += blocks
        self._log_index = 0
        return self

    def hash_of(self, number: int) -> bytes:
        """The hash of a block of this story."""
        return keccak(b"block %d of %d" % (number, self.deployment.chain_id))

    def time_of(self, number: int) -> int:
        """Unix seconds of a block of this story."""
        return FIRST_TIME + 12 * number

    def ref(self, number: int) -> BlockRef:
        return BlockRef(
            number, self.hash_of(number), self.hash_of(number - 1), self.time_of(number)
        )

    def add(self, kind: type[Fact], contract: bytes, **fields: Any) -> Fact:
        """Any fact, at the next log index of the current block, in a transaction of its own."""
        self._transaction += 1
        tx = keccak(b"transaction %d of %d" % (self._transaction, self.deployment.chain_id))
        fact = kind(self.number, self._log_index, tx, contract, **fields)
        self._log_index += 1
        (self.quarantined if isinstance(fact, Quarantined) else self.facts).append(fact)  # type: ignore[arg-type]
        return fact

    # What happens --------------------------------------------------------------------------------

    def mint(self, agent_id: int, owner: bytes = ALICE, uri: bytes = b"") -> Story:
        """A registration, with the logs of one transaction in the contract's order."""
        identity = self.deployment.identity
        start = len(self.facts)
        self.add(
            AgentTransferred,
            identity,
            agent_id=agent_id,
            from_address=ZERO_ADDRESS,
            to_address=owner,
        )
        self.add(AgentRegistered, identity, agent_id=agent_id, owner=owner, uri=uri)
        self.metadata(agent_id, AGENT_WALLET, owner)
        one = self.facts[start].tx_hash
        for place in range(start, len(self.facts)):
            self.facts[place] = _replaced(self.facts[place], tx_hash=one)
        return self

    def transfer(self, agent_id: int, from_address: bytes, to_address: bytes) -> Story:
        """A transfer, which clears the wallet first."""
        self.metadata(agent_id, AGENT_WALLET, b"")
        self.add(
            AgentTransferred,
            self.deployment.identity,
            agent_id=agent_id,
            from_address=from_address,
            to_address=to_address,
        )
        return self

    def say_uri(self, agent_id: int, uri: bytes, by: bytes = ALICE) -> Story:
        self.add(UriUpdated, self.deployment.identity, agent_id=agent_id, updated_by=by, uri=uri)
        return self

    def metadata(self, agent_id: int, key: bytes, value: bytes) -> Story:
        self.add(
            MetadataSet,
            self.deployment.identity,
            agent_id=agent_id,
            key=key,
            key_hash=keccak(key),
            value=value,
        )
        return self

    def give(
        self,
        agent_id: int,
        client: bytes,
        index: int,
        value: int = 80,
        decimals: int = 0,
        *,
        tag1: bytes = b"starred",
        tag2: bytes = b"",
        endpoint: bytes = b"",
        uri: bytes = b"",
    ) -> Story:
        self.add(
            FeedbackGiven,
            self.deployment.reputation,
            agent_id=agent_id,
            client=client,
            feedback_index=index,
            value=value,
            decimals=decimals,
            tag1=tag1,
            tag2=tag2,
            endpoint=endpoint,
            uri=uri,
            content_hash=bytes(32),
        )
        return self

    def revoke(self, agent_id: int, client: bytes, index: int) -> Story:
        self.add(
            FeedbackRevoked,
            self.deployment.reputation,
            agent_id=agent_id,
            client=client,
            feedback_index=index,
        )
        return self

    def respond(
        self, agent_id: int, client: bytes, index: int, by: bytes = ALICE, uri: bytes = b"ipfs://r"
    ) -> Story:
        self.add(
            ResponseAppended,
            self.deployment.reputation,
            agent_id=agent_id,
            client=client,
            feedback_index=index,
            responder=by,
            uri=uri,
            content_hash=bytes(32),
        )
        return self

    def ask_validation(self, agent_id: int, request: bytes, validator: bytes = CAROL) -> Story:
        self.add(
            ValidationRequested,
            REGISTRY_2,
            agent_id=agent_id,
            validator=validator,
            request_hash=keccak(request),
            uri=b"ipfs://" + request,
        )
        return self

    def validate(
        self, agent_id: int, request: bytes, response: int, validator: bytes = CAROL
    ) -> Story:
        self.add(
            ValidationResponded,
            REGISTRY_2,
            agent_id=agent_id,
            validator=validator,
            request_hash=keccak(request),
            response=response,
            uri=b"",
            content_hash=bytes(32),
            tag=b"soft",
        )
        return self

    # Storing -------------------------------------------------------------------------------------

    async def write(
        self,
        url: str,
        *,
        upto: int | None = None,
        final: int = -1,
        safe: int | None = None,
        head: int | None = None,
    ) -> None:
        """Store everything up to block `upto` (default: where the story stands) in one commit.

        May be called again with a later block; facts already stored are not stored twice.
        """
        last = self.number if upto is None else upto
        writer = await acquire(
            await connect(url),
            self.deployment,
            start_block=self.first_block,
            genesis_hash=None,
            name="test",
        )
        try:
            held = writer.checkpoint.block_number
            await writer.extend(
                Extension(
                    last=self.ref(last),
                    facts=_between(self.facts, held, last),
                    quarantined=_between(self.quarantined, held, last),
                    blocks=[self.ref(number) for number in self._kept(held, last, final)],
                )
            )
            await writer.report(head=head or last, final=final, safe=safe, phase="follow")
        finally:
            await writer.close()

    def _kept(self, held: int, last: int, final: int) -> Sequence[int]:
        """The blocks to keep: those with logs, and all that are not final."""
        with_logs = {log.block_number for log in (*self.facts, *self.quarantined)}
        return [n for n in range(held + 1, last + 1) if n in with_logs or n > final]


def _between(logs: Sequence[Any], held: int, last: int) -> list[Any]:
    return [log for log in logs if held < log.block_number <= last]


def _replaced(fact: Fact, **changes: Any) -> Fact:
    return msgspec.structs.replace(fact, **changes)


async def store_blocks(
    url: str, blocks: Sequence[tuple[BlockRef, Sequence[Fact]]], *, start_block: int = 1
) -> None:
    """Store random activity (`tests.activity`) on the devnet in one commit."""
    writer = await acquire(
        await connect(url), DEVNET, start_block=start_block, genesis_hash=None, name="test"
    )
    try:
        found = [fact for _, facts in blocks for fact in facts]
        await writer.extend(
            Extension(
                last=blocks[-1][0],
                facts=[fact for fact in found if not isinstance(fact, Quarantined)],
                quarantined=[fact for fact in found if isinstance(fact, Quarantined)],
                blocks=[ref for ref, _ in blocks],
            )
        )
    finally:
        await writer.close()

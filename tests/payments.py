"""Agents, feedback that names payments, and a worker that settles them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from renown.ingest.payments import PaymentWorker, Tally
from renown.spec.tokens import KNOWN_TOKENS
from renown.store import attachments
from renown.store.attachments import NewAttachment, Verdict
from renown.store.lease import acquire
from renown.store.pool import Conn, connect, transaction
from renown.types import checksum_address
from tests import shelf
from tests.factories import ALICE, BOB, CAROL, DEVNET, FIRST_TIME, Story, person
from tests.fakes.payment_chain import PaymentChain

__all__ = ["ALICE", "BOB", "CAROL", "Till", "proof", "till"]

SHOP = person(70)


def proof(
    tx_hash: bytes, *, payer: bytes = BOB, payee: bytes = ALICE, chain: Any = "31337"
) -> bytes:
    """A feedback file with proof of payment."""
    said = {
        "fromAddress": checksum_address(payer),
        "toAddress": checksum_address(payee),
        "chainId": chain,
        "txHash": f"0x{tx_hash.hex()}",
    }
    return json.dumps({"text": "good", "value": 80, "proofOfPayment": said}).encode()


class Till:
    """One index, one chain of payments, one worker. Time is that of the story, and then flies."""

    def __init__(self, url: str, conn: Conn, story: Story) -> None:
        self.url = url
        self.conn = conn
        self.story = story
        self.chain = PaymentChain(first_time=FIRST_TIME)
        self.now = datetime.now(UTC)
        self.worker = PaymentWorker(
            lambda: connect(url),
            {DEVNET.chain_id: self.chain},
            tokens=KNOWN_TOKENS,
            clock=lambda: self.now,
        )

    async def store(self, *, final: int = -1) -> None:
        """Index the story as told so far."""
        await self.story.write(self.url, final=final)

    async def settle(self, *, after: timedelta = timedelta(minutes=2)) -> Tally:
        """Let time pass, and the worker do what is due then."""
        self.now += after
        return await self.worker.run_until_idle()

    async def file(self, uri: bytes, body: bytes, *, verdict: str = "absent") -> None:
        """The file of the feedback that names `uri` was read, and judged."""
        document_id = await shelf.serve(self.conn, uri, body, self.now)
        row = await self.conn.fetchrow(
            "SELECT block_number, log_index, agent_id, chain_id FROM feedback_given WHERE uri = $1",
            uri,
        )
        assert row is not None
        async with transaction(self.conn) as tx:
            await attachments.add(
                tx,
                row["chain_id"],
                [
                    NewAttachment(
                        *(row["block_number"], row["log_index"], "feedback", row["agent_id"]),
                        *(hashlib.sha256(uri).digest(), None),
                    )
                ],
            )
            judged = Verdict(
                *(row["chain_id"], row["block_number"], row["log_index"]),
                *(document_id, verdict, "[]"),
            )
            await attachments.judge(tx, [judged], self.now)

    async def retract(self, number: int) -> None:
        """A reorganisation drops the blocks above `number`."""
        writer = await acquire(
            await connect(self.url), DEVNET, start_block=1, genesis_hash=None, name="test"
        )
        try:
            await writer.retract(self.story.ref(number), number)
        finally:
            await writer.close()

    async def claims(self) -> list[tuple[str, str | None]]:
        """State and reason of every claim, by feedback, accounts' last."""
        rows = await self.conn.fetch(
            "SELECT state, reason FROM payment_claim"
            " ORDER BY feedback_block, feedback_log_index, created_at"
        )
        return [(row["state"], row["reason"]) for row in rows]

    async def counted(self) -> list[tuple[int, int, bool, bool]]:
        """Agent, amount, whether final, whether it pays for a feedback: of every payment."""
        rows = await self.conn.fetch(
            "SELECT agent_id, amount, is_final, feedback_claim_id IS NOT NULL FROM payment"
            " ORDER BY pay_chain_id, tx_hash, log_index"
        )
        return [(row[0], int(row[1]), row[2], row[3]) for row in rows]


@asynccontextmanager
async def till(url: str) -> AsyncIterator[Till]:
    """An index with two agents of Alice: one in block 1, one in block 2."""
    conn = await connect(url)
    try:
        yield Till(url, conn, Story().mint(1).next_block().mint(2).next_block())
    finally:
        await conn.close()

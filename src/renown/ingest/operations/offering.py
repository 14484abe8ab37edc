"""Offering signed bytes to the nodes, and what their words are taken for.

Only bytes that are stored and committed are offered, and only ever those. What a node says is never
taken for what happened: a refusal ends a step only when no node ever took its bytes, and even then
receipts are looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from renown.chain.tx.fees import Fees
from renown.errors import NodeError
from renown.ingest.operations import measured
from renown.ingest.operations.judging import STILL_KNOWN, USED_NONCE, open_ones
from renown.ingest.operations.seen_chain import Chain
from renown.spec.transactions import Sent
from renown.store import operation_watching as watching
from renown.store.operations import OperationRow, SignedRow, StepRow
from renown.store.pool import Conn

log = structlog.get_logger()

KNOWN_AFTER_BLOCKS, STUCK_AFTER_BLOCKS = 5, 10
LEAST_KNOWN_SECONDS, LEAST_STUCK_SECONDS = 1.0, 2.0
OFTEN = 3
FORGOTTEN = (
    "the nodes take it and forget it again: they may find its gas, its fees or its sender's funds"
    " too little"
)
FOR_GOOD = frozenset({"funds", "gas", "chain", "invalid"})
"""Refusals that the same bytes will meet again, as things stand."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """How a step on its way stands.

    Attributes:
        problem: what holds it up; None: nothing.
        refusal: why no node takes it, for good; then it has failed.
        is_stuck: only higher fees would help.
        was_offered: bytes were offered, and what was said to them is noted.
    """

    problem: str | None = None
    refusal: str | None = None
    is_stuck: bool = False
    was_offered: bool = False


class Offering:
    """Offers what is stored for operations of one chain. For one round of looks: fees are asked
    for once."""

    def __init__(self, conn: Conn, chain: Chain, point: Callable[[str], None]) -> None:
        self._conn = conn
        self._chain = chain
        self._slug = chain.deployment.slug
        block_seconds = chain.deployment.finality.block_seconds
        self._known_after = max(LEAST_KNOWN_SECONDS, KNOWN_AFTER_BLOCKS * block_seconds)
        self._stuck_after = max(LEAST_STUCK_SECONDS, STUCK_AFTER_BLOCKS * block_seconds)
        self._point = point
        self._fees: Fees | None = None

    async def push(
        self, operation: OperationRow, step: StepRow, age_seconds: float, now: datetime
    ) -> Pushed:
        """Offer the newest bytes of a step on its way, if no node is known to have them.

        Raises:
            NodeError: it cannot be told what the chain takes.
        """
        live = [one for one in open_ones(step) if one.fate == "live"]
        if not live:
            return Pushed(
                refusal=next(
                    (one.error for one in reversed(step.signed) if one.error), "the nodes refuse it"
                )
            )
        if step.problem in (USED_NONCE, STILL_KNOWN):
            return Pushed(problem=step.problem)
        newest = live[-1]
        if newest.sent_at is None:
            return await self._offer(operation, step, newest, live)
        may_be_lost = step.state == "orphaned" or age_seconds >= self._known_after
        if may_be_lost and not await self._is_known(newest):
            log.info(
                "transaction_evicted",
                operation=str(operation.operation_id),
                chain=self._slug,
                tx=f"0x{newest.tx_hash.hex()}",
            )
            pushed = await self._offer(operation, step, newest, live)
            if pushed == Pushed(was_offered=True) and newest.send_count >= OFTEN:
                return msgspec.structs.replace(pushed, problem=FORGOTTEN)
            return pushed
        if (now - newest.sent_at).total_seconds() >= self._stuck_after:
            return await self._waiting(operation, newest)
        stays = newest.error is not None or step.problem == FORGOTTEN
        return Pushed(problem=step.problem if stays else None)

    async def _is_known(self, one: SignedRow) -> bool:
        try:
            return await self._chain.known(one.tx_hash)
        except NodeError:
            return False  # no node that answers has it, and the same bytes again do no harm

    async def _offer(
        self, operation: OperationRow, step: StepRow, one: SignedRow, live: list[SignedRow]
    ) -> Pushed:
        raw = await watching.raw_of(self._conn, operation.chain_id, one.tx_hash)
        self._point("offering")
        sent = await self._chain.send(raw)
        self._point("offered")
        measured.offered(self._slug, sent)
        was_taken = any(other.sent_at is not None for other in open_ones(step))
        pushed, is_refused = _meaning(sent, one, was_taken=was_taken, alone=len(live) == 1)
        await watching.offered(
            *(self._conn, operation.chain_id, one.tx_hash),
            is_taken=sent.verdict in ("taken", "known"),
            is_refused=is_refused,
            error=sent.reason if sent.verdict in ("refused", "unsure") else None,
        )
        self._point("noted")
        log.info(
            "transaction_offered",
            operation=str(operation.operation_id),
            chain=self._slug,
            step=step.step,
            tx=f"0x{one.tx_hash.hex()}",
            nonce=one.nonce,
            times=one.send_count + 1,
            verdict=sent.verdict,
            code=sent.code or None,
        )
        return msgspec.structs.replace(pushed, was_offered=True)

    async def _waiting(self, operation: OperationRow, one: SignedRow) -> Pushed:
        """It is in a pool, but in no block for long: for want of fees, of what comes before it, or
        of blocks."""
        if self._fees is None:
            self._fees = await self._chain.fees()
        least = self._fees.base_fee_wei + min(self._fees.priority_fee_wei, one.priority_fee_wei)
        if one.max_fee_wei >= least:
            count = await self._chain.nonce(operation.sender)
            if count < one.nonce:
                return Pushed(
                    problem=f"it has the nonce {one.nonce}, and waits until the sender's"
                    f" transaction of nonce {count} is in a block"
                )
            return Pushed(problem="it waits in the nodes' pools, and its fees should do")
        return Pushed(
            problem=f"it offers {one.max_fee_wei} wei per unit of gas, which is less than the chain"
            f" takes now: another signed at nonce {one.nonce} with fees an eighth higher, or more,"
            " would replace it",
            is_stuck=True,
        )


def _meaning(sent: Sent, one: SignedRow, *, was_taken: bool, alone: bool) -> tuple[Pushed, bool]:
    """What a node's words come to, and whether these bytes are given up."""
    said = sent.reason or "it says nothing"
    if sent.verdict in ("taken", "known"):
        return Pushed(), False
    if sent.verdict == "unsure":
        return Pushed(problem=f"no node has confirmed that it took it: {said}"), False
    if sent.code == "nonce-low":
        return Pushed(problem=USED_NONCE), False
    if sent.code == "nonce-high":
        missing = f"transactions with nonces below {one.nonce} are missing"
        return Pushed(problem=f"{missing}: {said}"), False
    if sent.code == "underpriced":
        if not alone:
            return Pushed(problem=f"the replacement offers too little: {said}"), True
        return Pushed(problem=f"it offers too little: {said}", is_stuck=True), False
    if sent.code in FOR_GOOD and not was_taken:
        if not alone:
            return Pushed(problem=f"the replacement was refused: {said}"), True
        return Pushed(refusal=f"the nodes refuse it: {said}"), True
    return Pushed(problem=f"the nodes do not take it now: {said}"), False

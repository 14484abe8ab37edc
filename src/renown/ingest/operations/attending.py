"""One operation, looked at: what its transactions came to is written down, what is due is done.

In this order, so that a death at any point loses nothing and sends nothing twice: bytes are stored
and committed, then offered to the nodes, then what they said is noted. Whoever comes after a death
finds the bytes and offers the same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from renown.chain.tx.signed import read_signed
from renown.chain.tx.signer import Signer
from renown.derive.operation import APPLIED, MOVING, AwaitsAgentId
from renown.derive.plan import fill_agent_id
from renown.errors import CallWouldFail, NodeError, OperationConflict, SignerError
from renown.ingest.operations import measured, pace
from renown.ingest.operations.judging import (
    Doubt,
    InBlock,
    NonceFree,
    NonceUsed,
    NowFinal,
    ThrownBack,
    Verdict,
    judge,
    open_ones,
)
from renown.ingest.operations.looking import Sights
from renown.ingest.operations.offering import Offering
from renown.ingest.operations.reasons import registered_agent, revert_reason
from renown.ingest.operations.seen_chain import Chain
from renown.ingest.operations.signing import (
    NotNow,
    Terms,
    choose_nonce,
    require_settled,
    sign,
    terms,
)
from renown.spec.transactions import Receipt, UnsignedTransaction
from renown.store import hosted, operations
from renown.store import operation_watching as watching
from renown.store.operation_claims import ClaimLost, clock, held
from renown.store.operations import OperationRow, StepRow
from renown.store.pool import Conn, transaction

log = structlog.get_logger()

MOST_VERDICTS = 8
"""In one look at one step; each changes it, so that it soon has nothing more to say."""


class Desk(msgspec.Struct, frozen=True):
    """What a watcher works with, whatever the operation.

    Attributes:
        me: its name in claims.
        signer: None: it signs nothing.
        max_fee_wei: most that is offered per unit of gas when the server signs.
        turns: one lock per wallet: signed and offered one after the other.
        point: called where a death would matter, with the name of the place; for tests.
    """

    me: UUID
    signer: Signer | None
    max_fee_wei: int | None
    turns: Callable[[int, bytes], asyncio.Lock]
    point: Callable[[str], None]


class Attending:
    """Looks after operations of one chain through one connection."""

    def __init__(self, desk: Desk, conn: Conn, chain: Chain) -> None:
        self._desk = desk
        self._conn = conn
        self._chain = chain
        self._slug = chain.deployment.slug
        self._block_seconds = chain.deployment.finality.block_seconds
        self._patient_seconds = min(30.0, max(pace.SOONEST_SECONDS, self._block_seconds))
        self._offering = Offering(conn, chain, desk.point)

    async def attend(self, operation: OperationRow, sights: Sights) -> float | None:
        """Do what can be done for an operation now.

        Returns:
            Seconds until the next look; None where there is nothing to wait for.

        Raises:
            ClaimLost: another watcher took over.
            NodeError, StoreError: what was done so far stands.
        """
        operation = await self._judged(operation, sights)
        for step in operation.steps:
            if step.state in MOVING:
                operation = await self._kept_moving(operation, step)
        if operation.mode == "managed" and (turn := pace.next_to_sign(operation)) is not None:
            operation = await self._sign(operation, turn)
        now = await clock(self._conn)
        ages = [_age(step, now) for step in operation.steps]
        return pace.due_in(operation, ages, self._block_seconds)

    # What became of it --------------------------------------------------------------------------

    async def _judged(self, operation: OperationRow, sights: Sights) -> OperationRow:
        now = await clock(self._conn)
        for number in range(1, len(operation.steps) + 1):
            for _ in range(MOST_VERDICTS):
                step = operation.steps[number - 1]
                if not open_ones(step):
                    break
                sight = await sights.of(operation, step)
                age = _age(step, now)
                verdict = judge(step, sight, patient_seconds=self._patient_seconds, age_seconds=age)
                if verdict is None:
                    break
                operation = await self._write_down(operation, step, verdict)
            # Before the next step is judged: it may have been mined with an id of before.
            operation = await self._filled_in(operation)
        return operation

    async def _write_down(
        self, operation: OperationRow, step: StepRow, verdict: Verdict
    ) -> OperationRow:
        reason, agent_id = None, None
        if isinstance(verdict, InBlock):
            reason, agent_id = await self._outcome(operation, step, verdict.receipt)
        async with transaction(self._conn) as tx:
            current = await held(tx, operation.operation_id, self._desk.me)
            if current.steps[step.step - 1] != step:
                return current  # somebody changed it meanwhile: judged again
            match verdict:
                case InBlock(receipt):
                    await watching.in_block(
                        tx, current, step, receipt, reason=reason, agent_id=agent_id
                    )
                case ThrownBack():
                    await watching.thrown_back(tx, current, step)
                case NowFinal() if step.state == "included":
                    await watching.final(tx, current, step)
                case NowFinal():
                    await watching.settled(tx, current, step)
                case NonceUsed(block):
                    why = "its nonce was used by another transaction of the sender"
                    await watching.nonce_used(tx, current, step, block, why)
                case NonceFree():
                    await watching.nonce_used(tx, current, step, None, None)
                case Doubt(problem):
                    await watching.problem(tx, current.operation_id, step.step, problem)
            after = await held(tx, operation.operation_id, self._desk.me)
            self._desk.point("judged")
        self._desk.point("kept")
        self._tell(after, step, reason)
        return after

    def _tell(self, after: OperationRow, before: StepRow, reason: str | None) -> None:
        step = after.steps[before.step - 1]
        if step.state == before.state:
            return
        measured.moved(self._slug, step.state)
        log.info(
            "operation_moved",
            operation=str(after.operation_id),
            chain=self._slug,
            step=step.step,
            state=step.state,
            operation_state=after.state,
            tx=None if step.tx_hash is None else f"0x{step.tx_hash.hex()}",
            block=step.block_number,
            reason=reason or step.reason,
        )

    async def _outcome(
        self, operation: OperationRow, step: StepRow, receipt: Receipt
    ) -> tuple[str | None, int | None]:
        """Why it failed, None if it did not; and the agent that it registered."""
        raw = await watching.raw_of(self._conn, operation.chain_id, receipt.tx_hash)
        if not receipt.succeeded:
            return await revert_reason(self._chain, receipt, raw), None
        if isinstance(step.template, AwaitsAgentId) and read_signed(raw).calldata != step.calldata:
            # Signed before a reorganisation gave the agent another id.
            return "it named an agent id that the registration does not have any more", None
        if operation.kind == "register" and step.step == 1:
            return None, registered_agent(receipt, step.contract, operation.sender)
        return None, None

    # What follows from it -----------------------------------------------------------------------

    async def _filled_in(self, operation: OperationRow) -> OperationRow:
        """Complete the steps that wait for the agent's id, or that name one it has no more."""
        if operation.kind != "register" or operation.agent_id is None:
            return operation
        for step in operation.steps:
            if not isinstance(step.template, AwaitsAgentId) or step.state in APPLIED:
                continue
            calldata, content = fill_agent_id(
                step.template, operation.agent_id, operation.chain_id, step.contract
            )
            is_known = calldata == step.calldata
            wants_numbers = operation.mode == "client" and step.state == "prepared"
            if is_known and (step.gas is not None or not wants_numbers):
                continue
            prepared = await self._prepared(operation, step, calldata)
            if is_known and prepared is None:
                continue
            async with transaction(self._conn) as tx:
                current = await held(tx, operation.operation_id, self._desk.me)
                if current.agent_id != operation.agent_id or current.steps[step.step - 1] != step:
                    return current
                if content is not None:
                    await hosted.keep(tx, current.account_id, content, most_bytes=None)
                if is_known or step.calldata is None:
                    await operations.fill_step(
                        tx, current.operation_id, step.step, calldata, prepared
                    )
                else:
                    await watching.call_changed(tx, current, step, calldata, prepared)
                operation = await held(tx, operation.operation_id, self._desk.me)
                self._desk.point("filled")
        return operation

    async def _prepared(
        self, operation: OperationRow, step: StepRow, calldata: bytes
    ) -> UnsignedTransaction | None:
        """What a caller needs to sign it; None where the server signs, or nobody can say now."""
        if operation.mode == "managed":
            return None
        try:
            gas = await self._chain.estimate(operation.sender, step.contract, calldata)
            fees = await self._chain.fees()
            nonce = await self._chain.nonce(operation.sender, "pending")
        except (CallWouldFail, NodeError):
            return None
        before = [one.nonce for one in open_ones(step)]
        return UnsignedTransaction(
            chain_id=operation.chain_id,
            sender=operation.sender,
            to=step.contract,
            calldata=calldata,
            nonce=before[-1] if before else nonce,
            gas=gas,
            max_fee_wei=fees.max_fee_wei,
            priority_fee_wei=fees.priority_fee_wei,
        )

    # On its way ---------------------------------------------------------------------------------

    async def _kept_moving(
        self, operation: OperationRow, step: StepRow, *, may_replace: bool = True
    ) -> OperationRow:
        now = await clock(self._conn)
        pushed = await self._offering.push(operation, step, _age(step, now), now)
        if pushed.refusal is not None:
            await self._fail(operation, step, pushed.refusal)
        elif pushed.is_stuck and may_replace and operation.mode == "managed":
            return await self._sign(operation, await self._fresh(operation, step))
        elif pushed.problem != step.problem:
            await watching.problem(self._conn, operation.operation_id, step.step, pushed.problem)
        return await self._again(operation)

    async def _fail(self, operation: OperationRow, step: StepRow, reason: str) -> None:
        async with transaction(self._conn) as tx:
            current = await held(tx, operation.operation_id, self._desk.me)
            now = current.steps[step.step - 1]
            if now.state != step.state or len(now.signed) != len(step.signed):
                return  # a replacement came meanwhile
            await watching.failed(tx, current, now, reason)
            after = await held(tx, operation.operation_id, self._desk.me)
        self._tell(after, step, reason)

    # Signing ------------------------------------------------------------------------------------

    async def _sign(self, operation: OperationRow, step: StepRow) -> OperationRow:
        """Sign a step, or its replacement, and offer it; or say what that waits for."""
        if (signer := self._desk.signer) is None or operation.sender not in signer.addresses:
            wallet = f"0x{operation.sender.hex()}"
            return await self._held_up(operation, step, f"no signer here has the wallet {wallet}")
        async with self._desk.turns(operation.chain_id, operation.sender):
            try:
                require_settled(step)
                at = await terms(self._chain, operation, step, self._desk.max_fee_wei)
                count = await self._chain.nonce(operation.sender)
                await self._store(signer, operation, step, at, count)
            except CallWouldFail as exc:
                return await self._would_fail(operation, step, exc)
            except NotNow as exc:
                return await self._held_up(operation, step, str(exc))
            except SignerError as exc:
                log.warning("signer_failed", chain=self._slug, reason=exc.detail)
                return await self._held_up(operation, step, f"the signer failed: {exc.detail}")
            except OperationConflict as exc:
                return await self._held_up(operation, step, exc.detail)
            self._desk.point("stored")
            measured.moved(self._slug, "submitted")
            operation = await self._again(operation)
            step = operation.steps[step.step - 1]
            return await self._kept_moving(operation, step, may_replace=False)

    async def _store(
        self, signer: Signer, operation: OperationRow, step: StepRow, at: Terms, count: int
    ) -> None:
        async with transaction(self._conn) as tx:
            await watching.lock_sender(tx, operation.chain_id, operation.sender)
            current = await held(tx, operation.operation_id, self._desk.me)
            if current.steps[step.step - 1] != step:
                raise NotNow("it was changed meanwhile")
            nonces = await watching.held_nonces(tx, current.chain_id, current.sender, count)
            nonce = choose_nonce(count, nonces, current, step)
            signed = await sign(signer, current, step, nonce, at)
            detail = "replaced by the same call at higher fees" if step.state in MOVING else None
            await operations.add_signed(
                tx, current.operation_id, step.step, signed, by_signer=True, detail=detail
            )
            self._desk.point("signed")

    async def _would_fail(
        self, operation: OperationRow, step: StepRow, exc: CallWouldFail
    ) -> OperationRow:
        """Believed at a second look: the node may not have seen yet what came before."""
        reason = str(exc.context.get("reason", exc.detail))
        problem = f"it would fail: {reason}"
        age = _age(step, await clock(self._conn))
        if step.state in MOVING or step.problem != problem or age < self._patient_seconds:
            return await self._held_up(operation, step, problem)
        await self._fail(operation, step, reason)
        return await self._again(operation)

    async def _held_up(self, operation: OperationRow, step: StepRow, why: str) -> OperationRow:
        await watching.problem(self._conn, operation.operation_id, step.step, why)
        return await self._again(operation)

    async def _fresh(self, operation: OperationRow, step: StepRow) -> StepRow:
        return (await self._again(operation)).steps[step.step - 1]

    async def _again(self, operation: OperationRow) -> OperationRow:
        found = await operations.load(self._conn, operation.operation_id, None)
        if found is None:  # its chain was forgotten
            raise ClaimLost(operation.operation_id)
        return found


def _age(step: StepRow, now: datetime) -> float:
    return (now - step.updated_at).total_seconds()

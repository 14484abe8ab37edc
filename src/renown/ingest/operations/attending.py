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
from renown.chain.tx.signer import Signer, signs_for
from renown.derive.files import hosted_uri
from renown.derive.operation import APPLIED, MOVING, AwaitsAgentId
from renown.derive.plan import fill_agent_id
from renown.errors import CallWouldFail, NodeError, OperationConflict, SignerError
from renown.ingest.operations import measured, pace
from renown.ingest.operations.judging import (
    DOUBTS,
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
    Rules,
    Terms,
    choose_nonce,
    require_allowed,
    require_settled,
    sign,
    terms,
)
from renown.spec.transactions import Receipt, SignedTransaction, UnsignedTransaction
from renown.store import hosted, operations
from renown.store import operation_watching as watching
from renown.store.operation_claims import ClaimLost, clock, held
from renown.store.operation_expiry import needs_file
from renown.store.operation_nonces import held_nonces, lock_sender, next_free
from renown.store.operations import OperationRow, StepRow
from renown.store.pool import Conn, Tx, transaction

log = structlog.get_logger()

PATIENT_BLOCKS = 4
"""For so long a doubt stands before it is believed: nodes are that far behind each other at most,
as a rule."""
MOST_SIGNATURES = 3
"""In one look at one step, where others take the nonce meanwhile."""
MOST_VERDICTS = 8
"""In one look at one step; each changes it, so that it soon has nothing more to say."""


class Desk(msgspec.Struct, frozen=True):
    """What a watcher works with, whatever the operation.

    Attributes:
        signer: None: it signs nothing.
        sign_seconds: by then the signer has answered, or failed.
        rules: whom the signer signs for.
        max_fee_wei: most that is offered per unit of gas when the server signs.
        turns: one lock per wallet: signed and offered one after the other.
        point: called where a death would matter, with the name of the place; for tests.
    """

    signer: Signer | None
    sign_seconds: float
    rules: Rules
    max_fee_wei: int | None
    turns: Callable[[int, bytes], asyncio.Lock]
    point: Callable[[str], None]


class Attending:
    """Looks after operations of one chain through one connection, under one claim."""

    def __init__(self, desk: Desk, conn: Conn, chain: Chain, claim_id: UUID) -> None:
        self._desk = desk
        self._claim_id = claim_id
        self._conn = conn
        self._chain = chain
        self._slug = chain.deployment.slug
        self._block_seconds = chain.deployment.finality.block_seconds
        self._patient_seconds = max(pace.SOONEST_SECONDS, PATIENT_BLOCKS * self._block_seconds)
        self._offering = Offering(conn, chain, desk.point)

    async def attend(self, operation: OperationRow, sights: Sights) -> float | None:
        """Do what can be done for an operation now.

        Returns:
            Seconds until the next look; None where there is nothing to wait for.

        Raises:
            ClaimLost: another watcher took over.
            NodeError, StoreError: what was done so far stands.
        """
        now = await clock(self._conn)
        operation = await self._judged(operation, sights, now)
        for step in operation.steps:
            if step.state in MOVING:
                operation = await self._kept_moving(operation, step, now)
        turn = pace.next_to_sign(operation) if self._signs(operation) else None
        if turn is not None and turn.problem not in DOUBTS:
            operation = await self._sign(operation, turn, now)
        ages = [_age(step, now) for step in operation.steps]
        signs = self._signs(operation)
        return pace.due_in(operation, ages, self._block_seconds, signs=signs)

    # What became of it --------------------------------------------------------------------------

    async def _judged(self, operation: OperationRow, sights: Sights, now: datetime) -> OperationRow:
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
            current = await held(tx, operation.operation_id, self._claim_id)
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
            after = await held(tx, operation.operation_id, self._claim_id)
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
            completed = await self._completed(operation, step, calldata)
            if completed is None:
                continue
            prepared, problem = completed
            async with transaction(self._conn) as tx:
                current = await held(tx, operation.operation_id, self._claim_id)
                if current.agent_id != operation.agent_id or current.steps[step.step - 1] != step:
                    return current
                if content is not None:
                    await hosted.keep(tx, current.account_id, content, most_bytes=None)
                    uri = hosted_uri(step.template.base_url, content)
                    await needs_file(tx, current.operation_id, uri, content)
                if step.calldata in (None, calldata):
                    await operations.fill_step(
                        tx, current.operation_id, step.step, calldata, prepared
                    )
                else:
                    await watching.call_changed(tx, current, step, calldata, prepared)
                if problem is not None:
                    await watching.problem(tx, current.operation_id, step.step, problem)
                operation = await held(tx, operation.operation_id, self._claim_id)
                self._desk.point("filled")
        return operation

    async def _completed(
        self, operation: OperationRow, step: StepRow, calldata: bytes
    ) -> tuple[UnsignedTransaction | None, str | None] | None:
        """What the step is completed with, and what is wrong with it; None: with nothing now."""
        is_known = calldata == step.calldata
        if operation.mode == "managed":
            return None if is_known else (None, None)
        if is_known and (step.gas is not None or step.state != "prepared"):
            return None
        is_stale = not is_known and step.calldata is not None
        try:
            return await self._prepared(operation, step, calldata), None
        except CallWouldFail as exc:
            problem = f"it would fail: {exc.context.get('reason', exc.detail)}"
            # The node may not have the registration's block yet.
            is_young = _age(operation.steps[0], await clock(self._conn)) < self._patient_seconds
            if is_stale or not (is_young or (is_known and step.problem == problem)):
                return None, problem
        except NodeError:
            if is_stale:
                return None, None
        return None

    async def _prepared(
        self, operation: OperationRow, step: StepRow, calldata: bytes
    ) -> UnsignedTransaction:
        """What a caller needs to sign it. Raises CallWouldFail, NodeError."""
        gas = await self._chain.estimate(operation.sender, step.contract, calldata)
        fees = await self._chain.fees()
        nonce = await self._chain.nonce(operation.sender, "pending")
        held = await held_nonces(self._conn, operation.chain_id, operation.sender, nonce)
        before = [one.nonce for one in open_ones(step)]
        return UnsignedTransaction(
            chain_id=operation.chain_id,
            sender=operation.sender,
            to=step.contract,
            calldata=calldata,
            nonce=before[-1] if before else next_free(nonce, {one.nonce for one in held}),
            gas=gas,
            max_fee_wei=fees.max_fee_wei,
            priority_fee_wei=fees.priority_fee_wei,
        )

    # On its way ---------------------------------------------------------------------------------

    async def _kept_moving(
        self, operation: OperationRow, step: StepRow, now: datetime, *, may_replace: bool = True
    ) -> OperationRow:
        pushed = await self._offering.push(operation, step, _age(step, now), now)
        if pushed.refusal is not None:
            await self._fail(operation, step, pushed.refusal)
        elif pushed.is_stuck and may_replace and self._signs(operation):
            return await self._sign(operation, await self._fresh(operation, step), now)
        elif pushed.problem != step.problem:
            await watching.problem(self._conn, operation.operation_id, step.step, pushed.problem)
        elif not pushed.was_offered:
            return operation  # nothing was written: what is asked of us meanwhile is due at once
        return await self._again(operation)

    async def _fail(self, operation: OperationRow, step: StepRow, reason: str) -> None:
        async with transaction(self._conn) as tx:
            current = await held(tx, operation.operation_id, self._claim_id)
            now = current.steps[step.step - 1]
            if now.state != step.state or len(now.signed) != len(step.signed):
                return  # a replacement came meanwhile
            await watching.failed(tx, current, now, reason)
            after = await held(tx, operation.operation_id, self._claim_id)
        self._tell(after, step, reason)

    # Signing ------------------------------------------------------------------------------------

    def _signs(self, operation: OperationRow) -> bool:
        signer, place = self._desk.signer, (operation.chain_id, operation.sender)
        return operation.mode == "managed" and signer is not None and signs_for(signer, *place)

    async def _sign(self, operation: OperationRow, step: StepRow, now: datetime) -> OperationRow:
        """Sign a step, or its replacement, and offer it; or say what that waits for."""
        async with self._desk.turns(operation.chain_id, operation.sender):
            try:
                require_settled(step)
                at = await terms(self._chain, operation, step, self._desk.max_fee_wei)
                await self._sign_and_store(operation, step, at)
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
            return await self._kept_moving(operation, step, now, may_replace=False)

    async def _sign_and_store(self, operation: OperationRow, step: StepRow, at: Terms) -> None:
        """Nothing is locked while the signer, which may be far away, takes its time: if the nonce
        was taken meanwhile, the signature is thrown away, and nobody has seen it."""
        for _ in range(MOST_SIGNATURES):
            count = await self._chain.nonce(operation.sender)
            async with transaction(self._conn) as tx:
                await require_allowed(tx, self._desk.rules, operation, at)
                nonce = await self._nonce(tx, count, operation, step)
            signed = await self._signature(operation, step, nonce, at)
            if await self._store(operation, step, at, count, signed):
                return
        raise NotNow("other transactions of the wallet took the nonces that it was signed with")

    async def _nonce(self, tx: Tx, count: int, operation: OperationRow, step: StepRow) -> int:
        held = await held_nonces(tx, operation.chain_id, operation.sender, count)
        return choose_nonce(count, held, operation, step)

    async def _signature(
        self, operation: OperationRow, step: StepRow, nonce: int, at: Terms
    ) -> SignedTransaction:
        assert self._desk.signer is not None
        seconds = self._desk.sign_seconds
        try:
            async with asyncio.timeout(seconds):
                return await sign(self._desk.signer, operation, step, nonce, at)
        except TimeoutError:
            raise SignerError(f"it did not answer within {seconds:.0f} s") from None

    async def _store(
        self,
        operation: OperationRow,
        step: StepRow,
        at: Terms,
        count: int,
        signed: SignedTransaction,
    ) -> bool:
        """Whether it was kept: false where its nonce was taken meanwhile."""
        async with transaction(self._conn) as tx:
            await lock_sender(tx, operation.chain_id, operation.sender)
            current = await held(tx, operation.operation_id, self._claim_id)
            if current.steps[step.step - 1] != step:
                raise NotNow("it was changed meanwhile")
            if await self._nonce(tx, count, current, step) != signed.nonce:
                return False
            await require_allowed(tx, self._desk.rules, current, at)
            detail = "replaced by the same call at higher fees" if step.state in MOVING else None
            await operations.add_signed(
                tx, current.operation_id, step.step, signed, by_signer=True, detail=detail
            )
            self._desk.point("signed")
        return True

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

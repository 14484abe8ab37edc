"""What an operation's owner brings later: signatures, a wallet's consent, another try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from renown.api.acting import chain
from renown.api.acting.wallet import deadline_from, owner_of, signed_by_signer
from renown.api.answers.operations import no_such_operation
from renown.api.deps import Desk
from renown.chain.tx.signed import read_relayed
from renown.derive.operation import (
    APPLIED,
    MOVING,
    AnyTemplate,
    AwaitsWalletSignature,
    PlannedStep,
)
from renown.derive.plan import call_step
from renown.errors import ChainNotWritable, OperationConflict
from renown.spec import calls
from renown.spec.deployments import DEPLOYMENTS
from renown.spec.transactions import SignedTransaction, UnsignedTransaction
from renown.store import operations
from renown.store.operation_watching import finality
from renown.store.operations import OperationRow, StepRow
from renown.store.pool import Conn, Tx
from renown.types import checksum_address, parse_address

if TYPE_CHECKING:
    from renown.chain.tx.writer import ChainWriter


class Filled(msgspec.Struct, frozen=True):
    """A step whose call is known now."""

    step: int
    calldata: bytes
    prepared: UnsignedTransaction | None


class Again(msgspec.Struct, frozen=True):
    """Steps that are tried again, see `store.operations.prepare_again`."""

    prepared: dict[int, UnsignedTransaction | None]
    templates: dict[int, AnyTemplate]


async def owned(conn: Conn, operation_id: UUID, account_id: int) -> OperationRow:
    """The operation. Raises OperationNotFound unless it is this account's."""
    row = await operations.load(conn, operation_id, account_id)
    if row is None:
        raise no_such_operation(operation_id)
    return row


def read_all(raws: Sequence[str]) -> list[SignedTransaction]:
    """Signed transactions in nonce order. Raises TransactionRefused."""
    read = [read_relayed(bytes.fromhex(raw[2:])) for raw in raws]
    return sorted(read, key=lambda one: one.nonce)


async def take_signed(
    tx: Tx, operation_id: UUID, account_id: int, signed: Sequence[SignedTransaction]
) -> None:
    """Give each transaction to the step whose call it makes; all of them, or none.

    Raises:
        OperationNotFound, OperationConflict
        TransactionRefused: no step makes this call.
    """
    for one in signed:
        row = await owned(tx, operation_id, account_id)
        await operations.add_signed(tx, operation_id, _step_for(row, one), one)


def _step_for(row: OperationRow, signed: SignedTransaction) -> int:
    """The step that the transaction is of: that which has it, else the first that waits for such a
    call, else the first that is left, whose refusal says what is wrong."""
    for step in row.steps:
        if any(held.tx_hash == signed.tx_hash for held in step.signed):
            return step.step
    same = [step for step in row.steps if step.calldata == signed.calldata]
    left = [step for step in row.steps if step.state not in APPLIED]
    return next(iter([*[s for s in same if s in left], *same, *left, *row.steps])).step


async def with_wallet_signature(desk: Desk, row: OperationRow, signature: bytes) -> Filled:
    """The wallet's step, its call completed by the signature, which the contract takes.

    Raises:
        OperationConflict: no step waits for one, or its time is over.
        CallWouldFail: the contract does not take it.
    """
    step, template = _awaiting_signature(row)
    writer = writer_of(desk, row.chain_id)
    if await writer.next_time() > template.deadline:
        raise OperationConflict(
            f"the signature's deadline, {template.deadline}, has passed on the chain's clock:"
            " resume the operation for a new one",
            deadline=template.deadline,
        )
    assert row.agent_id is not None
    calldata = calls.set_agent_wallet(
        row.agent_id, parse_address(template.new_wallet), template.deadline, signature
    )
    made = call_step(DEPLOYMENTS[row.chain_id], step.contract, calldata)
    gas = await chain.estimates(writer, row.sender, [made])
    (prepared,) = await chain.prepared(desk, writer, row.sender, [made], gas)
    return Filled(step.step, calldata, prepared if row.mode == "client" else None)


def _awaiting_signature(row: OperationRow) -> tuple[StepRow, AwaitsWalletSignature]:
    for step in row.steps:
        if isinstance(step.template, AwaitsWalletSignature):
            if step.state != "prepared":
                raise OperationConflict(f"the wallet's transaction is {step.state}")
            return step, step.template
    raise OperationConflict("the operation waits for no wallet's signature")


async def tried_again(desk: Desk, row: OperationRow) -> Again:
    """What is left of an operation, looked at anew: would it pass, with which fees and nonces.

    Raises:
        OperationConflict: nothing is left, or something is on its way.
        CallWouldFail: it would fail again; the reason is the contract's.
    """
    if any(step.state in MOVING for step in row.steps):
        raise OperationConflict("a transaction is on its way: wait for it")
    left = [step for step in row.steps if step.state not in APPLIED]
    if not left:
        raise OperationConflict("nothing is left to do")
    if row.mode == "client":  # the server's signer waits by itself
        async with desk.reading() as conn:
            await _require_settled(conn, row, left)
    writer = writer_of(desk, row.chain_id)
    planned: list[PlannedStep] = []
    templates: dict[int, AnyTemplate] = {}
    for step in left:
        one = _planned(step)
        if step.function == calls.SET_AGENT_WALLET:
            one = await _wallet_anew(desk, writer, row, one)
            if one.template is not None and one.template != step.template:
                templates[step.step] = one.template
        planned.append(one)
    gas = await chain.estimates(writer, row.sender, planned)
    prepared = await chain.prepared(desk, writer, row.sender, planned, gas)
    by_step: dict[int, UnsignedTransaction | None] = {}
    for step, unsigned in zip(left, prepared, strict=True):
        # The signer chooses nonce and fees when it signs; only a new call has to be handed over.
        wanted = row.mode == "client" or step.step in templates
        if unsigned is None or not wanted:
            by_step[step.step] = None
        else:
            by_step[step.step] = _at_free_nonce(step, unsigned)
    return Again(by_step, templates)


async def _require_settled(conn: Conn, row: OperationRow, left: Sequence[StepRow]) -> None:
    """Raises OperationConflict where what would be signed could not be taken yet."""
    for step in left:
        block = operations.undone_below(step)
        if block is None:
            continue
        final, head = await finality(conn, row.chain_id)
        if block <= final:
            raise OperationConflict(
                f"what was signed for transaction {step.step} before may have taken effect:"
                f" {step.problem or 'it is being looked at'}",
                block=block,
                final_block=final,
            )
        raise OperationConflict(
            f"what ended transaction {step.step} is in block {block}, which the chain could still"
            f" undo: resume it when block {block} is final (now {final} is; the newest is {head})",
            block=block,
            final_block=final,
        )


def writer_of(desk: Desk, chain_id: int) -> ChainWriter:
    """The chain's nodes. Raises ChainNotWritable."""
    writer = desk.writers.get(chain_id)
    if writer is None:
        raise ChainNotWritable("this installation has no node to write through", chain_id=chain_id)
    return writer


def _planned(step: StepRow) -> PlannedStep:
    return PlannedStep(
        function=step.function,
        contract=step.contract,
        summary=step.summary,
        calldata=step.calldata,
        template=step.template,
    )


def _at_free_nonce(step: StepRow, unsigned: UnsignedTransaction) -> UnsignedTransaction:
    """At the nonce of what was signed before and may still land, so that only one of them can."""
    for held in step.signed:
        if not held.settled and held.used_block is None:
            return msgspec.structs.replace(unsigned, nonce=held.nonce)
    return unsigned


async def _wallet_anew(
    desk: Desk, writer: ChainWriter, row: OperationRow, step: PlannedStep
) -> PlannedStep:
    """The wallet's step with a new deadline, where the old one is over or nearly so."""
    assert row.agent_id is not None
    now = await writer.next_time()
    wallet, deadline = _wallet_and_deadline(step)
    if deadline > now + 30:
        return step
    owner = await owner_of(writer, row.agent_id)
    renewed = AwaitsWalletSignature(
        checksum_address(wallet), checksum_address(owner), deadline_from(now)
    )
    calldata = None
    if row.mode == "managed":
        on = DEPLOYMENTS[row.chain_id]
        signature = await signed_by_signer(desk, row.account_id, on, row.agent_id, renewed)
        if signature is not None:
            calldata = calls.set_agent_wallet(row.agent_id, wallet, renewed.deadline, signature)
    return msgspec.structs.replace(step, calldata=calldata, template=renewed)


def _wallet_and_deadline(step: PlannedStep) -> tuple[bytes, int]:
    if isinstance(step.template, AwaitsWalletSignature):
        return parse_address(step.template.new_wallet), step.template.deadline
    assert step.calldata is not None
    said = calls.read_call(step.calldata).arguments
    return said["wallet"], said["deadline"]

"""Operations: what was asked of the chain, how far it is, and what its owner has to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from renown.api.answers.answer import Answer, NextCursor, more
from renown.api.answers.as_of import AsOf, as_of
from renown.api.answers.values import (
    Address,
    Block,
    Count,
    Hash,
    Id,
    Key,
    address,
    hex_or_none,
)
from renown.derive.operation import (
    APPLIED,
    Act,
    AwaitsAgentId,
    AwaitsWalletSignature,
    Kind,
    Mode,
    State,
    StepState,
    next_act,
)
from renown.derive.plan import Plan
from renown.errors import OperationNotFound
from renown.spec.deployments import DEPLOYMENTS
from renown.spec.transactions import UnsignedTransaction, as_json
from renown.spec.typed_data import agent_wallet_set
from renown.store import acting, operations
from renown.store.operations import OperationRow, StepRow
from renown.store.pool import Conn
from renown.store.reads import Head
from renown.types import AgentRef, parse_address

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Moment = Annotated[datetime, Meta(tz=True, description="UTC.")]
Unsigned = Annotated[
    dict[str, str] | None,
    Meta(description="As wallets take it (`eth_sendTransaction`); null: not to be signed now."),
]
TypedData = Annotated[
    dict[str, Any] | None,
    Meta(description="What the new wallet has to sign (`eth_signTypedData_v4`), until `deadline`."),
]
NextStep = Annotated[
    Act | None,
    Meta(
        description="`sign` the first unsigned transaction (and those behind it); let the new"
        " wallet `sign-typed-data`; `wait` for the chain or the signer; `resume` what is left."
        " null: it is over."
    ),
]


class Warned(Struct):
    """Something to look at before signing."""

    code: str
    detail: str
    path: str = ""


class ActedOn(Struct):
    """The agent that an operation is about."""

    key: Key
    uuid: str
    agent_id: Id


class StepEvent(Struct):
    """One thing that happened to a transaction."""

    state: StepState
    at: Moment
    tx_hash: Hash | None
    block_number: Block | None
    block_hash: Hash | None
    detail: str | None


class OperationTransaction(Struct, kw_only=True):
    """One transaction of an operation."""

    step: Annotated[int, Meta(ge=1)]
    state: StepState
    function: str
    contract: Address
    summary: Annotated[str, Meta(description="What it does, read from its calldata.")]
    unsigned: Unsigned
    tx_hash: Hash | None
    nonce: Count | None
    block_number: Block | None
    block_hash: Hash | None
    gas_used: Count | None
    indexed: Annotated[bool, Meta(description="Whether this index has read its block.")]
    reason: Annotated[str | None, Meta(description="Why it failed or was dropped.")]
    problem: Annotated[str | None, Meta(description="What holds it up.")]
    history: list[StepEvent]


class Operation(Struct, kw_only=True):
    """One write as transactions, and how far each is."""

    id: str
    kind: Kind
    mode: Annotated[Mode, Meta(description="Who signs: the client, or the server's signer.")]
    state: State
    chain_id: int
    sender: Address
    agent: Annotated[ActedOn | None, Meta(description="null until a registration is in a block.")]
    left: Annotated[list[int], Meta(description="Steps that are in no block.")]
    next: NextStep
    typed_data: TypedData
    warnings: list[Warned]
    transactions: list[OperationTransaction]
    created_at: Moment
    updated_at: Moment
    as_of: AsOf


class BriefTransaction(Struct, kw_only=True):
    """How far one transaction of an operation is."""

    step: Annotated[int, Meta(ge=1)]
    state: StepState
    function: str
    tx_hash: Hash | None
    block_number: Block | None
    reason: Annotated[str | None, Meta(description="Why it failed or was dropped.")]
    problem: Annotated[str | None, Meta(description="What holds it up.")]


class BriefOperation(Struct, kw_only=True):
    """One write of a list. What is to be signed, and what happened: see the operation itself."""

    id: str
    kind: Kind
    mode: Mode
    state: State
    chain_id: int
    sender: Address
    agent: ActedOn | None
    left: Annotated[list[int], Meta(description="Steps that are in no block.")]
    next: NextStep
    transactions: list[BriefTransaction]
    created_at: Moment
    updated_at: Moment


class OperationPage(Struct, kw_only=True):
    """A page of the account's operations, newest first."""

    as_of: list[AsOf]
    items: list[BriefOperation]
    next_cursor: NextCursor = None


class PlannedTransaction(Struct, kw_only=True):
    """One transaction of a plan."""

    step: Annotated[int, Meta(ge=1)]
    function: str
    contract: Address
    summary: str
    unsigned: Unsigned


class PlannedOperation(Struct, kw_only=True):
    """What would be done. Nothing is stored."""

    kind: Kind
    mode: Mode
    chain_id: int
    sender: Address
    agent: ActedOn | None
    typed_data: TypedData
    warnings: list[Warned]
    transactions: list[PlannedTransaction]
    as_of: AsOf


async def one(conn: Conn, operation_id: UUID, account_id: int) -> Answer[Operation]:
    """An operation of the account.

    Raises:
        OperationNotFound: it has none such; whether another account has is not said.
    """
    row = await operations.load(conn, operation_id, account_id)
    if row is None:
        raise no_such_operation(operation_id)
    head = await acting.head_of(conn, row.chain_id)
    block = _block(row.chain_id, head)
    return Answer(_operation(row, head), [block])


async def page(
    conn: Conn,
    account_id: int,
    *,
    state: State | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[OperationPage]:
    """The account's operations, newest first."""
    start = None if after is None else (_moment(after[0]), UUID(after[1]))
    rows = await operations.page(conn, account_id, limit=limit + 1, after=start, state=state)
    shown, last = more(rows, limit)
    chains = sorted({row.chain_id for row in shown})
    heads = {head.chain_id: head for head in await acting.heads_of(conn, chains)}
    blocks = [_block(chain, heads.get(chain)) for chain in chains]
    items = [_brief(row) for row in shown]
    end = None if last is None else (_microseconds(last.created_at), str(last.operation_id))
    return Answer(OperationPage(as_of=blocks, items=items), blocks, after=end)


def planned(
    plan: Plan,
    *,
    mode: Mode,
    head: Head,
    sender: bytes,
    agent_id: int | None,
    prepared: Sequence[UnsignedTransaction | None],
    warnings: Sequence[Warned],
) -> Answer[PlannedOperation]:
    """A plan that is only looked at."""
    typed_data = None
    for step in plan.steps:
        if step.calldata is None and isinstance(step.template, AwaitsWalletSignature):
            typed_data = _typed_data(head.chain_id, agent_id, step.template)
    body = PlannedOperation(
        kind=plan.kind,
        mode=mode,
        chain_id=head.chain_id,
        sender=address(sender),
        agent=_acted_on(head.chain_id, agent_id),
        typed_data=typed_data,
        warnings=list(warnings),
        transactions=[
            PlannedTransaction(
                step=number,
                function=step.function,
                contract=address(step.contract),
                summary=step.summary,
                unsigned=None if unsigned is None else as_json(unsigned),
            )
            for number, (step, unsigned) in enumerate(zip(plan.steps, prepared, strict=True), 1)
        ],
        as_of=as_of(head),
    )
    return Answer(body, [body.as_of])


def no_such_operation(operation_id: UUID) -> OperationNotFound:
    """The error for an operation that the account does not have."""
    return OperationNotFound("this account has no such operation", operation=str(operation_id))


def next_of(row: OperationRow) -> Act | None:
    """What the owner has to do so that the operation goes on."""
    act = next_act(row.mode, row.steps)
    if act != "sign":
        return act
    waiting = next(step for step in row.steps if step.state == "prepared")
    if _unsigned(row, waiting) is not None:
        return "sign"
    # The watcher finds out gas and fees, unless the chain said that it would fail.
    is_awaited = isinstance(waiting.template, AwaitsAgentId) and waiting.problem is None
    return "wait" if is_awaited else "resume"


def _operation(row: OperationRow, head: Head | None) -> Operation:
    return Operation(
        id=str(row.operation_id),
        kind=row.kind,
        mode=row.mode,
        state=row.state,
        chain_id=row.chain_id,
        sender=address(row.sender),
        agent=_acted_on(row.chain_id, row.agent_id),
        left=[step.step for step in row.steps if step.state not in APPLIED],
        next=next_of(row),
        typed_data=_awaited(row),
        warnings=_warnings(row.request),
        transactions=[_transaction(row, step, head) for step in row.steps],
        created_at=row.created_at,
        updated_at=row.updated_at,
        as_of=_block(row.chain_id, head),
    )


def _brief(row: OperationRow) -> BriefOperation:
    return BriefOperation(
        id=str(row.operation_id),
        kind=row.kind,
        mode=row.mode,
        state=row.state,
        chain_id=row.chain_id,
        sender=address(row.sender),
        agent=_acted_on(row.chain_id, row.agent_id),
        left=[step.step for step in row.steps if step.state not in APPLIED],
        next=next_of(row),
        transactions=[
            BriefTransaction(
                step=step.step,
                state=step.state,
                function=step.function,
                tx_hash=hex_or_none(step.tx_hash),
                block_number=step.block_number,
                reason=step.reason,
                problem=step.problem,
            )
            for step in row.steps
        ],
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _transaction(row: OperationRow, step: StepRow, head: Head | None) -> OperationTransaction:
    unsigned = None if row.mode == "managed" else _unsigned(row, step)
    return OperationTransaction(
        step=step.step,
        state=step.state,
        function=step.function,
        contract=address(step.contract),
        summary=step.summary,
        unsigned=None if unsigned is None else as_json(unsigned),
        tx_hash=hex_or_none(step.tx_hash),
        nonce=step.signed[-1].nonce if step.signed else step.nonce,
        block_number=step.block_number,
        block_hash=hex_or_none(step.block_hash),
        gas_used=step.gas_used,
        indexed=head is not None
        and step.block_number is not None
        and step.block_number <= head.block_number,
        reason=step.reason,
        problem=step.problem,
        history=[
            StepEvent(
                event.state,
                event.at,
                hex_or_none(event.tx_hash),
                event.block_number,
                hex_or_none(event.block_hash),
                event.detail,
            )
            for event in row.events
            if event.step == step.step
        ],
    )


def _unsigned(row: OperationRow, step: StepRow) -> UnsignedTransaction | None:
    """What is to be signed of a step; None where that is not known, or not wanted now."""
    if (
        step.state != "prepared"
        or step.calldata is None
        or step.nonce is None
        or step.gas is None
        or step.max_fee_wei is None
        or step.priority_fee_wei is None
    ):
        return None
    return UnsignedTransaction(
        chain_id=row.chain_id,
        sender=row.sender,
        to=step.contract,
        calldata=step.calldata,
        nonce=step.nonce,
        gas=step.gas,
        max_fee_wei=step.max_fee_wei,
        priority_fee_wei=step.priority_fee_wei,
    )


def _awaited(row: OperationRow) -> dict[str, Any] | None:
    for step in row.steps:
        if step.calldata is None and isinstance(step.template, AwaitsWalletSignature):
            return _typed_data(row.chain_id, row.agent_id, step.template)
    return None


def _typed_data(
    chain_id: int, agent_id: int | None, template: AwaitsWalletSignature
) -> dict[str, Any]:
    assert agent_id is not None
    return agent_wallet_set(
        chain_id,
        DEPLOYMENTS[chain_id].identity,
        agent_id,
        parse_address(template.new_wallet),
        parse_address(template.owner),
        template.deadline,
    )


def _acted_on(chain_id: int, agent_id: int | None) -> ActedOn | None:
    if agent_id is None or chain_id not in DEPLOYMENTS:
        return None
    ref = AgentRef(chain_id, DEPLOYMENTS[chain_id].identity, agent_id)
    return ActedOn(ref.key, str(ref.uuid), str(agent_id))


def _warnings(request: Mapping[str, Any]) -> list[Warned]:
    return [Warned(**one) for one in request.get("warnings", ())]


def _block(chain_id: int, head: Head | None) -> AsOf:
    return AsOf(chain_id, None, None, None, None) if head is None else as_of(head)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND

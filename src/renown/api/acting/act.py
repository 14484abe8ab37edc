"""One write, from what was asked to an operation that is stored.

The order of the checks is that of their price: the body, who may act, what is acted on, what the
contract would say, and only then fees and nonces. Nothing of it holds a database transaction open;
the operation, its files and its signed transactions are stored in one at the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.idempotent import HEADER, prepared_once
from renown.api.access.principal import Principal, principal_of
from renown.api.acting import chain
from renown.api.acting.bodies import Acting
from renown.api.acting.reading import asked, hash_of, require_texts
from renown.api.acting.registration import checked
from renown.api.acting.signer import require_affordable, require_key
from renown.api.acting.subject import Subject, Target, find_subject
from renown.api.answers import operations as answers
from renown.api.answers.operations import Warned
from renown.api.deps import Desk, desk_of
from renown.api.replies import JSON, as_of_header
from renown.chain.tx.signed import read_relayed
from renown.derive.files import hosted_uri
from renown.derive.operation import AwaitsAgentId
from renown.derive.plan import Plan, fill_agent_id, plan, plan_of_calls
from renown.derive.writes import Register, Update, Write, refused
from renown.errors import BodyTooLarge, Unauthorized
from renown.obs import metrics
from renown.spec.transactions import SignedTransaction, UnsignedTransaction
from renown.store import hosted, operation_expiry, operations
from renown.store.operations import NewOperation
from renown.store.pool import Tx

NO_STORE = "no-store"

MakeWrite = Callable[[Subject], Awaitable[Write]]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A write that would pass, as far as anybody can tell."""

    subject: Subject
    plan: Plan
    prepared: list[UnsignedTransaction | None]
    warnings: list[Warned]


async def act(
    request: Request,
    body: Acting,
    target: Target,
    make: MakeWrite,
    expected: Mapping[str, Any] | None = None,
) -> Response:
    """Answer a request to write: 201 with the operation, or 200 with the plan of a dry run.

    Args:
        make: the write that `body` asks for, once its subject is known; not called for `relay`,
            where the calldata says it.
        expected: arguments that a relayed call must have, by name, beside the agent's id.

    Raises:
        BadParameter: the server is to sign, and the request has no Idempotency-Key.
        What `find_subject` and `derive.plan` raise, CallWouldFail, NodeError, RegistrationRefused,
        TransactionRefused, HostingFull, OperationConflict.
    """
    require_texts(msgspec.to_builtins(body))
    if body.mode == "managed" and not body.dry_run:
        require_key(request.headers.get(HEADER))
    signed = _signed(body)
    principal = principal_of(request)
    desk = desk_of(request)

    async def prepare() -> Ready:
        async with desk.reading() as conn:
            subject = await find_subject(desk, conn, principal, target, body, signed)
        ready = await _ready(desk, subject, target, make, expected or {})
        if subject.mode == "managed":
            await require_affordable(desk, subject.account_id, subject.on.chain_id, ready.prepared)
        return ready

    if body.dry_run:
        return _plan_reply(await prepare())

    async def store(tx: Tx, ready: Ready) -> Response:
        operation_id = await _stored(tx, principal, body, ready, desk.public_url)
        answer = await answers.one(tx, operation_id, account_of(principal))
        headers = {
            "Location": f"/v1/operations/{operation_id}",
            "Cache-Control": NO_STORE,
            "Renown-As-Of": as_of_header(answer.as_of),
        }
        encoded = msgspec.json.encode(answer.body)
        return Response(encoded, 201, headers=headers, media_type=JSON)

    return await prepared_once(request, principal, prepare, store, committed=_count)


async def _ready(
    desk: Desk, subject: Subject, target: Target, make: MakeWrite, expected: Mapping[str, Any]
) -> Ready:
    warnings: list[Warned] = []
    on, writer = subject.on, subject.writer
    if subject.signed:
        wanted = dict(expected)
        if subject.agent_id is not None:
            wanted["agent_id"] = subject.agent_id
        calls = [(one.to, one.calldata) for one in subject.signed]
        made = plan_of_calls(target.kind, on, calls, wanted)
    else:
        write = await make(subject)
        if isinstance(write, Register | Update) and write.content is not None:
            warnings += checked(write.content)
        made = plan(write, on, subject.agent_id)
        _require_hostable(made, subject)
    prepared: list[UnsignedTransaction | None] = [None] * len(made.steps)
    if subject.signed:
        await chain.require_passing(writer, subject.sender, made.steps, subject.signed)
    else:
        gas = await chain.estimates(writer, subject.sender, made.steps)
        prepared = await chain.prepared(desk, writer, subject.sender, made.steps, gas)
        lacks = await chain.funds_warning(writer, subject.sender, prepared)
        if lacks is not None:
            warnings.append(Warned("insufficient-funds", lacks))
    return Ready(subject=subject, plan=made, prepared=prepared, warnings=warnings)


async def _stored(
    tx: Tx, principal: Principal, body: Acting, ready: Ready, public_url: str
) -> UUID:
    subject = ready.subject
    account_id = account_of(principal)
    for content in ready.plan.files:
        await hosted.keep(tx, account_id, content)
    new = NewOperation(
        account_id=account_id,
        chain_id=subject.on.chain_id,
        kind=ready.plan.kind,
        mode=subject.mode,
        sender=subject.sender,
        agent_id=subject.agent_id,
        request={"asked": asked(body), "warnings": msgspec.to_builtins(ready.warnings)},
    )
    # The signer chooses nonces when it signs; what was found out here would be old by then.
    by_client = ready.prepared if subject.mode == "client" else [None] * len(ready.prepared)
    operation_id = await operations.create(tx, new, ready.plan.steps, by_client)
    for content in ready.plan.files:
        await operation_expiry.needs_file(
            tx, operation_id, hosted_uri(public_url, content), content
        )
    for step, signed in enumerate(subject.signed, 1):
        await operations.add_signed(tx, operation_id, step, signed)
    return operation_id


def _plan_reply(ready: Ready) -> Response:
    subject = ready.subject
    answer = answers.planned(
        ready.plan,
        mode=subject.mode,
        head=subject.head,
        sender=subject.sender,
        agent_id=subject.agent_id,
        prepared=ready.prepared,
        warnings=ready.warnings,
    )
    headers = {"Cache-Control": NO_STORE, "Renown-As-Of": as_of_header(answer.as_of)}
    return Response(msgspec.json.encode(answer.body), headers=headers, media_type=JSON)


def _signed(body: Acting) -> tuple[SignedTransaction, ...]:
    if body.mode != "relay":
        if body.transactions is not None:
            raise refused("transactions", "are for `relay`")
        return ()
    if not body.transactions:
        raise refused("transactions", "are needed: signed ones")
    read = [read_relayed(hash_of(raw)) for raw in body.transactions]
    return tuple(sorted(read, key=lambda one: one.nonce))


def _require_hostable(made: Plan, subject: Subject) -> None:
    files = list(made.files)
    for step in made.steps:
        if isinstance(step.template, AwaitsAgentId):
            on = subject.on
            _, content = fill_agent_id(step.template, 2**63 - 1, on.chain_id, on.identity)
            files += [] if content is None else [content]
    if any(len(content) > hosted.MOST_FILE_BYTES for content in files):
        raise BodyTooLarge(
            f"a hosted file has at most {hosted.MOST_FILE_BYTES} bytes",
            most_bytes=hosted.MOST_FILE_BYTES,
        )


def account_of(principal: Principal) -> int:
    """Whose request it is. Raises Unauthorized for nobody's."""
    if principal.account_id is None:
        raise Unauthorized("a key is needed to change things")
    return principal.account_id


def _count(ready: Ready) -> None:
    metrics.OPERATIONS_ASKED.labels(ready.plan.kind, ready.subject.mode).inc()

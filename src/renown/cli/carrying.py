"""One write from the question to the block: ask for the plan, show it, sign it, see it through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from renown.cli.acting import Actor, How, confirm
from renown.cli.checking import (
    check,
    check_fee,
    check_typed_data,
    cost_wei,
    highest_fee_wei,
    hosted_base,
    is_same_site,
    read_unsigned,
)
from renown.cli.console import clean, err, print_fields, print_json, print_table, say
from renown.derive.files import File
from renown.derive.operation import PlannedStep
from renown.derive.plan import plan
from renown.derive.writes import SetWallet, Write
from renown.errors import EX_DATAERR, BadParameter, TransactionRefused
from renown.sdk import Operation, OperationTransaction, read_operation, wait
from renown.sdk.client import idempotency_key
from renown.spec.deployments import DEVNET_CHAIN_ID, Deployment
from renown.types import checksum_address

if TYPE_CHECKING:
    from renown.chain.tx.signer import LocalSigner

WEI = 10**18


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A write as it was asked for: to the API, and as what has to come of it.

    `new_wallet` holds the key of the wallet that an agent is to get.
    """

    method: str
    path: str
    body: dict[str, Any]
    write: Write
    on: Deployment
    agent_id: int | None = None
    new_wallet: Any = None  # LocalSigner | None

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """What the transactions have to be."""
        return plan(self.write, self.on, self.agent_id).steps


async def carry_out(actor: Actor, asked: Asked) -> int:
    """Do it, as far as the options say; the exit code.

    Raises:
        TransactionRefused: the API prepared something else than was asked for.
        RenownError: as the API has it.
        typer.Abort: the answer to the question was no.
    """
    how = actor.how
    require_own_chain(actor, asked.on.chain_id)
    body = asked.body | {"from": checksum_address(actor.address), "mode": actor.mode}
    told = await _ask(actor, asked, body | {"dry_run": True})
    ours = actor.signer is not None
    asked = agree_on_host(actor, told, asked)
    check(told, asked.steps, asked.on, actor.address, ours=ours)
    show_plan(told, how)
    if how.dry_run:
        return 0
    confirm(how, "Sign and send?" if ours else "Have the server sign it?")
    begun = await _ask(actor, asked, body, key=idempotency_key())
    asked = agree_on_host(actor, begun, asked)
    check(begun, asked.steps, asked.on, actor.address, ours=ours)
    if begun.next == "sign-typed-data" and isinstance(asked.write, SetWallet):
        begun, asked = await let_wallet_sign(actor, begun, asked, asked.write)
    return await see_through(actor, begun, asked, highest_fee_wei(told.transactions))


async def let_wallet_sign(
    actor: Actor, begun: Operation, asked: Asked, write: SetWallet
) -> tuple[Operation, Asked]:
    """Have the new wallet sign that it will be the agent's; the operation, and what is asked now.

    Raises:
        BadParameter: its key is not here.
        TransactionRefused: the API wants something else signed.
    """
    signer: LocalSigner | None = asked.new_wallet
    if signer is None or asked.agent_id is None:
        raise BadParameter(
            "the new wallet has to sign, too: give --wallet-keystore or --wallet-devnet-account"
        )
    owner, deadline = check_typed_data(begun, asked.on, asked.agent_id, write.wallet)
    typed_data = begun.typed_data or {}
    signature = await signer.sign_typed_data(write.wallet, typed_data)
    answer = await actor.api.post(
        f"/v1/operations/{begun.id}/signature",
        {"signature": f"0x{signature.hex()}"},
        key=idempotency_key(),
    )
    signed = SetWallet(wallet=write.wallet, owner=owner, deadline=deadline, signature=signature)
    return read_operation(answer), msgspec.structs.replace(asked, write=signed)


async def see_through(actor: Actor, begun: Operation, asked: Asked, fee_wei: int) -> int:
    """Sign what there is to sign and wait, as often as it takes; the exit code.

    `fee_wei` is what was shown per unit of gas; 0: nothing was, so it is asked before it is signed.
    """
    operation = begun
    for _ in begun.transactions:  # each is signed once
        if operation.is_waiting_for_fees and actor.signer is not None:
            operation = await tried_again(actor, operation)
        if operation.next == "sign" and actor.signer is not None:
            asked = agree_on_host(actor, operation, asked)
            check(operation, asked.steps, asked.on, actor.address)
            fee_wei = fee_wei or ask_about_fee(actor, operation)
            operation = await sign_and_relay(actor, operation, fee_wei)
        operation = await watched(actor, operation)
        goes_on = operation.next == "sign" or operation.is_waiting_for_fees
        if not goes_on or actor.how.wait == "none":
            break
    return report(operation, actor.how)


async def tried_again(actor: Actor, operation: Operation) -> Operation:
    """Have the API prepare what is left once more: nonce, gas and fees of now."""
    path = f"/v1/operations/{operation.id}/resume"
    return read_operation(await actor.api.post(path, {}, key=idempotency_key()))


async def sign_and_relay(actor: Actor, operation: Operation, fee_wei: int) -> Operation:
    """Sign the prepared transactions, which were checked, and hand them to the API."""
    assert actor.signer is not None
    require_own_chain(actor, operation.chain_id)
    ready = to_sign(operation)
    check_fee(fee_wei, ready)
    raws = [f"0x{(await actor.signer.sign(read_unsigned(one))).hex()}" for one in ready]
    path = f"/v1/operations/{operation.id}/transactions"
    answer = await actor.api.post(path, {"transactions": raws}, key=idempotency_key())
    return read_operation(answer)


def agree_on_host(actor: Actor, told: Operation, asked: Asked) -> Asked:
    """What was asked, with where the API hosts its file: at the API itself, or where the user says
    yes to. Once that is settled it stays.

    Raises:
        TransactionRefused: it is elsewhere, and --yes leaves nobody to ask.
        typer.Abort: the answer was no.
    """
    content = getattr(asked.write, "content", None)
    if not isinstance(content, File) or not content.hosted or content.base_url:
        return asked
    base = hosted_base(told)
    if base is None:
        return asked
    if not is_same_site(base, actor.api.url):
        where = f"the file would be served at {clean(base)}, and the API is at {actor.api.url}"
        if actor.how.dry_run:
            say(f"warning: {where}")
        elif actor.how.yes:
            raise TransactionRefused(
                f"{where}: is RENOWN_PUBLIC_URL what clients call? Without --yes you are asked"
            )
        else:
            say(where)
            confirm(actor.how, "Is that right?")
    placed = File(content.fields, hosted=True, base_url=base)
    write = msgspec.structs.replace(asked.write, content=placed)
    return msgspec.structs.replace(asked, write=write)


def to_sign(operation: Operation) -> list[OperationTransaction]:
    """The prepared transactions that can be signed now, in order; at least one.

    Raises:
        TransactionRefused: there is none, though the API wants a signature.
    """
    ready = []
    for one in operation.transactions:
        if one.state == "prepared":
            if one.unsigned is None:
                break  # what follows waits, too
            ready.append(one)
    if not ready:
        raise TransactionRefused("the API wants a signature and shows nothing to sign")
    return ready


async def watched(actor: Actor, operation: Operation) -> Operation:
    """Wait as the options say, with a line on a terminal that tells how far it is."""
    if operation.id is None or actor.how.wait == "none":
        return operation
    until = actor.how.wait
    console = err()
    if not console.is_terminal:
        return await wait(actor.api, operation.id, until)
    with console.status("waiting") as status:

        def changed(now: Operation) -> None:
            status.update(clean(_standing(now, until)))

        return await wait(actor.api, operation.id, until, changed=changed)


def ask_about_fee(actor: Actor, operation: Operation) -> int:
    """Show what it costs, which could not be known before, and ask; wei per unit of gas."""
    ready = to_sign(operation)
    say(f"costs at most {ether(cost_wei(ready))} ether")
    confirm(actor.how, "Sign and send?")
    return highest_fee_wei(ready)


def require_own_chain(actor: Actor, chain_id: int) -> None:
    """Raises BadParameter where a wallet of the devnet would sign for another chain."""
    if actor.devnet_only and chain_id != DEVNET_CHAIN_ID:
        raise BadParameter("the accounts of the devnet are everybody's: they sign nowhere else")


def show_plan(told: Operation, how: How) -> None:
    """The plan, for people; on stdout where it is the result."""
    if how.dry_run and how.json:
        print_json(told)
        return
    rows = [_row(one) for one in told.transactions]
    if how.dry_run:
        print_table(("step", "function", "contract", "gas", "most it costs"), rows)
    for one in told.transactions:
        say(f"{one.step}. {one.summary}")
    for warning in told.warnings:
        say(f"warning: {_words(warning)}")
    say(f"signed by {told.sender}; {_cost(told.transactions)}")


def report(operation: Operation, how: How) -> int:
    """Say what became of it; the exit code."""
    if how.json:
        print_json(operation)
    else:
        fields: list[tuple[str, Any]] = [("operation", operation.id), ("state", operation.state)]
        if operation.agent is not None:
            fields += [("agent", operation.agent.key), ("uuid", operation.agent.uuid)]
        fields += [
            (f"transaction {one.step}", f"{one.tx_hash or '-'} {one.state}")
            for one in operation.transactions
        ]
        print_fields(fields)
    for one in operation.transactions:
        if one.reason:
            say(f"transaction {one.step}: {one.reason}")
        elif one.problem:
            say(f"transaction {one.step} is held up: {one.problem}")
    if operation.has_failed:
        resumed = f"`renown operation {operation.id} --resume` tries the rest"
        say(f"it is {operation.state}; {resumed}{_when(operation)}")
        return EX_DATAERR
    return 0


def _when(operation: Operation) -> str:
    """What was in a block, and failed there, is signed again when that block cannot be undone."""
    if operation.mode == "managed":
        return ""  # the server waits for that by itself
    blocks = [
        one.block_number
        for one in operation.transactions
        if one.state == "failed" and one.block_number is not None
    ]
    return f" when block {max(blocks)} is final" if blocks else ""


def ether(wei: int) -> str:
    """Wei as ether, exactly, without trailing zeros."""
    whole, rest = divmod(wei, WEI)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


async def _ask(
    actor: Actor, asked: Asked, body: dict[str, Any], key: str | None = None
) -> Operation:
    answer = await actor.api.send(asked.method, asked.path, body=body, key=key)
    return read_operation(answer)


def _row(one: OperationTransaction) -> Sequence[Any]:
    if one.unsigned is None:
        return one.step, one.function, one.contract, "later", "later"
    unsigned = read_unsigned(one)
    return (
        *(one.step, one.function, one.contract, unsigned.gas),
        ether(unsigned.gas * unsigned.max_fee_wei),
    )


def _cost(transactions: Sequence[OperationTransaction]) -> str:
    """What they cost, as far as that is known; a call that waits for another cannot be tried."""
    if all(one.unsigned is None for one in transactions):
        return "what it costs shows when it can be tried"
    later = any(one.unsigned is None for one in transactions)
    known = f"costs at most {ether(cost_wei(transactions))} ether"
    return f"{known}, and what shows later" if later else known


def _standing(now: Operation, until: str) -> str:
    done = sum(one.state in ("included", "final") for one in now.transactions)
    return f"{now.state}: {done} of {len(now.transactions)} in a block; waiting until {until}"


def _words(warning: Any) -> str:
    if isinstance(warning, dict):
        said = [warning.get(name) for name in ("code", "path", "detail", "title")]
        return " ".join(str(one) for one in said if one)
    return str(warning)

"""`renown pay`: pay an agent in a token, and have the payment counted."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from renown.cli import process
from renown.cli.acting import Actor, How, acting, acts, confirm
from renown.cli.console import print_fields, print_json, say
from renown.cli.options import Key, examples
from renown.errors import (
    EX_DATAERR,
    BadParameter,
    BadSettings,
    CallWouldFail,
    NodeError,
    PaymentRefused,
    TransactionNotFound,
)
from renown.types import checksum_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from renown.chain.tx.writer import ChainWriter
    from renown.cli.acted_on import ActedOn
    from renown.settings import Settings
    from renown.spec.deployments import Deployment
    from renown.spec.tokens import Token, Tokens

DEVNET_NODE = "http://127.0.0.1:8545"
"""Where `renown devnet` and `renown up` listen, unless the port is taken."""
RECEIPT_TRIES, RECEIPT_PAUSE_SECONDS = 360, 0.5
LINK_TRIES = 8
ZERO = bytes(20)
_MOST_DECIMALS = 77
"""That a token's amounts can have: 10^77 is the largest power in 256 bits."""


class Transfer(msgspec.Struct, frozen=True):
    """What is to be paid: `units` of the token's smallest unit."""

    token: Token
    payee: bytes
    units: int


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown pay 8453:42 0.25 --keystore wallet.json",
            "renown pay 31337:100 2.5 --devnet-account 1 --yes-unproven",
            "renown pay 8453:42 --link 0xHASH",
        )
    )(acts(pay))


def pay(
    how: How,
    key: Key,
    amount: Annotated[
        str | None, typer.Argument(metavar="[AMOUNT]", help="In whole tokens: 0.25, 10.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="SYMBOL|ADDRESS",
            help="One of the chain's tokens that count; USDC, or the devnet's dollar, by default.",
        ),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(metavar="TX", help="Pay nothing; link this payment, which was made already."),
    ] = None,
    yes_unproven: Annotated[
        bool,
        typer.Option(
            "--yes-unproven",
            help="Also pay a wallet that nobody has proved: the registration put the owner there.",
        ),
    ] = False,
) -> None:
    """Pay an agent: a transfer of a token to its wallet, which is then linked to it.

    The wallet is read from the chain, not from the API. The transfer goes through RPC_URL. To link
    it, the account should have proved the wallet that pays: `renown wallet prove`.
    """
    if (amount is None) is (link is None):
        raise BadParameter("give an AMOUNT to pay, or --link a payment that was made")

    async def work() -> int:
        from renown.cli.acted_on import find_agent
        from renown.cli.carrying import require_own_chain
        from renown.cli.runtime import load

        settings = load()
        if link is not None:
            return await _link_only(settings, key, link, how)
        if how.managed:
            raise BadParameter("the server's signer calls registries only: pay with a key of yours")
        assert amount is not None
        units_of(amount, _MOST_DECIMALS)  # is it one, whatever the token?
        async with acting(how) as actor:
            agent = await find_agent(actor.api, key)
            require_own_chain(actor, agent.on.chain_id)
            chosen = token_named(settings.tokens, agent.on, token)
            async with _writer(settings, agent.on) as writer:
                payee = await wallet_to_pay(writer, agent, yes_unproven=yes_unproven)
                wanted = Transfer(chosen, payee, units_of(amount, chosen.decimals))
                tx_hash = await _transfer(actor, writer, wanted)
            if tx_hash is None:
                return 0
            return await _linked(actor.api, agent, tx_hash, how)

    process.run(work)


def token_named(tokens: Tokens, on: Deployment, text: str | None) -> Token:
    """A token that counts on the chain, by symbol or address; the first without either."""
    known = list(tokens.get(on.chain_id, {}).values())
    for one in known:
        if text is None or text.lower() in (one.symbol.lower(), f"0x{one.address.hex()}"):
            return one
    names = ", ".join(one.symbol for one in known) or "none"
    raise BadParameter(f"--token: payments on {on.name} count in {names}; see RENOWN_TOKENS")


def units_of(amount: str, decimals: int) -> int:
    """An amount of whole tokens in the token's smallest unit, exactly. Raises BadParameter."""
    try:
        exact = Decimal(amount)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or exact <= 0 or re.fullmatch(r"[0-9.]{1,60}", amount) is None:
        raise BadParameter(f"{amount}: an amount is a number above 0, such as 0.25")
    digits, shift = exact.as_tuple().digits, int(exact.as_tuple().exponent) + decimals
    whole: int = int("".join(map(str, digits)))
    if shift < 0 and whole % 10**-shift:
        raise BadParameter(f"{amount}: the token has {decimals} decimals only")
    return int(whole * 10**shift if shift >= 0 else whole // 10**-shift)


async def wallet_to_pay(writer: ChainWriter, agent: ActedOn, *, yes_unproven: bool) -> bytes:
    """The agent's wallet, as the chain has it now.

    Raises:
        PaymentRefused: it has none, or one that nobody has proved and that is not wanted.
    """
    from renown.spec.calldata import encode_call

    call = encode_call("getAgentWallet(uint256)", agent.ref.agent_id)
    said = await writer.call(agent.on.identity, call)
    wallet = said[-20:] if len(said) == 32 else ZERO
    if wallet == ZERO:
        raise PaymentRefused("the agent has no wallet: whoever it belongs to now has set none yet")
    is_default = agent.wallet_state != "proved" or wallet != agent.wallet
    if is_default and not yes_unproven:
        raise PaymentRefused(
            f"nobody has proved the wallet {checksum_address(wallet)}: it is there since the "
            "registration, or the index does not know it yet. --yes-unproven pays it all the same"
        )
    return wallet


async def _transfer(actor: Actor, writer: ChainWriter, wanted: Transfer) -> str | None:
    """Show, ask, sign, send and wait; the transaction's hash, None for a dry run."""
    from renown.cli.carrying import ether
    from renown.spec.calldata import encode_call
    from renown.spec.transactions import UnsignedTransaction

    assert actor.signer is not None
    token = wanted.token
    call = encode_call("transfer(address,uint256)", wanted.payee, wanted.units)
    gas = await writer.estimate(actor.address, token.address, call)
    fees = await writer.fees()
    unsigned = UnsignedTransaction(
        chain_id=writer.chain_id,
        sender=actor.address,
        to=token.address,
        calldata=call,
        nonce=await writer.nonce(actor.address, "pending"),
        gas=gas,
        max_fee_wei=fees.max_fee_wei,
        priority_fee_wei=fees.priority_fee_wei,
    )
    shown = Decimal(wanted.units).scaleb(-token.decimals)
    say(f"1. Transfer {shown} {token.symbol} to {checksum_address(wanted.payee)}")
    say(
        f"signed by {checksum_address(actor.address)}; "
        f"costs at most {ether(gas * fees.max_fee_wei)} ether beside it"
    )
    if actor.how.dry_run:
        return None
    confirm(actor.how, "Sign and send?")
    raw = await actor.signer.sign(unsigned)
    sent = await writer.send(raw)
    tx_hash = _hash_of(raw)
    if sent.verdict == "refused":
        raise CallWouldFail(f"no node takes the transfer: {sent.reason}")
    say(f"sent as {tx_hash}")
    await _in_a_block(writer, tx_hash)
    return tx_hash


async def _in_a_block(writer: ChainWriter, tx_hash: str) -> None:
    for _ in range(RECEIPT_TRIES):
        with suppress(NodeError):  # it may be in a block all the same
            receipt = await writer.receipt(bytes.fromhex(tx_hash[2:]))
            if receipt is not None and not receipt.succeeded:
                raise PaymentRefused(f"the transfer {tx_hash} failed on the chain")
            if receipt is not None:
                return
        await asyncio.sleep(RECEIPT_PAUSE_SECONDS)
    say(f"{tx_hash} is in no block yet; it is linked all the same, and counts when it is")


async def _linked(api: Any, agent: ActedOn, tx_hash: str, how: How) -> int:
    """Link a payment, and wait as far as is wanted; the exit code."""
    from renown.sdk.client import idempotency_key

    for attempt in range(1, LINK_TRIES + 1):
        try:
            body = await api.post(
                f"{agent.path}/payments", {"tx_hash": tx_hash}, key=idempotency_key()
            )
            break
        except TransactionNotFound:  # the API's node may be behind ours
            if attempt == LINK_TRIES:
                say(f"link it later: `renown pay {agent.ref.key} --link {tx_hash}`")
                raise
            await asyncio.sleep(1.0)
    while how.wait == "final" and _state(body) in ("pending", "included"):
        await asyncio.sleep(1.0)
        body = await api.get(f"/v1/payments/{body['claim']['claim']}")
    if how.json:
        print_json(body)
    else:
        claim = body.get("claim", {})
        fields = [("claim", claim.get("claim")), ("state", _state(body)), ("transaction", tx_hash)]
        print_fields(fields)
    if _state(body) == "refused":
        say(f"refused: {body['claim'].get('detail') or body['claim'].get('reason')}")
        return EX_DATAERR
    return 0


async def _link_only(settings: Settings, key: str, tx_hash: str, how: How) -> int:
    from renown.cli.acted_on import find_agent
    from renown.cli.acting import connected

    if re.fullmatch(r"0x[0-9a-fA-F]{64}", tx_hash) is None:
        raise BadParameter("--link: a transaction is 0x and 64 hex digits")
    async with connected(settings) as api:
        agent = await find_agent(api, key)
        return await _linked(api, agent, tx_hash.lower(), how)


@asynccontextmanager
async def _writer(settings: Settings, on: Deployment) -> AsyncIterator[ChainWriter]:
    from renown.chain.tx.writer import writers_for
    from renown.spec.deployments import DEVNET_CHAIN_ID, endpoints

    urls = settings.rpc_urls.get(on.chain_id) or endpoints(on.chain_id)
    if not urls and on.chain_id == DEVNET_CHAIN_ID:
        urls = (DEVNET_NODE,)
    if not urls:
        raise BadSettings(f"no public node is known for {on.slug}: set RPC_URL to one of yours")
    writer = writers_for({on.chain_id: urls})[on.chain_id]
    try:
        await writer.start()
        yield writer
    finally:
        await writer.close()


def _state(body: dict[str, Any]) -> str:
    claim = body.get("claim")
    return str(claim.get("state", "")) if isinstance(claim, dict) else ""


def _hash_of(raw: bytes) -> str:
    from eth_hash.auto import keccak

    return f"0x{keccak(raw).hex()}"

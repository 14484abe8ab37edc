"""`renown wallet`: wallets of the account, and those that agents are paid at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from renown.cli import process
from renown.cli.acting import How, acting, acts, local_signer
from renown.cli.console import print_fields, print_json
from renown.cli.options import Key, examples
from renown.errors import BadParameter, WalletProofRefused
from renown.types import checksum_address, parse_address


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Prove a wallet to be yours; set or take away the one an agent is paid at.",
        epilog=examples("renown wallet prove --devnet-account 0", "renown wallet unset 8453:42"),
        no_args_is_help=True,
    )
    group.command(
        epilog=examples(
            "renown wallet prove --keystore wallet.json",
            "renown wallet prove --devnet-account 0",
        )
    )(acts(prove))
    group.command(
        "set",
        epilog=examples(
            "renown wallet set 8453:42 0xNEW --wallet-keystore new.json",
            "renown wallet set 31337:100 0xNEW --devnet-account 0 --wallet-devnet-account 3",
        ),
    )(acts(set_wallet))
    group.command("unset", epilog=examples("renown wallet unset 8453:42"))(acts(unset))
    app.add_typer(group, name="wallet")


def prove(how: How) -> None:
    """Prove that a wallet is the account's, so that it may act for it.

    The wallet signs a message (Sign-In with Ethereum) that names the account; no transaction.
    """
    if how.managed:
        raise BadParameter("the server's wallets are the server's: there is nothing to prove")

    async def work() -> int:
        async with acting(how) as actor:
            address = checksum_address(actor.address)
            given = await actor.api.post("/v1/account/wallets/challenge", {"address": address})
            message = str(given.get("message", ""))
            check_message(message, actor.address, actor.api.url)
            if how.dry_run:
                print_json(given)
                return 0
            assert actor.signer is not None
            signature = await actor.signer.sign_message(actor.address, message.encode())
            proved = await actor.api.post(
                "/v1/account/wallets",
                {"message": message, "signature": f"0x{signature.hex()}"},
            )
            if how.json:
                print_json(proved)
            else:
                print_fields([("address", proved.get("address")), ("proof", proved.get("proof"))])
            return 0

    process.run(work)


def set_wallet(
    how: How,
    key: Key,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The new wallet.")],
    wallet_keystore: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keystore file of the new wallet.")
    ] = None,
    wallet_devnet_account: Annotated[
        int | None,
        typer.Option(min=0, max=9, metavar="N", help="The new wallet is this one of the devnet."),
    ] = None,
) -> None:
    """Set the wallet that an agent is paid at. The new wallet signs, too, and has five minutes.

    Where it is the wallet that acts, its signature is made without being asked for.
    """

    async def work() -> int:
        from renown.cli.acted_on import find_agent
        from renown.cli.carrying import Asked, carry_out
        from renown.cli.runtime import load
        from renown.derive.writes import SetWallet

        wallet = parse_address(address)
        async with acting(how) as actor:
            signer = None
            if wallet_keystore is not None or wallet_devnet_account is not None:
                signer = await local_signer(load(), wallet_keystore, wallet_devnet_account)
            elif wallet == actor.address:
                signer = actor.signer
            if signer is not None and wallet not in signer.addresses:
                raise BadParameter("that key is not the new wallet's")
            agent = await find_agent(actor.api, key)
            asked = Asked(
                method="POST",
                path=f"{agent.path}/wallet",
                body={"wallet": checksum_address(wallet)},
                # Owner and deadline are the API's to say; they are put in before it is signed.
                write=SetWallet(wallet=wallet, owner=agent.owner, deadline=0),
                on=agent.on,
                agent_id=agent.ref.agent_id,
                new_wallet=signer,
            )
            return await carry_out(actor, asked)

    process.run(work)


def unset(how: How, key: Key) -> None:
    """Take an agent's wallet away. It cannot be paid then."""

    async def work() -> int:
        from renown.cli.acted_on import find_agent
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.writes import UnsetWallet

        async with acting(how) as actor:
            agent = await find_agent(actor.api, key)
            asked = Asked(
                method="POST",
                path=f"{agent.path}/wallet",
                body={"wallet": None},
                write=UnsetWallet(),
                on=agent.on,
                agent_id=agent.ref.agent_id,
            )
            return await carry_out(actor, asked)

    process.run(work)


def check_message(text: str, address: bytes, api_url: str) -> None:
    """A message to sign is one of this API's (EIP-4361), for this wallet, and no more.

    Raises:
        WalletProofRefused: it is for another site or wallet, or is something else altogether.
    """
    from renown.cli.checking import LOOPBACK
    from renown.spec.siwe import parse

    try:
        message = parse(text)
    except ValueError as exc:
        raise WalletProofRefused(f"what the API wants signed is {exc}") from None
    if message.address != address:
        raise WalletProofRefused("the API wants another wallet's word")
    here, there = urlsplit(api_url), urlsplit(f"//{message.domain}")
    same_host = here.hostname == there.hostname or {here.hostname, there.hostname} <= LOOPBACK
    if not same_host or here.port != there.port:
        raise WalletProofRefused(
            f"the message is for {message.domain}, and the API is at {here.netloc}: "
            "is RENOWN_PUBLIC_URL what clients call?"
        )

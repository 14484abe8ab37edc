"""`renown accounts`: who may act through this installation, and how much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from renown.cli import process
from renown.cli.console import print_fields, print_json, print_table, say
from renown.cli.options import Json, Yes, examples
from renown.errors import BadParameter, NotFound
from renown.types import checksum_address, parse_address

if TYPE_CHECKING:
    from renown.store.accounts import AccountRow, AccountTier
    from renown.store.pool import Conn, Tx

_accounts = typer.Typer(
    name="accounts",
    help="Accounts: who may act, and at which limits.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("renown accounts list", "renown accounts tier demo pro"),
)
AccountArgument = Annotated[
    str,
    typer.Argument(metavar="ACCOUNT", help="Its UUID, or its name where no other has that name."),
]
WalletArgument = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="A wallet of the server's signer.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _accounts.command(
        "list", epilog=examples("renown accounts list", "renown accounts list --json")
    )(list_)
    _accounts.command("tier", epilog=examples("renown accounts tier demo pro"))(tier)
    _accounts.command(
        "grant-signer",
        epilog=examples(
            "renown accounts grant-signer demo 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        ),
    )(grant_signer)
    _accounts.command(
        "revoke-signer",
        epilog=examples(
            "renown accounts revoke-signer demo 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        ),
    )(revoke_signer)
    _accounts.command(
        "operator",
        epilog=examples(
            "renown accounts operator demo --on", "renown accounts operator demo --off"
        ),
    )(operator)
    _accounts.command(
        "close", epilog=examples("renown accounts close demo", "renown accounts close demo --yes")
    )(close)
    app.add_typer(_accounts)


def list_(json: Json = False) -> None:
    """List all accounts, the oldest first."""
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.store.accounts import all_accounts
        from renown.store.signer_grants import all_grants

        async with database(settings) as where, where.reading() as conn:
            granted = await all_grants(conn)
            rows = [shape(row, granted.get(row.account_id, ())) async for row in all_accounts(conn)]
        if json:
            print_json({"items": rows})
        elif rows:
            print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
        else:
            say("there is no account yet; `renown keys create NAME` makes one with a key")

    process.run(work)


def tier(
    account: AccountArgument,
    tier: Annotated[str, typer.Argument(metavar="TIER", help="`free`, `pro` or `enterprise`.")],
    json: Json = False,
) -> None:
    """Put an account on a tier. Its keys have that tier's limits at once."""
    from renown.cli.runtime import database, load

    wanted = tier_named(tier)
    settings = load()

    async def work() -> None:
        from renown.store.accounts import set_tier
        from renown.store.pool import transaction
        from renown.store.signer_grants import granted_to

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            row = await set_tier(tx, (await account_named(tx, account)).account_id, wanted)
            granted = await granted_to(tx, row.account_id)
        _print(row, granted, json)

    process.run(work)


def operator(
    account: AccountArgument,
    on: Annotated[
        bool | None,
        typer.Option("--on/--off", help="Make it an operator's, or no longer.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Let an account see and review all of the audit log, and mark agents; or no longer.

    Its keys still need the scopes `audit` and `write` for that.
    """
    from renown.cli.runtime import database, load

    if on is None:
        raise BadParameter("say --on or --off", parameter="--on")
    settings = load()

    async def work() -> None:
        from renown.store.accounts import set_operator
        from renown.store.pool import transaction
        from renown.store.signer_grants import granted_to

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            row = await set_operator(tx, (await account_named(tx, account)).account_id, on)
            granted = await granted_to(tx, row.account_id)
        _print(row, granted, json)

    process.run(work)


def grant_signer(account: AccountArgument, wallet: WalletArgument, json: Json = False) -> None:
    """Let a wallet of the server's signer act for this account, and for no other.

    Whoever acts by a wallet controls every agent that it owns, so each wallet serves one account.
    """
    from renown.store.signer_grants import grant_wallet

    _change_grants(grant_wallet, account, wallet, json)


def revoke_signer(account: AccountArgument, wallet: WalletArgument, json: Json = False) -> None:
    """Take a wallet of the server's signer from an account. What was signed before goes on."""
    from renown.store.signer_grants import revoke_wallet

    _change_grants(revoke_wallet, account, wallet, json)


def _change_grants(
    change: Callable[[Tx, int, bytes], Awaitable[None]], account: str, wallet: str, json: bool
) -> None:
    from renown.cli.runtime import database, load

    address = parse_address(wallet)
    settings = load()

    async def work() -> None:
        from renown.store.pool import transaction
        from renown.store.signer_grants import granted_to

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            held = await account_named(tx, account)
            await change(tx, held.account_id, address)
            granted = await granted_to(tx, held.account_id)
        _print(held, granted, json)

    process.run(work)


def close(account: AccountArgument, yes: Yes = False) -> None:
    """Close an account for good: its keys are revoked, and others may prove its wallets."""
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.store.accounts import close_account
        from renown.store.api_keys import keys_of
        from renown.store.pool import transaction
        from renown.store.signer_grants import granted_to
        from renown.store.wallets import wallets_of

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            held = await account_named(tx, account)
            keys = await keys_of(tx, held.account_id, limit=1000)
            granted = await granted_to(tx, held.account_id)
            wallets = await wallets_of(tx, held.account_id)
            print_fields(
                {**shape(held, granted), "keys": len(keys), "wallets": len(wallets)}.items()
            )
            if not yes:
                say("nothing was closed; add --yes to close this account")
                return
            await close_account(tx, held.account_id)
            say(f"account {held.uuid} is closed")

    process.run(work)


async def account_named(conn: Conn, text: str) -> AccountRow:
    """The account of that UUID, or of that name if it is the only open one.

    Raises:
        NotFound: there is none.
        BadParameter: several have the name.
    """
    from renown.store.accounts import find_account, named_accounts

    try:
        return await find_account(conn, UUID(text))
    except ValueError:
        pass
    named = await named_accounts(conn, text)
    if not named:
        raise NotFound(f"no open account is called {text[:100]!r}; see `renown accounts list`")
    if len(named) > 1:
        raise BadParameter(
            f"several accounts are called {text[:100]!r}: name one by its UUID", parameter="ACCOUNT"
        )
    return named[0]


def tier_named(text: str) -> AccountTier:
    """A tier that an account can have. Raises BadParameter."""
    from renown.store.accounts import TIERS

    for one in TIERS:
        if one == text:
            return one
    raise BadParameter(f"a tier is one of {', '.join(TIERS)}", parameter="TIER")


def shape(row: AccountRow, signer_wallets: Sequence[bytes]) -> dict[str, Any]:
    """An account as it is printed."""
    return {
        "account": str(row.uuid),
        "name": row.name,
        "tier": row.tier,
        "is_operator": row.is_operator,
        "signer_wallets": [checksum_address(one) for one in signer_wallets],
        "created_at": row.created_at,
        "closed_at": row.closed_at,
    }


def _print(row: AccountRow, signer_wallets: Sequence[bytes], json: bool) -> None:
    shown = shape(row, signer_wallets)
    if json:
        print_json(shown)
    else:
        print_fields(shown.items())

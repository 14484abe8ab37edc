"""`renown accounts`: who may act through this installation, and how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from renown.cli import process
from renown.cli.console import print_fields, print_json, print_table, say
from renown.cli.options import Json, Yes, examples
from renown.errors import BadParameter, NotFound

if TYPE_CHECKING:
    from renown.store.accounts import AccountRow, AccountTier
    from renown.store.pool import Conn

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


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _accounts.command(
        "list", epilog=examples("renown accounts list", "renown accounts list --json")
    )(list_)
    _accounts.command("tier", epilog=examples("renown accounts tier demo pro"))(tier)
    _accounts.command(
        "signer",
        epilog=examples("renown accounts signer demo on", "renown accounts signer demo off"),
    )(signer)
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

        async with database(settings) as where, where.reading() as conn:
            rows = [shape(row) async for row in all_accounts(conn)]
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

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            row = await set_tier(tx, (await account_named(tx, account)).account_id, wanted)
        _print(row, json)

    process.run(work)


def signer(
    account: AccountArgument,
    may_use: Annotated[
        str, typer.Argument(metavar="on|off", help="Whether it may.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Allow an account the server's own signer, or no longer. Writes signed before go on."""
    from renown.cli.runtime import database, load

    if may_use not in ("on", "off"):
        raise BadParameter("say `on` or `off`", parameter="on|off")
    settings = load()

    async def work() -> None:
        from renown.store.accounts import set_signer
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            held = await account_named(tx, account)
            row = await set_signer(tx, held.account_id, may_use == "on")
        _print(row, json)

    process.run(work)


def close(account: AccountArgument, yes: Yes = False) -> None:
    """Close an account for good: its keys are revoked, and others may prove its wallets."""
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.store.accounts import close_account
        from renown.store.api_keys import keys_of
        from renown.store.pool import transaction
        from renown.store.wallets import wallets_of

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            held = await account_named(tx, account)
            keys = await keys_of(tx, held.account_id, limit=1000)
            wallets = await wallets_of(tx, held.account_id)
            print_fields({**shape(held), "keys": len(keys), "wallets": len(wallets)}.items())
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


def shape(row: AccountRow) -> dict[str, Any]:
    """An account as it is printed."""
    return {
        "account": str(row.uuid),
        "name": row.name,
        "tier": row.tier,
        "may_use_signer": row.may_use_signer,
        "created_at": row.created_at,
        "closed_at": row.closed_at,
    }


def _print(row: AccountRow, json: bool) -> None:
    if json:
        print_json(shape(row))
    else:
        print_fields(shape(row).items())

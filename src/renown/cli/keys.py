"""`renown keys`: API keys, made and ended by the operator, on the database itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.accounts import account_named, tier_named
from renown.cli.console import print_json, print_lines, print_table, say
from renown.cli.options import Json, Yes, examples
from renown.errors import BadParameter
from renown.types import parse_address

if TYPE_CHECKING:
    from uuid import UUID

    from renown.spec.api_keys import Peppers
    from renown.store.api_keys import Issued, KeyRow
    from renown.store.pool import Conn

_keys = typer.Typer(
    name="keys",
    help="API keys: made, listed, rotated, revoked.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("KEY=$(renown keys create demo)", "renown keys list"),
)
USUAL_SCOPES = ("read", "write", "link")
FIRST_SCOPES = (*USUAL_SCOPES, "admin")
"""Of a new account's key: without `admin` nobody could give the account a wallet."""
DAY_SECONDS = 86_400

OfAccount = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="Its UUID, or its name where no other has that name.",
    ),
]
KeyId = Annotated[
    str, typer.Argument(metavar="ID", help="The 8 characters between `ak_live_` and the secret.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _keys.command(
        "create",
        epilog=examples(
            "KEY=$(renown keys create demo)",
            "renown keys create ci --account demo --scope read --expires 90",
            "renown keys create robot --tier pro --json "
            "--signer-wallet 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
    )(create)
    _keys.command(
        "list",
        epilog=examples("renown keys list", "renown keys list --account demo --over --json"),
    )(list_)
    _keys.command(
        "rotate",
        epilog=examples(
            "KEY=$(renown keys rotate 4x9k2m7q)", "renown keys rotate 4x9k2m7q --overlap 0"
        ),
    )(rotate)
    _keys.command(
        "revoke",
        epilog=examples("renown keys revoke 4x9k2m7q", "renown keys revoke --account demo --yes"),
    )(revoke)
    app.add_typer(_keys)


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="For people: what it is for.")],
    account: OfAccount = None,
    tier: Annotated[
        str,
        typer.Option(metavar="TIER", help="Of a new account: `free`, `pro` or `enterprise`."),
    ] = "free",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="`read`, `write`, `link`, `audit` or `admin`; may be given several times.  "
            "[default: read, write, link; of a new account admin, too]",
        ),
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(min=1, max=3650, metavar="DAYS", help="Days it works. Default: for ever."),
    ] = None,
    signer_wallet: Annotated[
        list[str] | None,
        typer.Option(
            "--signer-wallet",
            metavar="ADDRESS",
            help="A wallet of the server's signer that acts for the new account, and for no other; "
            "may be given several times.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make a key, for a new account of the same name unless --account names one.

    The key is printed once, alone on stdout; it cannot be shown again.
    """
    from renown.cli.runtime import database, load

    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise BadParameter("a name has 1 to 100 printable characters", parameter="NAME")
    signer_wallets = [parse_address(one) for one in signer_wallet or ()]
    if account is not None and (signer_wallets or tier != "free"):
        raise BadParameter(
            "--tier and --signer-wallet are for a new account; for this one see `renown accounts`",
            parameter="--account",
        )
    usual = FIRST_SCOPES if account is None else USUAL_SCOPES
    of_tier, scopes = tier_named(tier), _scopes(scope or usual)
    settings = load()
    peppers = settings.key_peppers()

    async def work() -> None:
        from renown.store.accounts import create_account
        from renown.store.api_keys import Wanted, issue_key
        from renown.store.pool import transaction
        from renown.store.signer_grants import grant_wallet

        async with database(settings) as where, where.reading() as conn:
            await _warn_of_other_pepper(conn, peppers)
            async with transaction(conn) as tx:
                if account is None:
                    of = await create_account(tx, name, tier=of_tier)
                    for address in signer_wallets:
                        await grant_wallet(tx, of.account_id, address)
                else:
                    of = await account_named(tx, account)
                wanted = Wanted(
                    account_id=of.account_id,
                    name=name,
                    scopes=scopes,
                    lifetime=None if expires is None else timedelta(days=expires),
                )
                made = await issue_key(tx, peppers, wanted)
        if not scope and account is None:
            say(
                "with admin it can make keys and add wallets; for a program make a lesser key: "
                f"renown keys create NAME --account {of.uuid}"
            )
        _print_made(made, of.uuid, json)

    process.run(work)


def list_(
    account: OfAccount = None,
    over: Annotated[
        bool, typer.Option("--over", help="Also those that were revoked or have expired.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="ROWS", help="How many at most.")
    ] = 1000,
    json: Json = False,
) -> None:
    """List keys, the newest first, without their secrets."""
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.store.accounts import all_accounts
        from renown.store.api_keys import keys_of

        async with database(settings) as where, where.reading() as conn:
            of = None if account is None else await account_named(conn, account)
            names = {row.account_id: row.uuid async for row in all_accounts(conn)}
            found = await keys_of(
                conn, None if of is None else of.account_id, over_too=over, limit=limit
            )
        rows = [_shape(row, names[row.account_id]) for row in found]
        if json:
            print_json({"items": rows})
        elif rows:
            print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
        else:
            say("there are no such keys")

    process.run(work)


def rotate(
    key_id: KeyId,
    overlap: Annotated[
        int,
        typer.Option(
            min=0, max=30 * DAY_SECONDS, metavar="SECONDS", help="How long the old key works on."
        ),
    ] = DAY_SECONDS,
    json: Json = False,
) -> None:
    """Make a new key like this one, which ends after the overlap.

    The new key is printed once, alone on stdout.
    """
    from renown.cli.runtime import database, load

    settings = load()
    peppers = settings.key_peppers()

    async def work() -> None:
        from renown.store.accounts import load_account
        from renown.store.api_keys import load_key, rotate_key
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn:
            await _warn_of_other_pepper(conn, peppers)
            async with transaction(conn) as tx:
                old = await load_key(tx, key_id)
                made = await rotate_key(tx, peppers, old, timedelta(seconds=overlap))
                of = await load_account(tx, old.account_id)
        say(f"{old.key_id} ends in {overlap:,} s")
        _print_made(made, of.uuid, json)

    process.run(work)


def revoke(
    key_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Which keys.", show_default=False),
    ] = None,
    account: OfAccount = None,
    yes: Yes = False,
) -> None:
    """Revoke keys for good: one at once; several, or all of an account, with --yes."""
    from renown.cli.runtime import database, load

    if bool(key_ids) == (account is not None):
        raise BadParameter("name keys by their ids, or an --account", parameter="ID")
    settings = load()

    async def work() -> None:
        from renown.store.api_keys import keys_of, load_key, revoke_key
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            if account is None:
                rows = [await load_key(tx, key_id) for key_id in sorted(set(key_ids or ()))]
            else:
                of = await account_named(tx, account)
                rows = await keys_of(tx, of.account_id, limit=100_000)
            if len(rows) != 1 and not yes:
                print_table(
                    ("key", "name", "scopes", "last_used_at"),
                    ((r.key_id, r.name, ",".join(r.scopes), r.last_used_at) for r in rows),
                )
                say(f"nothing was revoked; add --yes to revoke these {len(rows)} keys")
                return
            for row in sorted(rows, key=lambda row: row.key_id):
                await revoke_key(tx, row.key_id)
        say(f"{len(rows)} revoked: {', '.join(row.key_id for row in rows) or 'none'}")

    process.run(work)


def _scopes(names: list[str] | tuple[str, ...]) -> list[str]:
    from renown.store.api_keys import SCOPES

    chosen = sorted({part.strip() for name in names for part in name.split(",") if part.strip()})
    if not chosen or not set(chosen) <= set(SCOPES):
        raise BadParameter(f"a scope is one of {', '.join(SCOPES)}", parameter="--scope")
    return chosen


async def _warn_of_other_pepper(conn: Conn, peppers: Peppers) -> None:
    """A key hashed under a pepper that the API does not have opens nothing, and nothing says so."""
    from renown.store.api_keys import pepper_versions

    versions = await pepper_versions(conn)
    if versions and not any(peppers.knows(version) for version in versions):
        say(
            "warning: the keys of this database were hashed under another pepper than this one; "
            "unless the API has the same RENOWN_KEY_PEPPER, or the same data directory, "
            "it will refuse the new key"
        )


def _print_made(made: Issued, account: UUID, json: bool) -> None:
    shown = _shape(made.row, account)
    if json:
        print_json({**shown, "text": made.text})
        return
    ends = "does not expire" if made.row.expires_at is None else f"ends {made.row.expires_at}"
    say(f"account {account}: key {made.row.key_id} may {', '.join(made.row.scopes)}; it {ends}")
    print_lines([made.text])


def _shape(row: KeyRow, account: UUID) -> dict[str, Any]:
    return {
        "key": row.key_id,
        "name": row.name,
        "account": str(account),
        "kind": row.kind,
        "scopes": list(row.scopes),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "last_used_at": row.last_used_at,
        "replaced_by": row.replaced_by,
    }

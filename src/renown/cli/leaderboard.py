"""`renown leaderboard`: which agents lead, as the API says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli.console import print_json, print_table, say
from renown.cli.display import duration
from renown.cli.options import Json, OneChain, examples
from renown.cli.read import decimal
from renown.cli.reading import CursorOption, Limit, answer_with, page_scope, print_page

if TYPE_CHECKING:
    from renown.api.answers.answer import Answer
    from renown.api.answers.leaderboards import Place
    from renown.store.leaderboards import Kind
    from renown.store.pool import Conn


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown leaderboard clients",
            "renown leaderboard paid --chain base --json",
            "renown leaderboard",
        )
    )(leaderboard)


def leaderboard(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="`clients`, `paid`, `newest` or `busiest`. Default: which there are.",
        ),
    ] = None,
    chain: OneChain = None,
    testnets: Annotated[
        bool, typer.Option("--testnets", help="Test networks instead of main networks.")
    ] = False,
    limit: Limit = 25,
    cursor: CursorOption = None,
    json: Json = False,
) -> None:
    """List the agents that lead, of one chain or of all main networks, as they were counted last.

    Counts are not quality: whoever pays for gas can make clients, payers and events.
    """
    from renown.api.answers import chains
    from renown.api.answers import leaderboards as answers
    from renown.cli.runtime import load
    from renown.errors import BadParameter
    from renown.store.leaderboards import KINDS

    if kind is None:
        _list(json)
        return
    wanted = next((one for one in KINDS if one == kind), None)
    if wanted is None:
        raise BadParameter(
            f"there are the leaderboards {', '.join(f'`{one}`' for one in KINDS)}", parameter="KIND"
        )
    if testnets and chain is not None:
        raise BadParameter(
            "--testnets is for all of them: leave out --chain", parameter="--testnets"
        )
    tokens = load().tokens

    async def read(conn: Conn, after: tuple[Any, ...] | None) -> Answer[Any]:
        chain_id = None if chain is None else await chains.chain_id(conn, chain)
        found = await answers.places(
            *(conn, wanted),
            tokens=tokens,
            chain_id=chain_id,
            testnets=testnets,
            after=after,
            limit=limit,
        )
        if not found.body.items and after is None:
            say("nobody yet" + ("" if testnets or chain else "; --testnets for test networks"))
        return found

    scope = page_scope(
        f"/v1/leaderboards/{wanted}", chain=chain, testnets="true" if testnets else None
    )
    print_page(read, scope, cursor, json, ("rank", "agent", "name", *_HEADS[wanted]), _ROWS[wanted])


def _list(json: bool) -> None:
    from renown.api.answers import leaderboards as answers

    async def read(conn: Conn) -> None:
        body = (await answers.kinds(conn)).body
        if json:
            print_json(body)
            return
        print_table(
            ("kind", "counted", "ranked by"),
            ((one.kind, f"{duration(one.age_seconds)} ago", one.ranked_by) for one in body.items),
        )

    answer_with(read)


_HEADS: dict[Kind, tuple[str, ...]] = {
    "clients": ("clients", "feedback"),
    "paid": ("payers", "payments", "totals"),
    "newest": ("registered",),
    "busiest": ("events in 30 days",),
}


def _named(one: Place) -> tuple[Any, ...]:
    return one.rank, f"{one.chain_id}:{one.agent_id}", one.name


def _totals(one: Place) -> str:
    shown = []
    for total in one.totals or ():
        token = total.token
        amount = total.amount if token.decimals is None else decimal(total.amount, token.decimals)
        shown.append(f"{amount} {token.symbol or token.address}")
    return ", ".join(shown)


_ROWS = {
    "clients": lambda one: (*_named(one), one.clients, one.feedback),
    "paid": lambda one: (*_named(one), one.payers, one.payments, _totals(one)),
    "newest": lambda one: (*_named(one), f"{one.registered_at:%Y-%m-%d %H:%M:%S}"),
    "busiest": lambda one: (*_named(one), one.events),
}

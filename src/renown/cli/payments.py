"""`renown payments`, `stats`: what was paid to an agent, as the API says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
import typer

from renown.cli.console import print_fields, print_json
from renown.cli.options import Json, Key, examples
from renown.cli.read import decimal
from renown.cli.reading import CursorOption, Limit, answer_with, flat, page_scope, print_page

if TYPE_CHECKING:
    from renown.api.answers.answer import Answer
    from renown.api.answers.payments import Claim, Payment
    from renown.store.pool import Conn


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples("renown payments 8453:42", "renown payments 8453:42 --claims refused")
    )(payments)
    app.command(epilog=examples("renown stats 8453:42", "renown stats 8453:42 --json"))(stats)


def payments(
    key: Key,
    claims: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            help="Instead of payments, what was claimed: `pending`, `included`, `confirmed`, "
            "`refused` or `all`.",
        ),
    ] = None,
    limit: Limit = 50,
    cursor: CursorOption = None,
    json: Json = False,
) -> None:
    """List what was paid to an agent, newest first; or what was claimed, and why it was refused."""
    from renown.api.answers import payments as answers
    from renown.cli.runtime import load
    from renown.derive.payment import State
    from renown.errors import BadParameter
    from renown.types import parse_agent_key

    wanted, states = parse_agent_key(key), get_args(State)
    if claims not in (None, "all", *states):
        raise BadParameter(
            f"--claims is {', '.join(f'`{state}`' for state in states)} or `all`",
            parameter="--claims",
        )
    tokens = load().tokens
    path = f"/v1/agents/{key}/payments"
    if claims is None:

        async def paid(conn: Conn, after: tuple[Any, ...] | None) -> Answer[Any]:
            return await answers.of_agent(conn, wanted, tokens=tokens, after=after, limit=limit)

        print_page(paid, page_scope(path), cursor, json, _PAYMENT, _payment)
        return
    state = next((state for state in states if state == claims), None)

    async def claimed(conn: Conn, after: tuple[Any, ...] | None) -> Answer[Any]:
        return await answers.claims_of_agent(conn, wanted, state=state, after=after, limit=limit)

    scope = page_scope(f"{path}/claims", state=state)
    print_page(claimed, scope, cursor, json, _CLAIM, _claim)


def stats(key: Key, json: Json = False) -> None:
    """Show all numbers about one agent: feedback, payments, validations."""
    from renown.api.answers import stats as answers
    from renown.cli.runtime import load
    from renown.types import parse_agent_key

    wanted, tokens = parse_agent_key(key), load().tokens

    async def read(conn: Conn) -> None:
        body = (await answers.of_agent(conn, wanted, tokens=tokens)).body
        if json:
            print_json(body)
        else:
            print_fields(flat(msgspec.to_builtins(body)))

    answer_with(read)


_PAYMENT = (
    "time",
    "chain",
    "amount",
    "token",
    "payer",
    "basis",
    "state",
    "feedback",
    "transaction",
)
_CLAIM = ("made", "state", "reason", "said by", "chain", "transaction", "detail")


def _payment(one: Payment) -> tuple[Any, ...]:
    paid_for = f"{one.feedback.client} #{one.feedback.index}" if one.feedback else None
    amount = one.amount if one.token.decimals is None else decimal(one.amount, one.token.decimals)
    return (
        *(f"{one.time:%Y-%m-%d %H:%M}", one.chain_id, amount),
        *(one.token.symbol or one.token.address, one.payer, one.payee_basis, one.state),
        *(paid_for, one.tx_hash),
    )


def _claim(one: Claim) -> tuple[Any, ...]:
    return (
        *(f"{one.created_at:%Y-%m-%d %H:%M}", one.state, one.reason, one.said_by),
        *(one.chain_id, one.tx_hash, one.detail),
    )

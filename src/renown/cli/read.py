"""`renown status`, `agent`, `agents`, `feedback`, `history`: what the API says, without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from renown.cli.console import print_fields, print_json, print_table, say
from renown.cli.display import duration
from renown.cli.options import At, Json, Key, OneChain, examples
from renown.cli.reading import CursorOption, Limit, answer_with, flat, page_scope, print_page

if TYPE_CHECKING:
    from renown.api.answers.answer import Answer
    from renown.api.answers.chains import ChainStatus
    from renown.store.pool import Conn


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=examples("renown status", "renown status --json"))(status)
    app.command(
        epilog=examples(
            "renown agent 8453:42",
            "renown agent 8453:42 --at 36000000 --json",
        )
    )(agent)
    app.command(
        epilog=examples(
            "renown agents --chain base --limit 20",
            "renown agents --owner 0x547289319C3e6aedB179C0b8e8aF0B5ACd062603 --json",
        )
    )(agents)
    app.command(
        epilog=examples("renown feedback 8453:42", "renown feedback 8453:42 --tag1 starred --json")
    )(feedback)
    app.command(
        epilog=examples("renown history 8453:42", "renown history 8453:42 --order newest --json")
    )(history)


def status(json: Json = False) -> None:
    """Show how far each chain is indexed, how complete it is known to be, and what is wrong."""
    from renown.api.answers import chains as answers

    async def read(conn: Conn) -> None:
        body = (await answers.status(conn)).body
        if json:
            print_json(body)
            return
        print_table(
            (
                *("chain", "phase", "block", "to go", "head age", "events", "coverage"),
                *("quarantined", "unattached", "indexer"),
            ),
            (_status_row(chain) for chain in body.items),
        )
        for chain in body.items:
            if chain.problem:
                say(f"{chain.slug}: {chain.problem}")
        if not body.items:
            say("no chain is indexed yet: run `renown up`")

    answer_with(read)


def agent(key: Key, at: At = None, json: Json = False) -> None:
    """Show one agent as its registry's events make it, now or at a past block."""
    from renown.api.answers import agents as answers
    from renown.api.answers.as_of import parse_at
    from renown.types import parse_agent_key

    wanted, moment = parse_agent_key(key), parse_at(at)

    async def read(conn: Conn) -> None:
        body = (await answers.agent(conn, wanted, at=moment)).body
        if json:
            print_json(body)
        else:
            print_fields(flat(msgspec.to_builtins(body)))

    answer_with(read)


def agents(
    chain: OneChain = None,
    owner: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only what this address owns.")
    ] = None,
    at: At = None,
    limit: Limit = 50,
    cursor: CursorOption = None,
    json: Json = False,
) -> None:
    """List agents, newest first."""
    from renown.api.answers import agents as answers
    from renown.api.answers.as_of import parse_at
    from renown.spec.deployments import find
    from renown.types import parse_address

    chain_id = find(chain).chain_id if chain else None
    address = parse_address(owner) if owner else None
    moment = parse_at(at)
    scope = page_scope("/v1/agents", chain=chain, owner=owner, at=at)

    async def page(conn: Conn, after: tuple[Any, ...] | None) -> Answer[Any]:
        return await answers.agents(
            conn, chain_id=chain_id, owner=address, at=moment, after=after, limit=limit
        )

    print_page(
        page,
        scope,
        cursor,
        json,
        ("key", "owner", "wallet", "feedback", "created", "uri"),
        lambda a: (
            *(a.key, a.owner, a.wallet or a.wallet_state, a.counts.feedback),
            *(f"{a.created_at:%Y-%m-%d %H:%M}", a.uri),
        ),
    )


def feedback(
    key: Key,
    client: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Only what this address gave.")
    ] = None,
    tag1: Annotated[str | None, typer.Option(metavar="TAG", help="Exactly this first tag.")] = None,
    tag2: Annotated[
        str | None, typer.Option(metavar="TAG", help="Exactly this second tag.")
    ] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked feedback too.")] = False,
    at: At = None,
    limit: Limit = 50,
    cursor: CursorOption = None,
    json: Json = False,
) -> None:
    """List what was said about an agent, newest first."""
    from renown.api.answers import feedback as answers
    from renown.api.answers.as_of import parse_at
    from renown.store.feedback import Filter
    from renown.types import parse_address, parse_agent_key

    wanted, moment = parse_agent_key(key), parse_at(at)
    which = Filter(
        client=parse_address(client) if client else None,
        tag1=tag1.encode() if tag1 is not None else None,
        tag2=tag2.encode() if tag2 is not None else None,
        revoked=revoked,
    )
    scope = page_scope(
        f"/v1/agents/{key}/feedback",
        client=client,
        tag1=tag1,
        tag2=tag2,
        at=at,
        revoked="true" if revoked else None,
    )

    async def page(conn: Conn, after: tuple[Any, ...] | None) -> Answer[Any]:
        return await answers.of_agent(conn, wanted, which, at=moment, after=after, limit=limit)

    print_page(
        page,
        scope,
        cursor,
        json,
        ("block", "client", "index", "value", "tag1", "tag2", "responses", "revoked", "uri"),
        lambda f: (
            *(f.block_number, f.client, f.index, decimal(f.value, f.decimals), f.tag1, f.tag2),
            *(f.responses, f.revoked, f.uri),
        ),
    )


def history(
    key: Key,
    order: Annotated[
        str, typer.Option(metavar="ORDER", help="`oldest` or `newest` first.")
    ] = "oldest",
    at: At = None,
    limit: Limit = 50,
    cursor: CursorOption = None,
    json: Json = False,
) -> None:
    """List every event about an agent with its transaction, in order."""
    from renown.api.answers import history as answers
    from renown.api.answers.as_of import parse_at
    from renown.errors import BadParameter
    from renown.types import parse_agent_key

    if order not in ("oldest", "newest"):
        raise BadParameter("--order is `oldest` or `newest`", parameter="--order")
    wanted, moment = parse_agent_key(key), parse_at(at)
    scope = page_scope(
        f"/v1/agents/{key}/history", order="newest" if order == "newest" else None, at=at
    )

    async def page(conn: Conn, after: tuple[Any, ...] | None) -> Answer[Any]:
        return await answers.of_agent(
            conn,
            wanted,
            order="newest" if order == "newest" else "oldest",
            at=moment,
            after=after,
            limit=limit,
        )

    print_page(
        page,
        scope,
        cursor,
        json,
        ("block", "log", "event", "standing", "fields", "transaction"),
        lambda e: (e.block_number, e.log_index, e.kind, e.standing, _in_brief(e.fields), e.tx_hash),
    )


def decimal(value: str, decimals: int) -> str:
    """`value / 10^decimals` exactly, as people write it: `-12345` and 2 is `-123.45`."""
    sign, digits = ("-", value[1:]) if value.startswith("-") else ("", value)
    if decimals == 0:
        return sign + digits
    padded = digits.zfill(decimals + 1)
    return f"{sign}{padded[:-decimals]}.{padded[-decimals:]}"


def _status_row(chain: ChainStatus) -> tuple[Any, ...]:
    coverage: str = chain.coverage.state
    if chain.coverage.checked_block is not None:
        coverage += f" at {chain.coverage.checked_block}"
    return (
        *(chain.slug, chain.phase, chain.block_number, chain.blocks_to_go),
        *(None if chain.lag_seconds is None else duration(chain.lag_seconds), chain.events),
        *(coverage, chain.quarantined, chain.unattached),
        "running" if chain.writer_alive else "not running",
    )


def _in_brief(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in fields.items() if value is not None)

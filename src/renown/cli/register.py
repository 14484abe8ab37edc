"""`renown register`, `renown update`: agents of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from renown.cli import process
from renown.cli.acting import Chain, How, acting, acts
from renown.cli.options import Key, examples
from renown.errors import BadParameter

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE|URI]",
        help="Its registration file: a JSON file, which is written for you (`-`: stdin), or a URI "
        "where you have it.",
    ),
]
Hosted = Annotated[
    bool,
    typer.Option(
        "--hosted/--inline",
        help="Where a FILE is written: to the API's own server, or into the URI itself.",
    ),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata", metavar="KEY=VALUE", help="An entry on the chain; may be given several times."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples(
            "renown register agent.json --devnet-account 0",
            "renown register agent.json --names-itself --keystore wallet.json --chain base",
            "renown register https://agent.example/agent.json --metadata agentName=Ada --dry-run",
        )
    )(acts(register))
    app.command(
        epilog=examples(
            "renown update 8453:42 agent.json",
            "renown update 8453:42 --metadata agentName=Ada --metadata old=",
        )
    )(acts(update))


def register(
    how: How,
    source: Source = None,
    chain: Chain = None,
    metadata: Metadata = None,
    hosted: Hosted = False,
    names_itself: Annotated[
        bool,
        typer.Option(
            "--names-itself",
            help="Have the FILE name the agent's id: a second transaction, because the first one "
            "gives it.",
        ),
    ] = False,
) -> None:
    """Register an agent. It belongs to the wallet that signs.

    The plan is shown before anything is signed: its transactions, what they cost at most, and what
    the linter says of the file.
    """

    async def work() -> int:
        from renown.cli.acted_on import as_body, chain_named, content_of, entries
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.writes import Register

        on = chain_named(chain)
        content, pairs = content_of(source, hosted=hosted), entries(metadata)
        write = Register(content=content, metadata=pairs, names_itself=names_itself)
        write.check()
        body = {
            "chain": on.chain_id,
            "metadata": {key.decode(): value.decode() for key, value in pairs},
            "names_itself": names_itself,
        }
        async with acting(how) as actor:
            asked = Asked(
                method="POST",
                path="/v1/agents",
                body=body | as_body(content),
                write=write,
                on=on,
            )
            return await carry_out(actor, asked)

    process.run(work)


def update(
    how: How,
    key: Key,
    source: Source = None,
    metadata: Metadata = None,
    hosted: Hosted = False,
) -> None:
    """Change an agent's file and metadata: one transaction for each change.

    A FILE gets the entry that names the agent. KEY= without a value removes an entry.
    """
    if source is None and not metadata:
        raise BadParameter("nothing to change: give a file, a URI or --metadata")

    async def work() -> int:
        from renown.cli.acted_on import as_body, content_of, entries, find_agent
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.files import File, naming_itself
        from renown.derive.writes import Update

        content, pairs = content_of(source, hosted=hosted), entries(metadata)
        Update(content=None if source is None else content, metadata=pairs).check()
        async with acting(how) as actor:
            agent = await find_agent(actor.api, key)
            body = {"metadata": {key.decode(): value.decode() or None for key, value in pairs}}
            named = content
            if isinstance(content, File):
                on, agent_id = agent.on, agent.ref.agent_id
                fields = naming_itself(content.fields, on.chain_id, on.identity, agent_id)
                named = File(fields, content.hosted)
            asked = Asked(
                method="PATCH",
                path=agent.path,
                body=body | as_body(content),
                write=Update(content=None if source is None else named, metadata=pairs),
                on=agent.on,
                agent_id=agent.ref.agent_id,
            )
            return await carry_out(actor, asked)

    process.run(work)

"""`renown audit facts`: the facts of chains against the hashes that the log has of each commit."""

from __future__ import annotations

import typer

from renown.cli import process
from renown.cli.console import print_json, print_table, say
from renown.cli.options import Json, OneChain, examples
from renown.errors import EX_DATAERR


def add_to(group: typer.Typer) -> None:
    """Add the command to `renown audit`."""
    group.command(
        "facts", epilog=examples("renown audit facts", "renown audit facts --chain base --json")
    )(facts)


def facts(chain: OneChain = None, json: Json = False) -> None:
    """Check that the stored facts are those that the log tells of, commit by commit.

    Exit code 0 only if they are, else 65; the blocks that differ are named. Whether the log itself
    is whole, `renown audit verify` says. Reads every fact, and may run beside everything else.
    """
    from renown.cli.runtime import database, load
    from renown.spec.deployments import find

    settings = load()
    asked = None if chain is None else find(chain)

    async def work() -> int:
        from renown.errors import ChainNotFound
        from renown.store.audit_facts import check_facts
        from renown.store.chains import chains

        async with database(settings) as where, where.reading() as conn:
            held = {row.head.chain_id: row.slug for row in await chains(conn)}
            if asked is not None and asked.chain_id not in held:
                raise ChainNotFound(f"this index has no chain {asked.slug}")
            chosen = sorted(held) if asked is None else [asked.chain_id]
            found = [await check_facts(conn, chain_id) for chain_id in chosen]
        if json:
            print_json({"items": found, "equal": all(one.equal for one in found)})
        else:
            print_table(
                ("chain", "commits", "events", "before the log", "differ", "untold"),
                (
                    (held[v.chain_id], v.commits, v.logs, v.before, len(v.wrong), len(v.untold))
                    for v in found
                ),
            )
            for v in found:
                for one in v.wrong:
                    say(f"{held[v.chain_id]}: blocks {one.from_block} to {one.to_block} differ")
                for block in v.untold:
                    say(f"{held[v.chain_id]}: block {block} has events that no entry tells of")
        return 0 if all(one.equal for one in found) else EX_DATAERR

    process.run(work)

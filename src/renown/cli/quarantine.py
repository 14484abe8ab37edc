"""`renown quarantine`: logs that could not become facts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.console import print_fields, print_json, print_table, say
from renown.cli.options import Json, OneChain, examples
from renown.errors import BadParameter, NotFound

if TYPE_CHECKING:
    from renown.store.quarantined import Entry

_quarantine = typer.Typer(
    name="quarantine",
    help="Logs that no decoder can read: kept with their bytes until one can.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("renown quarantine list", "renown quarantine replay --chain base"),
)

Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="`{chainId}:{block}:{logIndex}`, as `list` shows it.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _quarantine.command(
        "list",
        epilog=examples("renown quarantine list", "renown quarantine list --chain base --json"),
    )(list_)
    _quarantine.command("show", epilog=examples("renown quarantine show 8453:41693000:17"))(show)
    _quarantine.command(
        "replay",
        epilog=examples(
            "renown quarantine replay --dry-run", "renown quarantine replay --chain base"
        ),
    )(replay)
    app.add_typer(_quarantine)


def list_(
    chain: OneChain = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="ROWS", help="How many at most.")
    ] = 100,
    json: Json = False,
) -> None:
    """List what is in quarantine, newest first."""
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.spec.deployments import find
        from renown.store.quarantined import newest

        chain_id = find(chain).chain_id if chain else None
        async with database(settings) as where, where.reading() as conn:
            entries = await newest(conn, chain_id, limit=limit)
        if json:
            print_json({"items": [_shape(entry, payload=False) for entry in entries]})
            return
        print_table(
            ("place", "event", "reason", "contract", "bytes", "transaction"),
            (
                (
                    *(_place(e), e.event, e.reason, "0x" + e.contract.hex()),
                    *(e.payload_bytes, "0x" + e.tx_hash.hex()),
                )
                for e in entries
            ),
        )

    process.run(work)


def show(place: Place, json: Json = False) -> None:
    """Show one quarantined log with all its bytes."""
    from renown.cli.runtime import database, load

    wanted = _parse(place)
    settings = load()

    async def work() -> None:
        from renown.store.quarantined import one

        async with database(settings) as where, where.reading() as conn:
            entry = await one(conn, wanted)
        if entry is None:
            raise NotFound(f"nothing is in quarantine at {place[:80]}")
        shape = _shape(entry, payload=True)
        if json:
            print_json(shape)
        else:
            print_fields(shape.items())

    process.run(work)


def replay(
    chain: OneChain = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be learnt, change nothing.")
    ] = False,
) -> None:
    """Decode the quarantine again, after an upgrade that knows more.

    What is understood now becomes facts and is folded in. The chain's indexer must be stopped.
    """
    from renown.cli.runtime import database, load
    from renown.ingest import repair

    settings = load()

    async def work() -> None:
        from renown.cli.proof import indexed

        rows = []
        async with database(settings) as where:
            async with where.reading() as reading:
                chains = await indexed(reading, chain)
            for deployment in chains:
                conn = await where.connect()
                try:
                    done = await repair.replay(
                        conn, deployment, name="renown quarantine replay", dry_run=dry_run
                    )
                finally:
                    conn.terminate()
                rows.append((deployment.slug, done.learnt, done.kept))
        print_table(("chain", "learnt", "kept"), rows)
        if dry_run:
            say("nothing was changed")

    process.run(work)


def _parse(place: str) -> tuple[int, int, int]:
    if re.fullmatch(r"\d{1,18}:\d{1,18}:\d{1,9}", place) is None:
        raise BadParameter(
            f"a place is {{chainId}}:{{block}}:{{logIndex}}, not {place[:80]!r}", parameter="PLACE"
        )
    chain_id, block_number, log_index = map(int, place.split(":"))
    return chain_id, block_number, log_index


def _place(entry: Entry) -> str:
    return f"{entry.chain_id}:{entry.block_number}:{entry.log_index}"


def _shape(entry: Entry, *, payload: bool) -> dict[str, Any]:
    shape = {
        "place": _place(entry),
        "chain_id": entry.chain_id,
        "block_number": entry.block_number,
        "log_index": entry.log_index,
        "tx_hash": "0x" + entry.tx_hash.hex(),
        "contract": "0x" + entry.contract.hex(),
        "reason": entry.reason,
        "event": entry.event,
        "topics": ["0x" + topic.hex() for topic in entry.topics],
        "payload_bytes": entry.payload_bytes,
        "stored_at": entry.stored_at,
    }
    if payload:
        shape["payload"] = "0x" + entry.payload.hex()
    return shape

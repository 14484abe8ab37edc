"""`renown export`: the index as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.bars import Advance, bar
from renown.cli.console import print_json, print_table, say
from renown.cli.options import At, Json, deployments, examples
from renown.errors import EX_DATAERR, BadParameter, ToolMissing

if TYPE_CHECKING:
    from renown.exports.folder import Note, Wanted
    from renown.exports.moment import Moment
    from renown.settings import Settings
    from renown.store.exported import Block, Manifest

_export = typer.Typer(
    name="export",
    rich_markup_mode=None,
    invoke_without_command=True,
    epilog=examples(
        "renown export",
        "renown export --format csv --table agents,feedback --chain base --out base-agents",
        "renown export --at 2026-09-01T00:00:00Z --dry-run",
        "renown export verify base-agents",
    ),
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _export.callback()(export_)
    _export.command(
        "verify",
        epilog=examples("renown export verify base-agents", "renown export verify . --json"),
    )(verify)
    app.add_typer(_export)


def export_(
    context: typer.Context,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="`parquet`, `csv` or `jsonl`.")
    ] = "parquet",
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLES",
            help="Tables, comma separated; all by default. --dry-run lists them.",
        ),
    ] = None,
    chain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHAIN",
            help="Chain by slug, id or name; may be given several times. All of the index by "
            "default.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to write to. Default: a new one in RENOWN_EXPORTS_DIR, for the API.",
        ),
    ] = None,
    at: At = None,
    part_rows: Annotated[
        int, typer.Option(min=100, max=10_000_000, metavar="ROWS", help="Rows of one file at most.")
    ] = 100_000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the index to files: Parquet, CSV or JSON lines, at one block per chain.

    Without --at it is as of each chain's final block. Stop it at any point and run it again with
    the same options: it goes on behind the last complete file, as of the same blocks.
    """
    if context.invoked_subcommand is not None:
        return
    from renown.api.answers.as_of import parse_at
    from renown.cli.runtime import database, load

    wanted = _wanted(form, table, chain, at, part_rows)
    _require_pyarrow()
    moment, settings = parse_at(at), load()

    async def work() -> None:
        from renown.exports import run

        async with database(settings) as where, where.reading() as conn:
            if dry_run:
                planned = await run.plan(conn, wanted, moment)
                _show_plan(planned.moment, planned.rows, json=json)
                return
            folder = out or await _own_folder(settings, wanted, conn)
            with _bars() as advance:
                manifest = await run.export(
                    *(conn, folder.absolute(), wanted, moment),
                    on_begin=_say_begin,
                    on_progress=advance,
                )
        say(f"{manifest.rows:,} rows, {manifest.bytes:,} bytes in {folder}")
        _show(manifest, json=json)

    process.run(work)


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished export.")],
    json: Json = False,
) -> None:
    """Compare the files of an export with the checksums of its manifest.

    Exit code 0 only if all are there and none was changed, else 65. Needs no database.
    """
    from renown.exports.verify import manifest_of, verdicts

    manifest = manifest_of(folder)
    wrong, done = [], 0
    with bar("verify", "bytes") as advance:
        for verdict in verdicts(folder, manifest):
            done += verdict.bytes
            advance(done, manifest.bytes)
            if verdict.state != "good":
                wrong.append(verdict)
    if json:
        print_json({"id": manifest.id, "good": not wrong, "wrong": wrong})
    else:
        for verdict in wrong:
            say(f"{verdict.name}: {verdict.state}")
        files = sum(len(table.files) for table in manifest.tables)
        say(f"{files - len(wrong)} of {files} files are what the manifest says")
    if wrong:
        raise typer.Exit(EX_DATAERR)


def _wanted(
    form: str, tables: list[str] | None, chains: list[str] | None, at: str | None, part_rows: int
) -> Wanted:
    from renown.store.exported import FORMATS
    from renown.store.exporting_tables import TABLES

    named = {part for text in tables or () for part in text.split(",") if part}
    if unknown := named - TABLES.keys():
        raise BadParameter(
            f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}",
            parameter="--table",
        )
    if form not in FORMATS:
        raise BadParameter(f"--format is one of {', '.join(FORMATS)}", parameter="--format")
    from renown.exports.folder import Wanted

    return Wanted(
        format=form,
        tables=tuple(name for name in TABLES if not named or name in named),
        chains=tuple(sorted(d.chain_id for d in deployments(chains))) if chains else None,
        at=at,
        part_rows=part_rows,
    )


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ToolMissing("bulk files need pyarrow: pip install 'renown[exports]'") from None


async def _own_folder(settings: Settings, wanted: Wanted, conn: Any) -> Path:
    from renown.exports import run
    from renown.store.exporting import clock

    return run.folder_for(settings.exports_folder, wanted, f"{await clock(conn):%Y%m%dT%H%M%SZ}")


def _say_begin(note: Note) -> None:
    how = "going on with" if note.parts else "writing"
    say(f"{how} export {note.id}, begun {note.started_at:%Y-%m-%d %H:%M:%S} UTC")
    for block in note.as_of:
        say(f"  {_said(block)}")


def _said(block: Block) -> str:
    if block.block_number is None:
        return f"{block.slug}: no final block yet, left out; --at takes another block"
    return f"{block.slug}: as of block {block.block_number} ({block.finality})"


@contextmanager
def _bars() -> Iterator[Any]:
    """A bar per table, one after the other."""
    with ExitStack() as stack:
        shown: dict[str, Advance] = {}

        def advance(table: str, done: int, total: int) -> None:
            if table not in shown:
                stack.close()
                shown[table] = stack.enter_context(bar(table, "rows"))
            shown[table](done, total)

        yield advance


def _show_plan(moment: Moment, rows: dict[str, int], *, json: bool) -> None:
    if json:
        print_json({"as_of": moment.as_of, "tables": rows})
        return
    for block in moment.as_of:
        say(_said(block))
    print_table(("table", "rows to look at"), rows.items())


def _show(manifest: Manifest, *, json: bool) -> None:
    if json:
        print_json(manifest)
        return
    print_table(
        ("table", "rows", "files", "bytes"),
        ((t.name, t.rows, len(t.files), t.bytes) for t in manifest.tables),
    )

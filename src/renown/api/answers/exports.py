"""Finished bulk files, as their manifests describe them. Reads files, not the database."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from renown.api.answers.answer import Answer, NextCursor, more
from renown.api.answers.as_of import AsOf
from renown.errors import ExportNotFound
from renown.store import exported
from renown.store.exported import Block, ExportFile, ExportTable, Format, Manifest

Moment = Annotated[datetime, Meta(tz=True, description="The database's own clock, UTC.")]
ExportId = Annotated[str, Meta(description="The name of its folder.")]
AsOfEach = Annotated[
    list[AsOf],
    Meta(description="The block of each chain that it is of; empty where none was final yet."),
]
Rows = Annotated[int, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=0)]


class ListedExportTable(Struct, kw_only=True):
    """How much an export has of one table."""

    name: str
    rows: Rows
    bytes: Bytes
    files: Annotated[int, Meta(ge=0)]


class ListedExport(Struct, kw_only=True):
    """A finished export, in brief."""

    id: ExportId
    format: Format
    renown_version: str
    started_at: Moment
    finished_at: Moment
    as_of: AsOfEach
    rows: Rows
    bytes: Bytes
    tables: list[ListedExportTable]


class Exports(Struct, kw_only=True):
    """Finished exports, by id and the newest first; `as_of` is the first one's."""

    as_of: list[AsOf]
    items: list[ListedExport]
    next_cursor: NextCursor = None


class Export(Struct, kw_only=True):
    """A finished export: what it is of, its columns, its files with their checksums."""

    id: ExportId
    format_version: int
    format: Format
    renown_version: str
    started_at: Moment
    finished_at: Moment
    at: Annotated[str | None, Meta(description="The moment asked for; null: the final blocks.")]
    as_of: AsOfEach
    rows: Rows
    bytes: Bytes
    tables: list[ExportTable]


def exports(folder: Path, *, after: tuple[str] | None = None, limit: int) -> Answer[Exports]:
    """Finished exports below `folder`, the highest id first. Blocks on the disk."""
    found = exported.exports(folder, before=after[0] if after else None)
    shown, last = more(list(islice(found, limit + 1)), limit)
    items = [_listed(name, manifest) for name, manifest in shown]
    blocks = items[0].as_of if items else []
    return Answer(Exports(as_of=blocks, items=items), blocks, after=(last[0],) if last else None)


def export(folder: Path, export_id: str) -> Answer[Export]:
    """One finished export. Blocks on the disk. Raises ExportNotFound."""
    found = _manifest(folder, export_id)
    blocks = _as_of(found)
    body = Export(
        id=export_id,
        format_version=found.format_version,
        format=found.format,
        renown_version=found.renown_version,
        started_at=found.started_at,
        finished_at=found.finished_at,
        at=found.at,
        as_of=blocks,
        rows=found.rows,
        bytes=found.bytes,
        tables=found.tables,
    )
    return Answer(body, blocks)


def file(folder: Path, export_id: str, name: str) -> tuple[Path, ExportFile]:
    """Where a file of an export lies, and what its manifest says of it. Blocks on the disk.

    Only a manifest's own names lead to a path, whatever is asked for. Raises ExportNotFound.
    """
    found = exported.find_file(_manifest(folder, export_id), name)
    if found is None:
        raise ExportNotFound("this export has no such file", export=export_id, file=name[:200])
    return folder / export_id / found.name, found


def _manifest(folder: Path, export_id: str) -> Manifest:
    found = exported.find_export(folder, export_id)
    if found is None:
        raise ExportNotFound("no finished export has this id", export=export_id[:200])
    return found


def _listed(export_id: str, found: Manifest) -> ListedExport:
    return ListedExport(
        id=export_id,
        format=found.format,
        renown_version=found.renown_version,
        started_at=found.started_at,
        finished_at=found.finished_at,
        as_of=_as_of(found),
        rows=found.rows,
        bytes=found.bytes,
        tables=[
            ListedExportTable(name=t.name, rows=t.rows, bytes=t.bytes, files=len(t.files))
            for t in found.tables
        ],
    )


def _as_of(found: Manifest) -> list[AsOf]:
    return [_block(block) for block in found.as_of]


def _block(block: Block) -> AsOf:
    return AsOf(block.chain_id, block.block_number, block.block_hash, block.time, block.finality)

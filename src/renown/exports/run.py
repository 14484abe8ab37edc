"""An export from its beginning, or from where it was cut short, to its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from renown.errors import ExportConflict, OutputFailed
from renown.exports import batches, parts
from renown.exports.folder import NOTE, Folder, Note, Part, Wanted, hold, read_note
from renown.exports.moment import At, Moment, fix
from renown.exports.parts import Stretch
from renown.store import exporting
from renown.store.exported import (
    FORMAT_VERSION,
    MANIFEST,
    ExportColumn,
    ExportTable,
    Manifest,
    is_export_id,
    read_manifest,
)
from renown.store.exporting import Pin, Place
from renown.store.exporting_tables import TABLES, Table
from renown.store.pool import Conn

PART_ROWS = 100_000
PART_BYTES = 256 * 2**20
"""What the documents of one file weigh together at most."""

Progress = Callable[[str, int, int], None]
"""Called with a table, how many of its rows were walked, and of about how many."""


class Planned(msgspec.Struct, frozen=True):
    """What an export would hold: a moment, and about how many rows each table walks."""

    moment: Moment
    rows: dict[str, int]


async def plan(conn: Conn, wanted: Wanted, at: At | None) -> Planned:
    """What an export begun now would be. Writes nothing; raises as `fix`."""
    moment = await fix(conn, wanted.chains, at)
    rows = {}
    for name in wanted.tables:
        places = _places(TABLES[name], moment)
        rows[name] = sum([await exporting.held(conn, TABLES[name], p) for p, _ in places])
    return Planned(moment, rows)


async def export(
    conn: Conn,
    path: Path,
    wanted: Wanted,
    at: At | None,
    *,
    on_begin: Callable[[Note], None] = lambda _: None,
    on_progress: Progress = lambda _table, _done, _total: None,
) -> Manifest:
    """Write an export to the folder `path`, going on where one of before was cut short.

    A finished one is left as it is. Every file but those of the present is the same, byte for
    byte, however often it was cut short.

    Args:
        conn: a connection of its own, for as long as it takes.
        at: what `wanted.at` means; used only at the beginning.
        on_begin: called with what is noted, also of an export that goes on.

    Raises:
        ExportConflict: the folder holds something else, or the chain changed under the export.
        OutputFailed: a file cannot be written; run again once that is mended.
    """
    with hold(path) as folder:
        finished = read_manifest(path)
        if finished is not None:
            _same(path, wanted, _wanted_of(finished, wanted))
            return finished
        note = folder.note() or await _begin(conn, folder, wanted, at)
        _same(path, wanted, note.wanted)
        if note.renown_version != version("renown"):
            raise ExportConflict(
                f"the export in {path} was begun by version {note.renown_version}: go on with that,"
                " or delete the folder"
            )
        on_begin(note)
        for name in wanted.tables:
            note = await _write_table(conn, folder, note, TABLES[name], on_progress)
        manifest = _manifest(note, await exporting.clock(conn))
        folder.finish(manifest)
        return manifest


def folder_for(exports: Path, wanted: Wanted, name: str) -> Path:
    """Where to write below the folder of all exports: an unfinished one of the same, else `name`.

    The newest unfinished one that no process holds goes on.
    """
    try:
        found = sorted((p for p in exports.iterdir() if is_export_id(p.name)), reverse=True)
    except FileNotFoundError:
        found = []
    except OSError as exc:
        raise OutputFailed(f"cannot read {exports}: {exc.strerror}") from exc
    for path in found:
        note = read_note(path)
        if note is None or note.wanted != wanted or (path / MANIFEST).exists():
            continue
        try:
            with hold(path):
                return path
        except ExportConflict:
            continue
    return _unused(exports, name)


def _unused(exports: Path, name: str) -> Path:
    path, number = exports / name, 1
    while path.exists():
        number += 1
        path = exports / f"{name}-{number}"
    return path


async def _begin(conn: Conn, folder: Folder, wanted: Wanted, at: At | None) -> Note:
    if not folder.is_new():
        raise ExportConflict(f"{folder.path} is not empty and has no {NOTE} of an export")
    moment = await fix(conn, wanted.chains, at)
    export_id = folder.path.name
    note = Note(
        id=export_id if is_export_id(export_id) else f"{moment.started_at:%Y%m%dT%H%M%SZ}",
        renown_version=version("renown"),
        wanted=wanted,
        started_at=moment.started_at,
        as_of=moment.as_of,
        epochs=moment.epochs,
    )
    folder.write_note(note)
    return note


async def _write_table(
    conn: Conn, folder: Folder, note: Note, table: Table, on_progress: Progress
) -> Note:
    places = list(_places(table, Moment(note.started_at, note.as_of, note.epochs)))
    total = sum([await exporting.held(conn, table, place) for place, _ in places])
    walked = sum(part.walked for part in note.parts if part.table == table.name)
    on_progress(table.name, walked, total)
    for place, pin in places:
        done = [
            part
            for part in note.parts
            if part.table == table.name and part.file.chain_id == place.chain_id
        ]
        end = exporting.end_of(table, place)
        while not done or done[-1].last < end:
            part = await _write_part(conn, folder, note, table, place, pin, done)
            done.append(part)
            note = msgspec.structs.replace(note, parts=[*note.parts, part])
            folder.write_note(note)
            walked += part.walked
            on_progress(table.name, walked, max(walked, total))
    return note


async def _write_part(
    conn: Conn,
    folder: Folder,
    note: Note,
    table: Table,
    place: Place,
    pin: Pin | None,
    done: list[Part],
) -> Part:
    first = done[-1].last + 1 if done else 0
    rows = note.wanted.part_rows
    last = await exporting.last_of_part(conn, table, place, first, rows=rows, size_bytes=PART_BYTES)
    chain = "" if place.chain_id is None else f"-{place.chain_id}"
    form = note.wanted.format
    file = await parts.write_part(
        *(conn, folder, f"{table.name}{chain}-{len(done):05d}.{form}", form),
        Stretch(table, place, pin, first, last),
        _about(note, table, place),
    )
    walked = await exporting.held(conn, table, place, first, last)
    return Part(table=table.name, last=last, walked=walked, file=file)


def _places(table: Table, moment: Moment) -> Iterator[tuple[Place, Pin | None]]:
    if table.family == "documents":
        yield Place(moment.started_at), None
        return
    for block in moment.as_of:
        if block.block_number is not None:
            place = Place(moment.started_at, block.chain_id, block.block_number)
            raw = None if block.block_hash is None else bytes.fromhex(block.block_hash[2:])
            epoch = moment.epochs[block.chain_id]
            yield place, Pin(block.chain_id, block.block_number, raw, epoch)


def _about(note: Note, table: Table, place: Place) -> dict[str, str]:
    # Nothing that differs between two exports of one moment: equal rows are to be equal files.
    of = [block for block in note.as_of if place.chain_id in (None, block.chain_id)]
    return {
        "renown.table": table.name,
        "renown.version": note.renown_version,
        "renown.as_of": msgspec.json.encode(of).decode(),
    }


def _manifest(note: Note, finished_at: datetime) -> Manifest:
    tables = [_table(note, TABLES[name]) for name in note.wanted.tables]
    return Manifest(
        format_version=FORMAT_VERSION,
        id=note.id,
        format=note.wanted.format,
        renown_version=note.renown_version,
        started_at=note.started_at,
        finished_at=finished_at,
        at=note.wanted.at,
        as_of=note.as_of,
        tables=tables,
        rows=sum(table.rows for table in tables),
        bytes=sum(table.bytes for table in tables),
    )


def _table(note: Note, table: Table) -> ExportTable:
    files = [part.file for part in note.parts if part.table == table.name]
    return ExportTable(
        name=table.name,
        description=table.about,
        present=table.present,
        columns=columns_of(table),
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        files=files,
    )


def columns_of(table: Table) -> list[ExportColumn]:
    """The columns that a file of `table` has, in order."""
    fields: Any = batches.schema_of(table)
    return [
        ExportColumn(field.name, kind, field.metadata[b"description"].decode())
        for field, kind in zip(fields, batches.kinds_of(table).values(), strict=True)
    ]


def _same(path: Path, wanted: Wanted, held: Wanted) -> None:
    if wanted != held:
        names = [n for n in Wanted.__struct_fields__ if getattr(wanted, n) != getattr(held, n)]
        raise ExportConflict(
            f"{path} holds an export with other {', '.join(names)}: give another folder, or the"
            " same options as before"
        )


def _wanted_of(manifest: Manifest, wanted: Wanted) -> Wanted:
    """What a finished export was asked for, as far as its manifest tells."""
    chains = tuple(block.chain_id for block in manifest.as_of)
    return msgspec.structs.replace(
        wanted,
        format=manifest.format,
        tables=tuple(table.name for table in manifest.tables),
        chains=None if wanted.chains is None else chains,
        at=manifest.at,
    )

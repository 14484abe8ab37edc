"""Bulk files as they lie in a folder: the manifest that describes them, and the finished ones.

A folder is an export from the moment it has a `manifest.json`, which is written last and never
changes. What a manifest names is what may be served: nothing else of the folder is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 64 * 2**20

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FILE = re.compile(r"[a-z]{1,40}(-[0-9]{1,19}){1,2}\.(parquet|csv|jsonl)")


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """The block of one chain that an export is as of; all null where none was final yet."""

    chain_id: int
    slug: str
    block_number: int | None = None
    block_hash: str | None = None
    time: datetime | None = None
    finality: Literal["latest", "safe", "final"] | None = None


class ExportColumn(msgspec.Struct, frozen=True):
    """One column."""

    name: str
    kind: Annotated[str, Meta(description="See the reference of exports.")]
    description: str


class ExportFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file, complete in itself. A table's files follow each other in the order of its keys."""

    name: str
    chain_id: Annotated[int | None, Meta(description="Null for tables that are of no chain.")]
    rows: Annotated[int, Meta(ge=0)]
    bytes: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ExportTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table and its files."""

    name: str
    description: str
    present: Annotated[
        bool, Meta(description="Of the present while it was written, not of the chains' blocks.")
    ]
    columns: list[ExportColumn]
    rows: Annotated[int, Meta(ge=0)]
    bytes: Annotated[int, Meta(ge=0)]
    files: list[ExportFile]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds."""

    format_version: int
    id: str
    format: Format
    renown_version: str
    started_at: datetime
    finished_at: datetime
    at: str | None
    as_of: list[Block]
    tables: list[ExportTable]
    rows: int
    bytes: int


def is_export_id(text: str) -> bool:
    """Whether a folder of this name can be an export's."""
    return _ID.fullmatch(text) is not None


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of the export in `folder`; None where there is none that we can read."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            content = file.read(MOST_MANIFEST_BYTES + 1)
        found = msgspec.json.decode(content, type=Manifest)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    if len(content) > MOST_MANIFEST_BYTES or found.format_version != FORMAT_VERSION:
        return None
    if not all(_FILE.fullmatch(file.name) for table in found.tables for file in table.files):
        return None
    return found


def exports(folder: Path, *, before: str | None = None) -> Iterator[tuple[str, Manifest]]:
    """The finished exports below `folder` with their ids, in descending order of the ids.

    Ids that Renown makes are times, so the newest come first. With `before` only those below it.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if is_export_id(entry.name)]
    except OSError:
        return
    for name in sorted(names, reverse=True):
        if before is not None and name >= before:
            continue
        found = read_manifest(folder / name)
        if found is not None:
            yield name, found


def find_export(folder: Path, export_id: str) -> Manifest | None:
    """The export called so; None for none. No text leads outside of `folder`."""
    return read_manifest(folder / export_id) if is_export_id(export_id) else None


def find_file(manifest: Manifest, name: str) -> ExportFile | None:
    """The file that `manifest` calls so."""
    for table in manifest.tables:
        for file in table.files:
            if file.name == name:
                return file
    return None

"""That the files of a finished export are those that its manifest names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from renown.errors import ExportNotFound
from renown.exports.folder import NOTE
from renown.store.exported import ExportFile, Manifest, read_manifest


class Verdict(msgspec.Struct, frozen=True):
    """How one file was found: `good`, `missing`, `wrong-length` or `wrong-content`."""

    name: str
    bytes: int
    state: str


def manifest_of(folder: Path) -> Manifest:
    """The manifest of the export in `folder`. Raises ExportNotFound."""
    found = read_manifest(folder)
    if found is None:
        unfinished = (folder / NOTE).exists()
        hint = "it is not finished: run the export again" if unfinished else "is it the right one?"
        raise ExportNotFound(f"no finished export in {folder}; {hint}")
    return found


def verdicts(folder: Path, manifest: Manifest) -> Iterator[Verdict]:
    """Every file of `manifest` read whole and compared, in its order."""
    for table in manifest.tables:
        for file in table.files:
            yield Verdict(file.name, file.bytes, _state(folder, file))


def _state(folder: Path, file: ExportFile) -> str:
    try:
        with (folder / file.name).open("rb") as content:
            if content.seek(0, 2) != file.bytes:
                return "wrong-length"
            content.seek(0)
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return "missing"
    return "good" if digest == file.sha256 else "wrong-content"

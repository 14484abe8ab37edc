"""What a backup says it holds."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

import msgspec

from renown.errors import BackupRefused

FORMAT = 1


class ChainHeld(msgspec.Struct, frozen=True):
    """One chain as the snapshot saw it."""

    chain_id: int
    slug: str
    block_number: int
    events: int
    state_hash: str


class AuditHeld(msgspec.Struct, frozen=True):
    """The audit log as the snapshot saw it. `root` is over `leaves` leaves, hex (RFC 6962)."""

    leaves: int
    root: str
    checkpoint: str | None  # the last signed note


class Outcome(msgspec.Struct, frozen=True):
    """What a database holds, so that two can be compared."""

    schema_sha256: str
    rows: dict[str, int]
    chains: list[ChainHeld]
    audit: AuditHeld


class FileHeld(msgspec.Struct, frozen=True):
    """A file of the backup, its name relative to the manifest."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """Everything that is known of a backup without reading it."""

    format: int
    created_at: datetime
    renown: str  # version
    server: str  # version of PostgreSQL
    server_major: int
    migrations: dict[int, str]  # checksums by number
    held: Outcome
    files: list[FileHeld]


class Backup(msgspec.Struct, frozen=True):
    """Where a backup is: `dump` is pg_dump's file or folder."""

    dump: Path
    manifest: Path

    @classmethod
    def at(cls, path: Path) -> Backup:
        """The backup that was written to `path`. Raises BackupRefused if none is there."""
        found = cls.of_folder(path) if path.is_dir() else cls.of_file(path)
        if not path.exists():
            raise BackupRefused(f"there is no backup at {path}")
        if not found.manifest.exists():
            raise BackupRefused(
                f"{found.manifest} is missing: what is at {path} was not finished, or is no backup "
                "of `renown db backup`"
            )
        return found

    @classmethod
    def of_file(cls, path: Path) -> Backup:
        """One file, and its manifest beside it."""
        return cls(path, path.with_name(f"{path.name}.manifest.json"))

    @classmethod
    def of_folder(cls, path: Path) -> Backup:
        """A folder with everything in it."""
        return cls(path / "dump", path / "manifest.json")

    def read(self) -> Manifest:
        """What it says of itself. Raises BackupRefused where that cannot be read."""
        try:
            manifest = msgspec.json.decode(self.manifest.read_bytes(), type=Manifest)
        except (OSError, msgspec.MsgspecError) as exc:
            raise BackupRefused(f"{self.manifest} cannot be read: {exc}") from exc
        if manifest.format != FORMAT:
            raise BackupRefused(
                f"{self.manifest} has format {manifest.format}, this version reads {FORMAT}"
            )
        return manifest

    def files(self) -> list[Path]:
        """The dump's files, in order of their names."""
        if self.dump.is_dir():
            return sorted(path for path in self.dump.rglob("*") if path.is_file())
        return [self.dump]

    def describe_files(self) -> list[FileHeld]:
        """Sizes and hashes of the dump as it is. Reads all of it."""
        folder = self.manifest.parent
        return [
            FileHeld(str(path.relative_to(folder)), path.stat().st_size, _sha256(path))
            for path in self.files()
        ]

    def check_files(self, manifest: Manifest) -> None:
        """Return if the files are those that were written. Raises BackupRefused."""
        try:
            found = {file.name: file for file in self.describe_files()}
        except OSError as exc:
            raise BackupRefused(f"{exc.filename} cannot be read: {exc.strerror}") from exc
        for file in manifest.files:
            have = found.pop(file.name, None)
            if have is None:
                raise BackupRefused(f"{file.name} is missing from the backup")
            if have.bytes != file.bytes:
                raise BackupRefused(
                    f"{file.name} has {have.bytes:,} bytes, {file.bytes:,} were written: "
                    "it was cut or changed"
                )
            if have.sha256 != file.sha256:
                raise BackupRefused(f"{file.name} is not as it was written: its hash differs")
        if found:
            raise BackupRefused(f"{min(found)} was added to the backup")


def different_copy(said: Outcome, schema_sha256: str, rows: dict[str, int]) -> list[str]:
    """What a copy has otherwise than `said`, schema and numbers of rows, in words."""
    lines = [] if said.schema_sha256 == schema_sha256 else ["the schema differs"]
    for table in sorted({*said.rows, *rows}):
        was, is_now = said.rows.get(table), rows.get(table)
        if was != is_now:
            lines.append(f"{table} has {is_now} rows, {was} were dumped")
    return lines


def different_content(said: Outcome, found: Outcome) -> list[str]:
    """What `found` has otherwise than `said`, state hashes and audit root, in words."""
    lines = []
    chains = {chain.chain_id: chain for chain in found.chains}
    for chain in said.chains:
        have = chains.pop(chain.chain_id, None)
        if have is None:
            lines.append(f"{chain.slug} is missing")
        elif have != chain:
            lines.append(
                f"{chain.slug} has the state hash {have.state_hash} at block {have.block_number}; "
                f"it was {chain.state_hash} at block {chain.block_number}"
            )
    lines += [f"{chain.slug} was not dumped" for chain in chains.values()]
    if said.audit != found.audit:
        lines.append(
            f"the audit log has {found.audit.leaves} leaves and the root {found.audit.root}; "
            f"it had {said.audit.leaves} and {said.audit.root}"
        )
    return lines


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Backups that prove themselves: a dump, and beside it what it must hold."""

from renown.ingest.backup.made import make_backup
from renown.ingest.backup.manifest import Backup, Manifest, Outcome
from renown.ingest.backup.restored import checked, restore

__all__ = ["Backup", "Manifest", "Outcome", "checked", "make_backup", "restore"]

"""The notary: puts what happened in order, under a tree, and signs where it stands."""

from renown.ingest.notary.folder import CheckpointFolder
from renown.ingest.notary.notary import Notary

__all__ = ["CheckpointFolder", "Notary"]

"""Operations on the chain: signed, sent and watched until what became of them is final."""

from renown.ingest.operations.watcher import Watcher

__all__ = ["Watcher"]

"""One attempt to read a URI, as it goes from whoever made it to whoever settles it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from renown.offchain.fetched import Fetched
from renown.store.documents import DocumentRow
from renown.store.uris import Due


class Attempt(msgspec.Struct, frozen=True):
    """`due` as it was claimed, `at` when it began, and what came of it.

    Attributes:
        digest: SHA-256 of the body of a success, None for everything else.
        document: what the body is; None where it is likely to be held already.
    """

    due: Due
    at: datetime
    fetched: Fetched
    digest: bytes | None = None
    document: DocumentRow | None = None

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, about."""
        size = len(self.due.uri) + len(self.fetched.body or b"")
        if self.document is not None:
            size += len(self.document.content or "") + len(self.document.registration or "")
        return size

"""One attempt to read a URI, as it goes from whoever made it to whoever settles it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from renown.offchain.fetched import Fetched
from renown.store.uris import Due


class Attempt(msgspec.Struct, frozen=True):
    """`due` as it was claimed, `at` when it began, and what came of it."""

    due: Due
    at: datetime
    fetched: Fetched

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, about."""
        return len(self.due.uri) + len(self.fetched.body or b"")

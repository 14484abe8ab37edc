"""What may be shown of a URL: its host. The rest of a node's URL is often a key."""

from __future__ import annotations

from renown.spec.redaction import UNKNOWN_HOST, host_of

__all__ = ["UNKNOWN_HOST", "host_of"]

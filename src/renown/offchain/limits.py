"""How much of our time and memory one stranger gets."""

from __future__ import annotations

import msgspec

MOST_HEADERS = 256
MOST_HEAD_BYTES = 65_536
"""Of all lines before the body, interim answers included."""


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one fetch.

    Attributes:
        deadline_seconds: from the first look-up to the last byte, over all redirects. Waiting for
            a turn at the first host does not count, nor for further ones at a host asked before;
            with content addresses each gateway gets it.
        body_bytes: of a document, as sent and again inflated.
        redirects: followed at most.
        error_body_bytes: of an error page; what is longer is cut.
    """

    deadline_seconds: float = 10.0
    body_bytes: int = 2 * 1024 * 1024
    redirects: int = 3
    error_body_bytes: int = 65_536

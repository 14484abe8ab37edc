"""What an agent, feedback or response URI is: its scheme, whose host it costs, what it fixes. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

UriKind = Literal["https", "http", "ipfs", "ar", "data", "json", "unsupported"]


class Uri(msgspec.Struct, frozen=True, kw_only=True):
    """One URI, understood.

    Attributes:
        text: what to request or show: cleaned, bounded; the whole URL for http(s).
        host: whose patience it costs: the lower-case ASCII host of http(s), "ipfs:", "ar:", and ""
            where nothing is fetched.
        fixed: the URI determines the bytes: inline, or content-addressed.
        cid: of ipfs, or the transaction of ar.
        path: behind the cid, with its leading slash; "".
        reason: why it is unsupported: a stable code.
    """

    kind: UriKind
    text: str
    host: str = ""
    fixed: bool = False
    cid: str | None = None
    path: str = ""
    reason: str | None = None

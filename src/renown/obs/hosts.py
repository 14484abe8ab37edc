"""What may be shown of a URL: its host. The rest of a node's URL is often a key."""

from __future__ import annotations

import re

UNKNOWN_HOST = "?"

_HOST = re.compile(
    r"[a-zA-Z][a-zA-Z0-9+.-]*://"
    r"(?:[^/?#]*@)?"
    r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?\.?)"
    r"(:[0-9]{1,5})?"
    r"(?=[/?#]|$)"
)


def host_of(url: str) -> str:
    """Host of a URL in lower case, with its port where one is written; "?" where there is none.

    Never raises, and never gives back a user, a password, a path or a query.
    """
    match = _HOST.match(url.strip())
    return match[1].lower() + (match[2] or "") if match else UNKNOWN_HOST

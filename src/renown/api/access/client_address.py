"""Where a request comes from, as limits count it, and only from those who may say so.

The peer of the connection is the client, unless it is a proxy that the settings trust. Then its
`X-Forwarded-For` is read from the right, which is the end that proxies write to, for as long as
what stands there is a trusted proxy as well: the first that is not is the client. What stands
further left was written by strangers and is not looked at. `Forwarded`, `X-Real-IP` and headers of
single vendors are never read: a proxy that sets one of them hands the others through as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice

from starlette.types import Scope

from renown.spec.proxies import NOBODY, IpAddress, TrustedProxies, unmapped

__all__ = ["NOBODY", "UNKNOWN", "TrustedProxies", "client_address"]

UNKNOWN = "unknown"
"""The address of peers that have none, such as those of a Unix socket: they count as one."""
_MOST_HOPS = 32
_LONGEST = 64
_PORT = re.compile(r"(?:\[(?P<six>[^\]]*)\](?::\d{1,5})?|(?P<four>\d[\d.]*):\d{1,5})")


def client_address(scope: Scope, trusted: TrustedProxies = NOBODY) -> str:
    """The client of a request: an IPv4 address, or the /64 network of an IPv6 one.

    IPv4 addresses that are mapped into IPv6 count as what they are. Where a trusted proxy hands on
    what is no address, the last address that was one counts: that of the proxy nearest to it.
    `UNKNOWN` for a peer without an address that nobody trusts.
    """
    client = scope.get("client")
    peer = _parsed(client[0]) if client else None
    if peer is None:
        if client or not trusted.local_socket:
            return UNKNOWN
    elif not trusted or not trusted.holds(peer):
        return _counted(peer)
    for text in islice(_from_the_right(scope), _MOST_HOPS):
        address = _parsed(text)
        if address is None:
            break
        peer = address
        if not trusted.holds(peer):
            break
    return UNKNOWN if peer is None else _counted(peer)


def comes_from_proxy(scope: Scope, trusted: TrustedProxies) -> bool:
    """Whether the peer is a proxy that the settings trust, so that its word counts."""
    if not trusted:
        return False
    client = scope.get("client")
    peer = _parsed(client[0]) if client else None
    if peer is None:
        return not client and trusted.local_socket
    return trusted.holds(peer)


def _from_the_right(scope: Scope) -> Iterator[str]:
    """What `X-Forwarded-For` says, the latest first; several such lines are one list."""
    for name, value in reversed(scope["headers"]):
        if name == b"x-forwarded-for":
            # Cut so often only: a header may be one long row of commas.
            for part in reversed(value.rsplit(b",", _MOST_HOPS)):
                yield part.strip(b" \t").decode("latin-1")


@lru_cache(maxsize=16_384)
def _parsed(text: str) -> IpAddress | None:
    if len(text) > _LONGEST:
        return None
    if (match := _PORT.fullmatch(text)) is not None:
        text = match["six"] or match["four"] or ""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return unmapped(address)


@lru_cache(maxsize=16_384)
def _counted(address: IpAddress) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"

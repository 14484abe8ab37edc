"""Which of an agent's services can be called, and by what protocol. Pure."""

from __future__ import annotations

from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import msgspec

from renown.spec.documents.model import Registration, ServiceKind
from renown.spec.hosts import ascii_host

Protocol = Literal["mcp", "a2a", "x402", "web"]

MOST_ENDPOINTS = 32
"""Of one agent; those further down in its file are not called."""

LONGEST_URL = 2048


class Declared(msgspec.Struct, frozen=True, order=True):
    """One endpoint of one agent.

    Attributes:
        position: of the service in its file.
        url: http(s), normalised, ASCII, without fragment; equal for spellings that reach the same.
        host: whose patience it costs, as `ascii_host` writes it; without port.
    """

    position: int
    protocol: Protocol
    url: str
    host: str


def declared(registration: Registration) -> tuple[Declared, ...]:
    """The endpoints of `registration` that can be called, in its order, at most `MOST_ENDPOINTS`.

    Only http(s) URLs that name a host; what is a name, an address or a mailbox is no endpoint. A
    service of no known kind counts as `web` if it has such a URL: whether it answers is all that
    can be asked.
    """
    found: list[Declared] = []
    for service in registration.services:
        protocol = _PROTOCOLS.get(service.kind)
        if protocol is None or service.endpoint is None:
            continue
        normal = normal_url(service.endpoint)
        if normal is not None:
            found.append(Declared(service.position, protocol, *normal))
        if len(found) == MOST_ENDPOINTS:
            break
    return tuple(found)


def normal_url(text: str) -> tuple[str, str] | None:
    """`text` as (URL, host) by RFC 3986 6.2.2 and 6.2.3, or None where it cannot be requested.

    Scheme and host in lower case, the host in IDNA, no default port, no fragment, "/" for no
    path, what is not ASCII percent-encoded. User names and passwords are never sent: None.
    """
    try:
        parts = urlsplit(text.strip())
        scheme, name, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:  # brackets, or a port, that are none
        return None
    if scheme not in _DEFAULT_PORTS or "@" in parts.netloc or port == 0:
        return None
    host = ascii_host(f"[{name}]" if ":" in name else name)
    if host is None or any(character in text.strip() for character in _FORBIDDEN):
        return None
    authority = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    path = quote(parts.path, safe=_PATH_SAFE) or "/"
    query = quote(parts.query, safe=_QUERY_SAFE)
    url = urlunsplit(SplitResult(scheme, authority, path, query, ""))
    return (url, host) if len(url) <= LONGEST_URL else None


_PROTOCOLS: dict[ServiceKind, Protocol] = {
    "mcp": "mcp", "a2a": "a2a", "x402": "x402", "web": "web", "other": "web"
}  # fmt: skip
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORBIDDEN = '\\\0\t\r\n<>"{}|^`'
_PATH_SAFE = "/%:@!$&'()*+,;=~-._[]"
_QUERY_SAFE = _PATH_SAFE + "?"

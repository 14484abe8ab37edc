"""A URL, read strictly: where it leads and what to ask there. Pure.

Ours, because parsers that repair URLs (drop tabs, take a backslash for a slash, ignore a user name)
make one host of what a checker took for another.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote, urljoin

import msgspec

from renown.offchain.failed import Failed
from renown.spec.hosts import ascii_host

LONGEST_URL = 8_192

Scheme = Literal["http", "https"]
DEFAULT_PORTS: dict[Scheme, int] = {"http": 80, "https": 443}

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{0,5}))?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_REFUSED_CHARACTERS = re.compile(r"[\x00-\x20\x7f\\]")
_KEPT = "/?:@!$&'()*+,;=-._~[]%|"


class Target(msgspec.Struct, frozen=True):
    """What a URL asks for.

    Attributes:
        host: as `ascii_host` gives it: lower case, ASCII, an IPv6 address in brackets.
        resource: path and query, ASCII, with its leading slash.
    """

    scheme: Scheme
    host: str
    port: int
    resource: str

    @property
    def authority(self) -> str:
        """Host and port as they stand in a Host header: without the scheme's own port."""
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole, in its one spelling."""
        return f"{self.scheme}://{self.authority}{self.resource}"

    @property
    def address(self) -> str | None:
        """The IP address, where the host is one; see `literal_address`."""
        return literal_address(self.host)


def literal_address(host: str) -> str | None:
    """The IP address that `host` is, without brackets; None for a name."""
    if host.startswith("["):
        return host[1:-1]
    return host if host.rpartition(".")[2].isdigit() else None


def read_target(url: str) -> Target | Failed:
    """Read an absolute http or https URL. The fragment goes.

    Refused, with a reason: `too-long`, `bad-characters` (spaces, controls, a backslash, half
    characters), `scheme`, `userinfo`, `bad-host`, `bad-port`.
    """
    if len(url) > LONGEST_URL:
        return _refused("too-long")
    if _REFUSED_CHARACTERS.search(url):
        return _refused("bad-characters")
    match = _URL.fullmatch(url.partition("#")[0])
    if match is None:
        return _refused("scheme")
    if "@" in match[2]:
        return _refused("userinfo")
    parts = _AUTHORITY.fullmatch(match[2])
    host = ascii_host(parts[1]) if parts else None
    if parts is None or host is None:
        return _refused("bad-host")
    scheme: Scheme = "https" if match[1].lower() == "https" else "http"
    port = int(parts[2]) if parts[2] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65_536:
        return _refused("bad-port")
    try:
        resource = quote(match[3], safe=_KEPT)
    except UnicodeEncodeError:
        return _refused("bad-characters")
    return Target(scheme, host, port, resource if resource.startswith("/") else f"/{resource}")


def redirected(base: Target, location: str) -> Target | Failed:
    """Where a Location header sends us.

    Refused beside what `read_target` refuses: `downgrade`, from https to http, where anyone on the
    way could put another document in the place of the one asked for.
    """
    location = _as_text(location).strip(" \t")
    if not location:
        return Failed("broken", "no-location")
    if _REFUSED_CHARACTERS.search(location):  # urljoin would drop tabs and line ends unseen
        return _refused("bad-characters")
    if _SCHEME.match(location):
        target = read_target(location)
    else:
        try:
            target = read_target(urljoin(base.url, location))
        except ValueError:  # brackets that do not match
            return _refused("bad-host")
    if isinstance(target, Target) and (base.scheme, target.scheme) == ("https", "http"):
        return _refused("downgrade")
    return target


def _as_text(header: str) -> str:
    """Headers are read as Latin-1; many servers write UTF-8 into this one."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _refused(reason: str) -> Failed:
    return Failed("refused", reason)

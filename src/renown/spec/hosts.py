"""Host names and addresses as text: which are names at all, private, or dressed up as others. Pure.

What a name resolves to is for `offchain` to judge; here is only what can be told from its letters.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import lru_cache

import idna

from renown.spec.names import skeleton

MOST_HOST_CHARACTERS = 253
"""Longest a host name can be (RFC 1035)."""

_ASCII_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRIVATE_ENDINGS = (
    *(".localhost", ".local", ".internal", ".intranet", ".private", ".lan", ".home", ".corp"),
    *(".home.arpa", ".test", ".invalid", ".onion", ".in-addr.arpa", ".ip6.arpa"),
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_TOGETHER = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})
"""Scripts that honest names mix (UTS #39, "Highly Restrictive")."""


def ascii_host(text: str) -> str | None:
    """`text` as a host: lower case, in ASCII (IDNA), without a trailing dot; None if it is none.

    An IPv4 address must be four decimal numbers: `127.1`, `0x7f000001` and `2130706433`, which
    resolvers take for addresses, are no hosts. An IPv6 address stands in brackets, without a zone.
    """
    if text.startswith("["):
        return _ipv6(text)
    if not text or len(text) > MOST_HOST_CHARACTERS:
        return None
    host = text.lower()
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode()
        except (idna.IDNAError, UnicodeError, ValueError, IndexError):
            return None
    host = host.removesuffix(".")
    if len(host) > MOST_HOST_CHARACTERS or _ASCII_NAME.fullmatch(host) is None:
        return None
    if _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        return host if _is_ipv4(host) else None
    return host


def is_private(host: str) -> bool:
    """Whether a host, as `ascii_host` gives it, can lead nowhere public by its letters alone."""
    if host.startswith("["):
        return _private_address(host[1:-1])
    last = host.rpartition(".")[2]
    if last.isdigit():
        return _private_address(host)
    return "." not in host or host.endswith(_PRIVATE_ENDINGS)


@lru_cache(maxsize=4096)
def imitates(host: str) -> str | None:
    """What a host dressed up in other scripts can be taken for; None for an honest one.

    Names in ASCII and in one other script pass; a label that mixes scripts, or that consists of
    letters which all look Latin, does not.
    """
    if "xn--" not in host:
        return None
    for label in host.split("."):
        if not label.startswith("xn--"):
            continue
        try:
            shown = idna.decode(label)
        except (idna.IDNAError, UnicodeError, ValueError, IndexError):
            return label
        looks, scripts = skeleton(shown), _scripts(shown)
        if looks.isascii() or (len(scripts) > 1 and not scripts <= _TOGETHER):
            return host.replace(label, looks)
    return None


def shown_host(host: str) -> str:
    """A host in its own letters, for people; beside the ASCII form, never instead of it."""
    if "xn--" not in host:
        return host
    try:
        return idna.decode(host)
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        return host


def _scripts(label: str) -> set[str]:
    # Python knows no scripts, but the names of letters begin with them.
    return {
        unicodedata.name(character, "UNKNOWN").partition(" ")[0]
        for character in label
        if character.isalpha()
    }


def _ipv6(text: str) -> str | None:
    if not text.endswith("]") or "%" in text or len(text) > 60:
        return None
    try:
        return f"[{ipaddress.IPv6Address(text[1:-1])}]"
    except ValueError:
        return None


def _is_ipv4(text: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(text)) == text
    except ValueError:
        return False


def _private_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return True
    inner = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if (
            any(address in net for net in _NAT64)
            or address.is_site_local
            or int(address) >> 32 == 0
        ):
            return True
    return any(
        not one.is_global or one.is_multicast or one.is_reserved
        for one in (address, inner)
        if one is not None
    )

"""Links to where strangers point: only where they can do no harm, and shown as what they are.

What a link leads to is written in ASCII, with the part of the host that somebody had to register in
bold and never cut; how its author spelt it stands beside it where that differs.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import idna
from markupsafe import Markup
from msgspec import Struct

from renown.spec.hosts import ascii_host, imitates, is_private
from renown.spec.text import shown

REL = "noopener nofollow ugc"
LONGEST_LINK = 2_048
_LONGEST_SHOWN = 60
_IPFS = re.compile(r"ipfs://[A-Za-z0-9]{10,120}(/[A-Za-z0-9._~/-]{0,500})?")
_FORBIDDEN = re.compile(r"[\s\\<>\"{}|^`\x00-\x1f\x7f]")
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"})
"""Below two-letter domains these are nobody's: `example.co.uk` is registered, `co.uk` is not."""


class Target(Struct, frozen=True):
    """Where a link leads, in parts to show. `host` is what had to be registered; `spelt` is the
    whole host in its own letters, None for plain ASCII; `like` is what it can be taken for."""

    href: str
    scheme: str
    below: str
    host: str
    rest: str
    spelt: str | None = None
    like: str | None = None


def target(text: str) -> Target | None:
    """Where `text` leads, None where it is not to be followed.

    Followed are http(s) to public hosts, without user names, and IPFS addresses.
    """
    if len(text) > LONGEST_LINK or _FORBIDDEN.search(text):
        return None
    if _IPFS.fullmatch(text):
        return Target(text, "ipfs", "", text[7:], "")
    try:
        parts = urlsplit(text)
        scheme, port = parts.scheme.lower(), parts.port
    except ValueError:
        return None
    if scheme not in ("http", "https") or "@" in parts.netloc:
        return None
    host = ascii_host(
        f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    )
    if host is None or is_private(host):
        return None
    authority = host if port is None else f"{host}:{port}"
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    rest = urlunsplit(SplitResult("", "", path, query, ""))
    below, registered = _split(host)
    return Target(
        href=urlunsplit(SplitResult(scheme, authority, path, query, "")),
        scheme=scheme,
        below=below,
        host=registered + authority[len(host) :],
        rest=rest,
        spelt=_unicode(host),
        like=imitates(host),
    )


def link(text: object) -> Markup:
    """`text` as a link if it is to be followed, else as text. Safe to put into a page as it is."""
    found = target(str(text))
    if found is None:
        return Markup('<bdi class="uri">{}</bdi>').format(
            _cut(shown(str(text)), 2 * _LONGEST_SHOWN)
        )
    made = Markup('<a class="uri" href="{}" rel="{}">{}://{}<b>{}</b>{}</a>').format(
        found.href, REL, found.scheme, _cut(found.below, 30), found.host, _cut(found.rest, 40)
    )
    if found.spelt is not None:
        made += Markup(" <small>spelt <bdi>{}</bdi></small>").format(_cut(shown(found.spelt), 80))
    if found.like is not None:
        made += Markup(' <small class="trouble">imitates <bdi>{}</bdi></small>').format(
            _cut(shown(found.like), 80)
        )
    return made


def _split(host: str) -> tuple[str, str]:
    if host.startswith("[") or host.rpartition(".")[2].isdigit():
        return "", host
    labels = host.split(".")
    own = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    below = "".join(f"{label}." for label in labels[:-own])
    return below, ".".join(labels[-own:])


def _unicode(host: str) -> str | None:
    if "xn--" not in host:
        return None
    try:
        return idna.decode(host)
    except (idna.IDNAError, UnicodeError):
        return None


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"

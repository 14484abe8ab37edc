"""Where services and images point: whether that is an address at all, and a safe one. Pure."""

from __future__ import annotations

import re

from renown.spec.documents.model import ServiceKind
from renown.spec.documents.notes import Notes
from renown.spec.documents.placeholders import is_placeholder
from renown.spec.hosts import ascii_host, imitates, is_private, shown_host
from renown.spec.text import REPLACEMENT

# The shape of nearly all of them, so that one match is enough: https, a host in ASCII, no port.
_PLAIN = re.compile(
    r"https://((?:[a-z0-9-]{1,63}\.){1,8})([a-z]{2,20})(?:/[!#%-;=?-Z_a-z~]*+)?", re.ASCII
)
_DOUBTFUL_ENDS = frozenset(
    {
        *("local", "localhost", "internal", "intranet", "private", "lan", "home", "corp", "arpa"),
        *("test", "invalid", "onion"),
    }
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30}):(.*)", re.DOTALL | re.IGNORECASE)
_AUTHORITY = re.compile(r"//([^/?#\\]*)", re.DOTALL)
_PORT = re.compile(r":[0-9]{0,5}\Z")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_RUNS_CODE = frozenset({"javascript", "vbscript", "livescript", "mocha", "file", "blob", "about"})
_FETCHED = frozenset({"http", "https", "ws", "wss"})
_EMAIL = re.compile(r"[^@\s/:]{1,64}@[^@\s/:]{1,253}")
_NAME = re.compile(r"(?:[^\s./:@]{1,63}\.){1,8}[^\s./:@\d][^\s./:@]{1,62}", re.ASCII)
_ACCOUNT = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}:[-.%a-zA-Z0-9]{1,128}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SAFE_DATA = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp|avif|svg\+xml)[;,]", re.IGNORECASE)


def is_plain(text: str) -> bool:
    """Whether nothing can be wrong with it: https to a public name in ASCII. Quick."""
    match = _PLAIN.fullmatch(text)
    if match is None or match[2] in _DOUBTFUL_ENDS:
        return False
    return not (
        "xn--" in text or "example" in text or "your" in text or "domain" in text or "%7B" in text
    )


def judge_endpoint(text: str, kind: ServiceKind, path: str, notes: Notes) -> None:
    """Note what is wrong with the endpoint of a service of `kind`, which stands at `path`."""
    if is_plain(text):
        return
    path = f"{path}/endpoint"
    if kind in ("mcp", "a2a", "web", "x402", "oasf") or _has_scheme(text):
        if kind == "wallet" and _ACCOUNT.fullmatch(text):
            return
        judge_url(text, path, notes)
    elif is_placeholder(text):
        notes.add("placeholder", path, text)
    elif kind == "email":
        if _EMAIL.fullmatch(text) is None:
            notes.add("malformed-url", path, f"no e-mail address: {text}")
    elif kind == "ens":
        if _NAME.fullmatch(text) is None and text.isascii():
            notes.add("malformed-url", path, f"no ENS name: {text}")
    elif kind == "wallet":
        if _ADDRESS.fullmatch(text) is None and _NAME.fullmatch(text) is None:
            notes.add("malformed-url", path, f"no account: {text}")
    elif REPLACEMENT in text:
        notes.add("unsafe-url", path, "it holds hidden characters")


def judge_image(text: str, path: str, notes: Notes) -> None:
    """Note what is wrong with the address of a picture. `text` is not empty."""
    if not (is_plain(text) or _SAFE_DATA.match(text)):
        judge_url(text, path, notes)


def judge_url(text: str, path: str, notes: Notes) -> None:
    """Note what is wrong with a URL that others are to follow."""
    placeholder = is_placeholder(text)
    if placeholder:
        notes.add("placeholder", path, text)
    # Browsers drop these before they look at the scheme, so `java\nscript:` is code.
    bare = _CONTROLS.sub("", text).strip()
    if bare != text or REPLACEMENT in text:
        notes.add("unsafe-url", path, "it holds white space or hidden characters")
    match = _SCHEME.fullmatch(bare)
    scheme, rest = (match[1].lower(), match[2]) if match else ("", "")
    wrong = None
    if scheme in _RUNS_CODE or (scheme == "data" and not _SAFE_DATA.match(bare)):
        notes.add("unsafe-url", path, f"its scheme is {scheme}:")
    elif scheme in _FETCHED:
        wrong = _judge_authority(scheme, rest, path, notes)
    elif scheme == "mailto":
        wrong = None if _EMAIL.fullmatch(rest.partition("?")[0]) else f"no e-mail address: {bare}"
    elif len(scheme) < 2 or _NAME.fullmatch(scheme):  # none, a drive, or the host of host:port
        wrong = f"no scheme: {bare}"
    if wrong is not None and not placeholder:
        notes.add("malformed-url", path, wrong)


def _judge_authority(scheme: str, rest: str, path: str, notes: Notes) -> str | None:
    """Note what is wrong with the host; returns why there is none."""
    match = _AUTHORITY.match(rest)
    authority = match[1] if match else ""
    if "@" in authority:
        notes.add("unsafe-url", path, "a user name stands before the host")
        authority = authority.rpartition("@")[2]
    host = ascii_host(authority if authority.endswith("]") else _PORT.sub("", authority))
    if host is None:
        return f"no host: {authority}"
    if is_private(host):
        notes.add("private-host", path, host)
    elif (looks := imitates(host)) is not None:
        notes.add("spoofed-host", path, f"{shown_host(host)} is {host}, looks like {looks}")
    elif scheme in ("http", "ws"):
        notes.add("insecure-url", path)
    return None


def _has_scheme(text: str) -> bool:
    return _SCHEME.match(_CONTROLS.sub("", text).strip()) is not None

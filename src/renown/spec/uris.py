"""What a URI on the chain is: its scheme, whose host it costs, what it fixes. Pure."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

import msgspec

from renown.spec.hosts import ascii_host
from renown.spec.inline import Inline, read_inline
from renown.spec.text import clean_text, shown

__all__ = ["Inline", "Uri", "UriKind", "parse_uri", "read_inline", "well_known"]

UriKind = Literal["https", "http", "ipfs", "ar", "data", "json", "unsupported"]

LONGEST_URL = 8_192
"""Bytes of a URL that is followed; longer ones are `too-long`. Inline ones may be longer."""
LONGEST_SHOWN = 200
"""Characters of `Uri.text` where nothing is requested."""
IPFS_HOST, AR_HOST = "ipfs:", "ar:"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):")
_AUTHORITY = re.compile(r"//([^/?#\\]*)(.*)", re.DOTALL)
_PORT = re.compile(r"(.*):([0-9]{0,5})", re.DOTALL)
_UNWANTED = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]")
_KEPT_IN_PATHS = "/?:@!$&'()*+,;=-._~[]%"
_NOT_ESCAPED_WELL = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Multibase prefixes that people write: base32, base58btc, base36, base16, base64url.
_CID = re.compile(
    r"Qm[1-9A-HJ-NP-Za-km-z]{44}|[bB][A-Za-z2-7]{50,120}|z[1-9A-HJ-NP-Za-km-z]{40,120}"
    r"|[kK][0-9a-zA-Z]{45,120}|[fF][0-9a-fA-F]{64,200}|u[0-9A-Za-z_-]{40,120}"
)
_TRANSACTION = re.compile(r"[A-Za-z0-9_-]{43}")


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


def parse_uri(raw: bytes) -> Uri:
    """What `raw`, as it stands on the chain, points to. Never raises.

    Read beside what RFC 3986 allows: white space around it, a bare CID, `ipfs://ipfs/…`, JSON in
    place of a URI, host names in other scripts. A URL's text is what goes over the wire: host in
    ASCII, path percent-encoded, no fragment.

    Reasons of `unsupported`: empty, not-text, no-uri, unknown-scheme, too-long, bad-authority,
    userinfo, bad-host, bad-port, bad-cid, bad-path, ipns, bad-transaction.

    Source: ERC-8004, "Agent URI and Agent Registration File"; RFC 3986; RFC 2397.
    """
    head = raw[:64].lstrip(b" \t\r\n\xef\xbb\xbf")
    if head[:1] == b"{":
        return _inline("json", raw)
    if head[:5].lower() == b"data:":
        return _inline("data", raw)
    if len(raw) > LONGEST_URL:
        return _unsupported(raw, "too-long" if _looks_like_url(head) else "no-uri")
    try:
        text = raw.decode().strip("\x00 \t\r\n\ufeff")
    except UnicodeDecodeError:
        return _unsupported(raw, "not-text")
    if not text:
        return _unsupported(raw, "empty")
    match = _SCHEME.match(text)
    if match is None:
        return _without_scheme(raw, text)
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme in ("http", "https"):
        return _url(raw, scheme, rest)
    if scheme == "ipfs":
        return _ipfs(raw, rest)
    if scheme == "ar":
        return _ar(raw, rest)
    return _unsupported(raw, "ipns" if scheme == "ipns" else "unknown-scheme")


def well_known(host: str) -> str:
    """Where a host says which agents are its own (ERC-8004, "Endpoint Domain Verification")."""
    return f"https://{host}/.well-known/agent-registration.json"


def _url(raw: bytes, scheme: Literal["http", "https"] | str, rest: str) -> Uri:
    match = _AUTHORITY.fullmatch(rest)
    if match is None:
        return _unsupported(raw, "bad-authority")
    authority, tail = match[1], match[2].partition("#")[0]
    if "@" in authority:
        return _unsupported(raw, "userinfo")
    name, port = authority, ""
    if not authority.endswith("]") and (split := _PORT.fullmatch(authority)):
        name, port = split[1], split[2]
        if port and not 0 < int(port) < 65_536:
            return _unsupported(raw, "bad-port")
    host = None if _UNWANTED.search(name) else ascii_host(name)
    if host is None:
        return _unsupported(raw, "bad-host")
    secure = scheme == "https"
    usual = {"": True, "443": secure, "80": not secure}.get(port.lstrip("0"), False)
    where = host if usual else f"{host}:{int(port)}"
    path = _escaped(tail if tail[:1] in ("/", "") else "/" + tail)
    return Uri(
        kind="https" if secure else "http", text=f"{scheme}://{where}{path or '/'}", host=host
    )


def _ipfs(raw: bytes, rest: str) -> Uri:
    words = rest.lstrip("/").removeprefix("ipfs/").lstrip("/")
    cid, slash, path = words.partition("#")[0].partition("?")[0].partition("/")
    if _CID.fullmatch(cid) is None:
        return _unsupported(raw, "bad-cid")
    return _content_addressed(raw, "ipfs", cid, slash + path)


def _ar(raw: bytes, rest: str) -> Uri:
    transaction, slash, path = rest.lstrip("/").partition("#")[0].partition("?")[0].partition("/")
    if _TRANSACTION.fullmatch(transaction) is None:
        return _unsupported(raw, "bad-transaction")
    return _content_addressed(raw, "ar", transaction, slash + path)


def _content_addressed(raw: bytes, kind: Literal["ipfs", "ar"], cid: str, path: str) -> Uri:
    path = _escaped(path)
    steps = path.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").split("/")
    if ".." in steps or "." in steps:  # a gateway would walk out of the content with them
        return _unsupported(raw, "bad-path")
    return Uri(
        kind=kind,
        text=f"{kind}://{cid}{path}",
        host=IPFS_HOST if kind == "ipfs" else AR_HOST,
        fixed=True,
        cid=cid,
        path="" if path == "/" else path,
    )


def _without_scheme(raw: bytes, text: str) -> Uri:
    if text.startswith("/ipfs/"):
        return _ipfs(raw, text.removeprefix("/ipfs/"))
    if _CID.fullmatch(text.partition("/")[0]):
        return _ipfs(raw, text)
    return _unsupported(raw, "no-uri")


def _inline(kind: Literal["data", "json"], raw: bytes) -> Uri:
    return Uri(kind=kind, text=_preview(raw), fixed=True)


def _unsupported(raw: bytes, reason: str) -> Uri:
    return Uri(kind="unsupported", text=_preview(raw), reason=reason)


def _escaped(path: str) -> str:
    """A path and query as they go over the wire; what is escaped already stays so."""
    return quote(_NOT_ESCAPED_WELL.sub("%25", path), safe=_KEPT_IN_PATHS)


def _looks_like_url(head: bytes) -> bool:
    return _SCHEME.match(head.decode("latin-1")) is not None


def _preview(raw: bytes) -> str:
    return shown(clean_text(raw[: 4 * LONGEST_SHOWN]))[:LONGEST_SHOWN]

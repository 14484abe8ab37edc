"""Files that stand in the URI itself: `data:`, right and broken, and bare JSON. Pure."""

from __future__ import annotations

import binascii
import re
import zlib

import msgspec

from renown.spec.documents.model import Finding

MOST_BODY_BYTES = 2 * 1024 * 1024
"""Largest body, after every coding is taken off."""
MOST_RAW_BYTES = 3 * MOST_BODY_BYTES + 4_096
"""Longest URI that is looked at: every byte of the largest body percent-encoded."""

_LONGEST_HEADER = 1_024
_SPACE = b" \t\r\n\x0b\x0c"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,4}")
_TO_PLAIN_ALPHABET = bytes.maketrans(b"-_", b"+/")
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MOST_STRAY = 10_000
_GZIP_MAGIC = b"\x1f\x8b"
_JSON = msgspec.json.Decoder(msgspec.Raw)


class Inline(msgspec.Struct, frozen=True):
    """What an inline URI carries.

    Attributes:
        body: the file; None where it cannot be had.
        reason: why there is none: no-comma, bad-base64, bad-gzip, unknown-coding, too-large,
            not-inline.
        findings: about the URI, sorted: `uri-encoded-oddly` once per allowance made,
            `uri-undecodable`, `uri-oversized`.
    """

    body: bytes | None
    reason: str | None
    findings: tuple[Finding, ...]


class _Broken(Exception):
    """Cannot be read; its text is the `reason`."""


def read_inline(raw: bytes) -> Inline:
    """The file in a `data:` URI, or in bare JSON. Never raises; lengths are checked first.

    Read beside what RFC 2397 allows: base64 with the URL alphabet, without or with too much
    padding, with white space, percent-encoded; JSON under a base64 label; JSON not encoded at all;
    gzip and deflate, by the parameter `enc` or by their first bytes.

    Source: RFC 2397; ERC-8004; 8004scan's `enc=gzip` convention.
    """
    odd: set[str] = set()
    try:
        body = _body(raw, odd)
    except _Broken as broken:
        reason = str(broken)
        code = "uri-oversized" if reason == "too-large" else "uri-undecodable"
        return Inline(None, reason, (Finding(code, "", reason),))
    return Inline(body, None, tuple(Finding("uri-encoded-oddly", "", what) for what in sorted(odd)))


def _body(raw: bytes, odd: set[str]) -> bytes:
    if len(raw) > MOST_RAW_BYTES:
        raise _Broken("too-large")
    text = raw.strip(_SPACE).removeprefix(b"\xef\xbb\xbf")
    if text[:1] == b"{":
        odd.add("JSON stands in place of a URI")
        return _bounded(text)
    if text[:5].lower() != b"data:":
        raise _Broken("not-inline")
    header, comma, payload = text[5:].partition(b",")
    if not comma or len(header) > _LONGEST_HEADER:
        raise _Broken("no-comma")
    media, *parameters = (part.strip().lower() for part in header.split(b";"))
    _judge_media(media, parameters, odd)
    body = _decoded(payload, parameters, odd)
    return _bounded(_inflated(body, parameters, odd))


def _judge_media(media: bytes, parameters: list[bytes], odd: set[str]) -> None:
    if media != b"application/json":
        odd.add("the media type is not application/json")
    known = (b"base64", b"charset=utf-8", b'charset="utf-8"')
    if any(p not in known and not p.startswith(b"enc=") for p in parameters):
        odd.add("it has parameters that others do not know")


def _decoded(payload: bytes, parameters: list[bytes], odd: set[str]) -> bytes:
    if b"base64" not in parameters:
        return _percent_decoded(payload, odd)
    if parameters[-1] != b"base64":
        odd.add("`base64` is not the last parameter")
    if payload.lstrip(_SPACE)[:1] == b"{":
        odd.add("it is labelled base64 but is not")
        return payload
    return _base64_decoded(payload, odd)


def _base64_decoded(payload: bytes, odd: set[str]) -> bytes:
    if b"%" in payload:
        odd.add("the base64 is percent-encoded")
        payload = _unquoted(payload)
    packed = payload.translate(None, _SPACE)
    if len(packed) != len(payload):
        odd.add("the base64 holds white space")
    if b"-" in packed or b"_" in packed:
        odd.add("the base64 has the URL alphabet")
        packed = packed.translate(_TO_PLAIN_ALPHABET)
    if len(packed) > MOST_BODY_BYTES * 4 // 3 + 8:
        raise _Broken("too-large")
    if _BASE64.fullmatch(packed) is None:
        raise _Broken("bad-base64")
    bare = packed.rstrip(b"=")
    if len(bare) % 4 == 1:
        raise _Broken("bad-base64")
    padded = bare + b"=" * (-len(bare) % 4)
    if padded != packed:
        odd.add("the base64 is not padded rightly")
    try:
        return binascii.a2b_base64(padded)
    except binascii.Error:
        raise _Broken("bad-base64") from None


def _percent_decoded(payload: bytes, odd: set[str]) -> bytes:
    literal = payload.lstrip(_SPACE)[:1] in (b"{", b"[")
    if literal:
        odd.add("the JSON is not percent-encoded")
    if b"%" not in payload:
        return payload
    decoded = _unquoted(payload)
    # JSON that nobody encoded can hold a `%` of its own; decoding must not spoil it.
    if literal and not _is_json(decoded) and _is_json(payload):
        return payload
    return decoded


def _unquoted(text: bytes) -> bytes:
    """`text` with `%41` and its like decoded; a `%` that begins no such thing stays. As it is,
    where there are so many of the latter that nobody encoded it.

    As quoted-printable, which C decodes: Python's own way takes seconds for a few megabytes.
    """
    escaped = _STRAY_PERCENT.sub(b"%25", text, count=_MOST_STRAY)
    if _STRAY_PERCENT.search(escaped) is not None:
        return text
    return binascii.a2b_qp(escaped.replace(b"=", b"%3D").replace(b"%", b"="))


def _inflated(body: bytes, parameters: list[bytes], odd: set[str]) -> bytes:
    coding = next((p[4:].strip(b'"') for p in parameters if p.startswith(b"enc=")), b"")
    if coding in (b"", b"identity") and not body.startswith(_GZIP_MAGIC):
        return body
    if coding in (b"", b"identity", b"gzip", b"x-gzip"):
        odd.add("it is compressed with gzip")
        window = 16 + zlib.MAX_WBITS
    elif coding in (b"deflate", b"zlib"):
        odd.add("it is compressed with deflate")
        window = zlib.MAX_WBITS if body[:1] == b"x" else -zlib.MAX_WBITS
    else:
        raise _Broken("unknown-coding")
    inflating = zlib.decompressobj(window)
    try:
        whole = inflating.decompress(body, MOST_BODY_BYTES + 1)
    except zlib.error:
        raise _Broken("bad-gzip") from None
    if not inflating.eof and len(whole) <= MOST_BODY_BYTES:
        raise _Broken("bad-gzip")
    return whole


def _bounded(body: bytes) -> bytes:
    if len(body) > MOST_BODY_BYTES:
        raise _Broken("too-large")
    return body


def _is_json(text: bytes) -> bool:
    try:
        _JSON.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return False
    return True

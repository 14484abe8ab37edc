"""What may be shown of what strangers sent, in log lines and in the audit log. Pure.

Two things tell a secret: the name it stands under, and what it looks like. Names decide first.
What is cut is cut after it was redacted, so that half a secret never shows. Every pattern takes
time in proportion to the text, whatever it holds.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any

import msgspec

HIDDEN = "***"
UNKNOWN_HOST = "?"
DEEPEST = 32
"""Levels of a body that are shown; what lies deeper is left out."""
_LONGEST_NAME = 200
_USUAL_NAME = 40
_MARGIN = 4_096
"""Characters redacted behind the last that is shown: what begins before the cut is recognised."""

_NAMES = (
    r"authori[sz]ation|cookie|access[_-]?key|password|passwd|passphrase|secret|token|credential|api[_-]?key"
    r"|private|mnemonic|dsn|pepper|signature|signed[_-]?(?:tx|transaction|message)"
    r"|(?<![a-z])(?:seed|raw|siwe|jwt)(?![a-z])|raw[_-]?(?:tx|transaction)|seed[_-]?phrase"
)
SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
"""Names of what is never written down, in a log line or anywhere."""
_BODY_NAME = re.compile(
    rf"{_NAMES}|^(?:message|r|s|v|y_?parity)$"
    r"|(?<![a-z])(?:pwd|pass|auth|session|otp|pin)(?![a-z])",
    re.IGNORECASE,
)
# Public in this field, though a name of theirs looks otherwise.
_PUBLIC_NAME = re.compile(
    r"tokens?|(?:pay(?:ment)?_)?token_(?:id|address|symbol|decimals)", re.IGNORECASE
)
_KEYLIKE_NAME = re.compile(r"key|priv|(?:^|_)[ps]k$|wif|entropy", re.IGNORECASE)
_KEY_SIZED = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

# Up to white space or a quote: URLs in messages of libraries end there.
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,40}://[^\s'\"<>`]+")
_HOST = re.compile(
    r"[a-zA-Z][a-zA-Z0-9+.-]*://"
    r"(?:[^/?#]*@)?"
    r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?\.?)"
    r"(:[0-9]{1,5})?"
    r"(?=[/?#]|$)"
)
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
# Whatever their scheme, and several of them, to the end of the line.
_HEADER = re.compile(
    r"(authori[sz]ation|cookie)(\\*[\"']?\s*[=:]\s*)(\\*[\"']?)[^\r\n\"'\\]+", re.IGNORECASE
)
# People write these with spaces in them.
_WORDS = re.compile(
    r"(passw(?:or)?d|passphrase|mnemonic|seed[_ -]?phrase)(\\*[\"']?\s*[=:]\s*)"
    r"(\\*'[^']*'|\\*\"[^\"]*\"|[^\r\n,;&\"'}]+)",
    re.IGNORECASE,
)
_PHRASES = ("passw", "passphrase", "mnemonic", "phrase")
_PREFIXES = ("ghp_", "gho_", "ghr_", "ghs_", "ghu_", "github_pat_", "sk-")
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])(gh[oprsu]_|github_pat_|sk-)[A-Za-z0-9_-]{16,}", re.IGNORECASE
)
_API_KEY = re.compile(r"ak_[a-z]+_[A-Za-z0-9_]{16,}", re.IGNORECASE)
_ASSIGNED_WORDS = ("passw", "api", "token", "secret", "private", "mnemonic", "pepper", "signature")
_ASSIGNED = re.compile(
    r"(password|passwd|api[_-]?key|token|secret|private[_-]?key|mnemonic|pepper|signature)"
    r"(\\*[\"']?\s*[=:]\s*)(\\*'[^']*'|\\*\"[^\"]*\"|[^\s,;&]+)",
    re.IGNORECASE,
)
_DOTTED = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_.-]+")
# As long as a compact signature (EIP-2098) or longer: one, signed bytes, or calldata.
_LONG_DIGITS = 128
_LONG_HEX = re.compile(rf"[0-9a-fA-F]{{{_LONG_DIGITS},}}")
_INLINE = re.compile(r"(data:[^,\s]{0,200},)[^\s'\"]+", re.IGNORECASE)
_SHORTEST = 7
"""Characters below which no pattern but that of URLs can match."""
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def host_of(url: str) -> str:
    """Host of a URL in lower case, with its port where one is written; "?" where there is none.

    Never raises, and never gives back a user, a password, a path or a query: the rest of a node's
    URL is often a key.
    """
    match = _HOST.match(url.strip())
    return match[1].lower() + (match[2] or "") if match else UNKNOWN_HOST


def redact_text(text: str) -> str:
    """`text` with URLs reduced to scheme and host, and credentials hidden."""
    # To look for a word costs far less than a pattern does, and most texts have none of them.
    if "://" in text:
        text = _URL.sub(_shown_url, text)
    if len(text) < _SHORTEST:
        return text
    lower = text.lower()
    if "bearer" in lower or "basic" in lower:
        text = _CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
    if "ak_" in lower:
        text = _API_KEY.sub(f"ak_{HIDDEN}", text)
    if any(prefix in lower for prefix in _PREFIXES):
        text = _PREFIXED.sub(rf"\1{HIDDEN}", text)
    if "=" in lower or ":" in lower:
        if "authori" in lower or "cookie" in lower:
            text = _HEADER.sub(rf"\1\2\3{HIDDEN}", text)
        if any(word in lower for word in _PHRASES):
            text = _WORDS.sub(rf"\1\2{HIDDEN}", text)
        if any(word in lower for word in _ASSIGNED_WORDS):
            text = _ASSIGNED.sub(rf"\1\2{HIDDEN}", text)
    if "eyJ" in text:
        text = _DOTTED.sub(_without_jwt, text)
    return _LONG_HEX.sub(HIDDEN, text) if len(text) >= _LONG_DIGITS else text


def shown_text(text: str, most_characters: int) -> str:
    """At most so much of a stranger's text, redacted, without what a terminal or a database
    stumbles over."""
    text = text[: most_characters + _MARGIN]
    if ":" in text and "data:" in text.lower():
        text = _INLINE.sub(rf"\1{HIDDEN}", text)
    text = redact_text(text)
    if not text.isprintable():
        text = _UNWRITABLE.sub("\ufffd", text)
    return text[:most_characters]


def shown_body(raw: bytes, most_bytes: int) -> Any:
    """What is kept of the body of a request or an answer: JSON-safe, about `most_bytes` at most.

    - None: it was empty.
    - The JSON value itself, redacted.
    - `{"truncated": true, "bytes": n, "start": "…"}`: it is longer; `start` is the beginning of its
      redacted text.
    - `{"bytes": n, "sha256": "…"}`: it is not JSON, so nobody can say what in it is secret.
    """
    if not raw:
        return None
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    return _fitted(value, len(raw), most_bytes)


def redact(value: Any, *, most_bytes: int = 8_192) -> Any:
    """`value`, made of what JSON is made of, as `shown_body` would keep its text."""
    return _fitted(value, None, most_bytes)


def _fitted(value: Any, size_bytes: int | None, most_bytes: int) -> Any:
    room = _Room(most_bytes)
    shown = room.shown(value, DEEPEST)
    text = msgspec.json.encode(shown)
    if len(text) <= most_bytes and not room.is_over:
        return shown
    start = text[:most_bytes].decode("utf-8", "ignore")
    cut: dict[str, Any] = {"truncated": True, "start": start}
    return cut if size_bytes is None else cut | {"bytes": size_bytes}


class _Room:
    """A walk through a value that ends where no more of it can be shown: the cost follows what is
    kept, not what was sent."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._most = most
        self.is_over = False

    def shown(self, value: Any, levels: int) -> Any:
        if value is None or value is True or value is False:
            self._take(4)
            return value
        if isinstance(value, int | float):
            self._take(8 if isinstance(value, float) else value.bit_length() // 3 + 1)
            return value
        if isinstance(value, str):
            return self._text(value)
        if levels <= 0:
            self._take(5)
            return "…"
        if isinstance(value, dict):
            return self._members(value, levels)
        if isinstance(value, list | tuple):
            return self._items(value, levels)
        return self._text(str(value))

    def _members(self, value: dict[Any, Any], levels: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        called = value.get("name")  # as lists of headers have it
        tells = isinstance(called, str) and _name(called[: _LONGEST_NAME + _MARGIN]).tells_secret(
            ""
        )
        for name, item in value.items():
            if self._full():
                break
            told = _name(str(name)[: _LONGEST_NAME + _MARGIN])
            self._take(len(told.shown) + 4)
            if item is None or not (told.tells_secret(item) or (tells and name == "value")):
                kept[told.shown] = self.shown(item, levels - 1)
            else:
                kept[told.shown] = HIDDEN
        return kept

    def _items(self, value: list[Any] | tuple[Any, ...], levels: int) -> list[Any]:
        kept = []
        for item in value:
            if self._full():
                break
            kept.append(self.shown(item, levels - 1))
            self._take(1)
        return kept

    def _text(self, text: str) -> str:
        # One character more than fits: so the whole is known to have been cut.
        shown = shown_text(text, self._most + 1)
        # What was looked at counts, too, or much that is hidden would cost much.
        self._take(max(len(shown) + 2, min(len(text), self._most + _MARGIN) // 4))
        return shown

    def _take(self, size: int) -> None:
        self._left -= size

    def _full(self) -> bool:
        if self._left < 0:
            self.is_over = True
        return self.is_over


class _Name:
    """What the name of a member tells of its value."""

    __slots__ = ("_is_keylike", "_is_nonce", "_is_number", "_is_public", "_is_secret", "shown")

    def __init__(self, name: str) -> None:
        self.shown = shown_text(name, _LONGEST_NAME)
        self._is_public = _PUBLIC_NAME.fullmatch(name) is not None
        self._is_number = self._is_public and "_" in name
        self._is_secret = _BODY_NAME.search(name) is not None
        self._is_keylike = _KEYLIKE_NAME.search(name) is not None
        self._is_nonce = name == "nonce"

    def tells_secret(self, value: Any) -> bool:
        if isinstance(value, bool):
            return False
        if self._is_public:
            # The address of a token is what a payment was made in.
            return not (_is_public(value) or (self._is_number and isinstance(value, int)))
        if self._is_nonce:  # of a sign-in; that of a transaction is a number
            return isinstance(value, str)
        if self._is_secret:
            return True
        return (
            self._is_keylike
            and isinstance(value, str)
            and _KEY_SIZED.fullmatch(value.strip()) is not None
        )


@lru_cache(maxsize=2_048)
def _known_name(name: str) -> _Name:
    return _Name(name)


def _name(name: str) -> _Name:
    # Names that strangers make up are not worth remembering, nor long ones the room.
    return _known_name(name) if len(name) <= _USUAL_NAME else _Name(name)


def _is_public(value: Any) -> bool:
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None


def _without_jwt(match: re.Match[str]) -> str:
    before, found, _ = match[0].partition("eyJ")
    return f"{before}{HIDDEN}" if found else match[0]


def _shown_url(match: re.Match[str]) -> str:
    url = match[0].rstrip(".,;:)]}")
    scheme = url.partition("://")[0]
    return f"{scheme}://{host_of(url)}{match[0][len(url) :]}"

"""Entity tags: the same while an answer says the same, whatever block it is said at.

Tags are weak. A moving head changes `as_of` in a body but not what the body says of its subject, so
two bodies under one tag mean the same and need not be the same bytes (RFC 9110, 8.8.1).
"""

from __future__ import annotations

import hashlib
import re

REPRESENTATION = "1"
"""Raise it when the same content is written differently: cached bodies are then fetched anew."""

_LISTED = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def of_version(version: str) -> str:
    """The tag of an answer whose version is known, e.g. an agent's."""
    return f'W/"{REPRESENTATION}.{version}"'


def of_content(body: bytes, as_of: bytes) -> str:
    """The tag of an answer without a version: a hash of its JSON without its `as_of`."""
    content = body.replace(as_of, b"", 1)
    return f'W/"{REPRESENTATION}.{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def matches(tag: str, if_none_match: str) -> bool:
    """Whether a request that holds the tags of `if_none_match` already has this answer.

    Weak comparison (RFC 9110, 13.1.2); `*` matches any.
    """
    if if_none_match.strip() == "*":
        return True
    wanted = tag.removeprefix("W/").strip('"')
    return any(found == wanted for found in _LISTED.findall(if_none_match))

"""Negative controls: nonsense to ask a host, so that what it answers to sense means something.

A host that says yes to everything says nothing. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import SplitResult, urlsplit, urlunsplit

COMPARED_BYTES = 65_536
_ALIKE = 0.9
_NUMBER = re.compile(r"(?<=[/=])[0-9]{1,20}(?=$|[/&.])")
_PIECES = re.compile(rb"[\s<>,{}]+")


def nonsense_url(url: str, token: str) -> str:
    """A neighbour of `url` that nobody can have made: `token` for the last part of its path."""
    parts = urlsplit(url)
    path = parts.path.rpartition("/")[0]
    return urlunsplit(SplitResult(parts.scheme, parts.netloc, f"{path}/{token}", "", ""))


def wrong_id_url(url: str, wrong_id: int) -> str | None:
    """`url` with its last number replaced by one that nothing has; None if it names no number.

    For hosts that serve many agents by number: the answer must depend on it.
    """
    parts = urlsplit(url)
    for field in ("query", "path"):
        value = getattr(parts, field)
        marked = f"={value}" if field == "query" else value
        numbers = list(_NUMBER.finditer(value))
        if numbers and marked:
            last = numbers[-1]
            changed = f"{value[: last.start()]}{wrong_id}{value[last.end() :]}"
            return urlunsplit(parts._replace(**{field: changed}))
    return None


def alike(answer: bytes | None, control: bytes | None, *tokens: str) -> bool:
    """Whether two bodies are the same page, but for what repeats the address or the moment.

    Compared piece by piece, without order, over the first 64 KiB: nine pieces in ten shared.
    """
    ours, theirs = _pieces(answer, tokens), _pieces(control, tokens)
    most = max(ours.total(), theirs.total())
    return most == 0 or (ours & theirs).total() >= _ALIKE * most


def _pieces(body: bytes | None, tokens: tuple[str, ...]) -> Counter[bytes]:
    head = (body or b"")[:COMPARED_BYTES]
    for token in tokens:
        head = head.replace(token.encode(), b"")
    return Counter(piece for piece in _PIECES.split(head) if piece)

"""What gateways gave for a content address."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from renown.offchain.answer import Answer
from renown.offchain.failed import Failed


class Ask(Protocol):
    """One gateway, asked for a path of its own."""

    def __call__(self, path: str, *, accept: str = "*/*") -> Awaitable[Answer | Failed]: ...


class Found(msgspec.Struct, frozen=True):
    """What one gateway gave, or all of them.

    Attributes:
        verified: whether an Answer's body is what the address names; None: it cannot be told.
        final: no other gateway could do better: it is proven, or nothing could prove it.
    """

    result: Answer | Failed
    verified: bool | None = None
    final: bool = False

    @property
    def good(self) -> bool:
        """Whether there is a document."""
        return isinstance(self.result, Answer) and 200 <= self.result.status < 300


def is_page(answer: Answer) -> bool:
    """Whether this is a page for people: of a gateway, mostly an error, or a listing."""
    return "html" in answer.headers.get("content-type", "").lower()

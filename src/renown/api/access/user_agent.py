"""What a client calls itself, as it may be written down."""

from __future__ import annotations

from functools import lru_cache

from starlette.types import Scope

from renown.spec.redaction import shown_text

MOST_CHARACTERS = 200
_MOST_BYTES = 2_048


def user_agent(scope: Scope) -> str | None:
    """The beginning of `User-Agent`, redacted; None where there is none."""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return _shown(value[:_MOST_BYTES])
    return None


@lru_cache(maxsize=1024)
def _shown(raw: bytes) -> str:
    return shown_text(raw.decode("latin-1"), MOST_CHARACTERS)

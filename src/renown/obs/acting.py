"""Who acts in this task: set where a request or a command begins, said to the database by whoever
opens a transaction for it, and part of every log line."""

from __future__ import annotations

from contextvars import ContextVar
from uuid import UUID

import msgspec


class Acting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is behind a change, as far as it is known.

    Attributes:
        wallet: 20 bytes as hex: the address that the request speaks for.
        address: pseudonym of where it comes from, as hex; never the address itself.
        command, person: of a command: its name without arguments, and who ran it.
    """

    request_id: UUID | None = None
    account_id: int | None = None
    key_id: str | None = None
    wallet: str | None = None
    address: str | None = None
    user_agent: str | None = None
    command: str | None = None
    person: str | None = None


ACTING: ContextVar[Acting | None] = ContextVar("renown_acting", default=None)
"""None: nobody in particular, such as a worker."""

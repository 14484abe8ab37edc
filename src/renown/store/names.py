"""Names that look like what was typed, for searches that were misspelt."""

from __future__ import annotations

from typing import LiteralString

from renown.errors import StoreError
from renown.store.pool import Conn, transaction

SHORTEST = 3
"""Characters from which on likeness means something: it is counted in runs of three."""
LONGEST = 80
TIMEOUT_MS = 250

# Likeness of whole names: two letters that changed places in `langchain` are forgiven.
_LIMITS: LiteralString = f"""
SET LOCAL statement_timeout = {TIMEOUT_MS};
SET LOCAL pg_trgm.similarity_threshold = 0.4
"""
ALIKE: LiteralString = """
SELECT name_key FROM agent_name
 WHERE name_key % $1 AND name_key <> $1
 ORDER BY similarity(name_key, $1) DESC, agent_count DESC, name_key LIMIT $2
"""


async def alike(conn: Conn, name_key: str, *, limit: int) -> list[str] | None:
    """Names of agents that are spelt much like `name_key`, the likest first; none of a short one.

    None if that took too long to find out.
    """
    if len(name_key) < SHORTEST or len(name_key) > LONGEST:
        return []
    try:
        async with transaction(conn) as tx:
            await tx.execute(_LIMITS)
            return [row[0] for row in await tx.fetch(ALIKE, name_key, limit)]
    except StoreError as exc:
        if getattr(exc.__cause__, "sqlstate", None) == "57014":
            return None
        raise

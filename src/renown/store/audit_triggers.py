"""Whether the triggers that write the audit log are those that this version made.

Whoever owns the database can disable or replace them; what is changed meanwhile is told by nobody.
What they must be is read from `schema.txt`, which is compared with a fresh database by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import LiteralString

from renown.store.migrate import migrations
from renown.store.pool import Conn

NEWEST: LiteralString = "SELECT coalesce(max(number), 0) FROM public.schema_migration"
# Definitions name tables and functions with or without their schema, as the session looks for them.
TRIGGERS: LiteralString = """
SELECT c.relname::text, p.relname::text, t.tgname::text,
       replace(pg_get_triggerdef(t.oid), 'public.', ''), t.tgenabled IN ('O', 'A')
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
  LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
  LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid AND t.tgname LIKE 'audit\\_%'
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
 ORDER BY 1, 3
"""
FUNCTIONS: LiteralString = """
SELECT p.proname::text, pg_get_functiondef(p.oid)
  FROM pg_catalog.pg_proc p
 WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
   AND (p.proname LIKE 'audit\\_%' OR p.proname LIKE 'ensure\\_%\\_partitions')
 ORDER BY 1
"""
REPLICA: LiteralString = """
SELECT EXISTS (
       SELECT FROM pg_catalog.pg_db_role_setting s, unnest(s.setconfig) AS c
        WHERE c LIKE 'session_replication_role=%' AND c <> 'session_replication_role=origin')
"""

_TRIGGER = re.compile(r"CREATE TRIGGER (audit_\w+) .* ON (?:public\.)?(\w+) ")
_FUNCTION = re.compile(
    r"CREATE OR REPLACE FUNCTION public\.(audit_\w+|ensure_\w+_partitions)\(.*?\$function\$.*?"
    r"\$function\$\n",
    re.DOTALL,
)


async def altered(conn: Conn) -> list[str]:
    """What is not as this version made it, in words; nothing where a newer version was here."""
    if await conn.fetchval(NEWEST) > max(one.number for one in migrations()):
        return []
    triggers, functions = _made()
    found: list[str] = []
    seen: set[tuple[str, str]] = set()
    partitions: set[tuple[str, str]] = set()
    for table, parent, name, definition, is_enabled in await conn.fetch(TRIGGERS):
        if parent is not None:
            partitions.add((table, parent))
        if name is None:
            continue
        seen.add((table, name))
        due = triggers.get((table, name))
        if not is_enabled:
            found.append(f"the trigger {name} of {table} is disabled")
        elif due is not None and due != definition:
            found.append(f"the trigger {name} of {table} was altered")
    due_rows = [*triggers, *_of_partitions(triggers, sorted(partitions))]
    found += [f"the trigger {n} of {t} is gone" for t, n in due_rows if (t, n) not in seen]
    held = dict(tuple(row) for row in await conn.fetch(FUNCTIONS))
    found += [
        f"the function {name} {'was altered' if name in held else 'is gone'}"
        for name, text in functions.items()
        if held.get(name) != text
    ]
    if await conn.fetchval(REPLICA):
        found.append("session_replication_role is set, which disables triggers")
    return found


def _of_partitions(
    triggers: Mapping[tuple[str, str], str], partitions: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """What each partition must have: of facts a trigger of its own, of the log those per row."""
    due = []
    for table, parent in partitions:
        if (table, "audit_append_only") in triggers:
            continue
        due += [
            (table, name)
            for (of, name), text in triggers.items()
            if of == parent and (name == "audit_foreign_write" or " FOR EACH ROW " in text)
        ]
    return due


@cache
def _made() -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Definitions of triggers by table and name, and of functions by name."""
    text = (resources.files("renown.store") / "schema.txt").read_text()
    lines = (line.strip().replace("public.", "") for line in text.split("\n"))
    triggers = {
        (match[2], match[1]): line for line in lines if (match := _TRIGGER.match(line)) is not None
    }
    return triggers, {match[1]: match[0] for match in _FUNCTION.finditer(text)}

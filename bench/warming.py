"""Bringing a world into the operating system's page cache, before anything is measured on it.

A page that nobody holds costs a read of the disk, 60 to 100 µs each, more than many a statement
takes: what is then measured is how long ago the machine was started. So every relation of the
database, the baseline's among them, is read once. PostgreSQL's own buffers stay as they are: what
is read goes past them (`pg_prewarm` in its modes `prefetch` and `read`), so neither side of a
ratio gets a place there that its own use would not give it.

A database that is larger than the memory that is left cannot be held. It is not read then, and the
report says so: its ratios are of that machine's disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import asyncpg
import psutil

FEW = 0.05
"""Share of a database that may come from the disk unwatched: it is there in a moment."""

_BYTES = (
    "SELECT sum(pg_relation_size(oid))::bigint FROM pg_class WHERE relkind IN ('r','i','t','m')"
)
# What has been used most comes last: where the memory is just too small, it is what remains there.
_READ = """
SELECT sum(pg_prewarm(oid, $1)) FROM (
    SELECT c.oid FROM pg_class c
      LEFT JOIN pg_statio_all_tables t ON t.relid = c.oid
      LEFT JOIN pg_statio_all_indexes i ON i.indexrelid = c.oid
     WHERE c.relkind IN ('r', 'i', 't', 'm') AND c.relpersistence <> 't'
     ORDER BY coalesce(t.heap_blks_hit + t.heap_blks_read, i.idx_blks_hit + i.idx_blks_read, 0)
) AS by_use
"""


@dataclass(frozen=True, slots=True)
class Warmed:
    """What came of it.

    Attributes:
        database_bytes: of all relations.
        seconds: that it took.
        from_disk_bytes: read from disks of this machine meanwhile, by anybody.
        obstacle: why the database was not read; empty where it was.
    """

    database_bytes: int
    seconds: float = 0.0
    from_disk_bytes: int = 0
    obstacle: str = ""

    def __str__(self) -> str:
        size = f"{self.database_bytes / 1e9:.2f} GB"
        if self.obstacle:
            return f"{size}, not read: {self.obstacle}"
        return f"{size} in {self.seconds:.0f} s, {self.from_disk_bytes / 1e9:.2f} GB of the disk"


async def fill_page_cache(dsn: str) -> Warmed:
    """Read the database of `dsn`, whose server is on this machine.

    Leaves nothing behind in it. The right to create the extension is needed (a superuser's).
    """
    conn = await asyncpg.connect(dsn)
    try:
        held: int = await conn.fetchval(_BYTES)
        room = psutil.virtual_memory().available
        if held > room:
            return Warmed(held, obstacle=f"the machine has {room / 1e9:.1f} GB for it")
        began, before = perf_counter(), read_from_disk()
        transaction = conn.transaction()
        await transaction.start()
        try:
            await conn.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm WITH SCHEMA pg_catalog")
            # Only asks the kernel, which answers at once for what it has. Where it had to go to the
            # disk, nobody knows when it has come back: then each page is read and waited for.
            await conn.execute(_READ.replace("$1", "'prefetch'"))
            if read_from_disk() - before > FEW * held:
                await conn.execute(_READ.replace("$1", "'read'"))
        finally:
            await transaction.rollback()
        return Warmed(held, perf_counter() - began, read_from_disk() - before)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError) as exc:
        return Warmed(held, obstacle=str(exc).partition("\n")[0])
    finally:
        await conn.close()


def read_from_disk() -> int:
    """Bytes that this machine has read from its disks since it was started; 0 where it hides it."""
    counters = psutil.disk_io_counters()
    return counters.read_bytes if counters is not None else 0

"""Two servers, one of which follows the other: for replicas and for failover."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from renown.store.embedded import EmbeddedPostgres
from renown.store.embedded.ephemeral import EPHEMERAL, scratch_base
from renown.store.migrate import migrate
from renown.store.pool import connect

NAME = "standby"


class Pair:
    """A primary and its standby; `promote` makes the standby a primary."""

    def __init__(self, primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
        self.primary = primary
        self.standby = standby

    @property
    def both(self) -> str:
        """A URL that names both."""
        head, _, first = self.primary.dsn().rpartition("@")
        second = self.standby.dsn().rpartition("@")[2]
        host, _, database = first.partition("/")
        return f"{head}@{host},{second.partition('/')[0]}/{database}"

    async def promote(self) -> None:
        """Return when the standby takes writes."""
        conn = await connect(self.standby.dsn())
        try:
            assert await conn.fetchval("SELECT pg_promote(true, 30)")
        finally:
            await conn.close()

    async def caught_up(self) -> None:
        """Wait until the standby has replayed what the primary has written."""
        primary, standby = await connect(self.primary.dsn()), await connect(self.standby.dsn())
        try:
            written = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
            async with asyncio.timeout(20):
                while not await standby.fetchval(  # noqa: ASYNC110
                    "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written
                ):
                    await asyncio.sleep(0.01)
        finally:
            await primary.close()
            await standby.close()


@contextmanager
def replicating(settings: Mapping[str, str] = EPHEMERAL) -> Iterator[Pair]:
    """A migrated primary and a hot standby that streams from it, gone afterwards."""
    settings = {"wal_level": "replica", "hot_standby": "on", "max_wal_senders": "4", **settings}
    base = Path(tempfile.mkdtemp(prefix="renown-pair-", dir=scratch_base(in_memory=True)))
    base.chmod(0o711)
    for name in ("primary", "standby"):
        (base / name).mkdir(mode=0o711)
    options = ("--wal-segsize=1", "--no-sync")
    primary = EmbeddedPostgres(base / "primary", settings=settings, initdb_options=options)
    standby = EmbeddedPostgres(base / "standby", settings=settings)
    try:
        asyncio.run(migrate(primary.start()))
        primary.stop()
        _copy(base / "primary", base / "standby")
        primary.start()
        _follow(base / "standby" / "pgdata", primary.dsn())
        standby.start()
        yield Pair(primary, standby)
    finally:
        for server in (standby, primary):
            server.stop(at_once=True)
        shutil.rmtree(base, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Everything of a server that stands still, but where it listened."""
    shutil.copytree(source / "pgdata", target / "pgdata")
    owner = (source / "pgdata").stat()
    for path in (target / "pgdata", *(target / "pgdata").rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
    text = (source / "connection.json").read_text()
    kept = target / "connection.json"
    kept.write_text(text.replace('"port": ', '"port": 0, "was": '))
    kept.chmod(0o600)


def _follow(pgdata: Path, url: str) -> None:
    at = urlsplit(url)
    conninfo = (
        f"host={at.hostname} port={at.port} user={at.username} password={at.password}"
        f" application_name={NAME}"
    )
    with (pgdata / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_conninfo = '{conninfo}'\n")
    (pgdata / "standby.signal").touch()
    shutil.chown(pgdata / "standby.signal", pgdata.stat().st_uid, pgdata.stat().st_gid)

"""Something breaks, somebody is told: through real Prometheus and Alertmanager, to a webhook.

The rules and routes are the shipped ones at a sixtieth of their time; see `tests.alerts.quick`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from renown.store.embedded import EPHEMERAL, EmbeddedPostgres
from renown.store.migrate import migrate
from tests.alerts.live import Watch, until, watching
from tests.command import data_directory
from tests.redis import RedisServer

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Installation:
    """A database, a Redis and an API process that uses both."""

    def __init__(self, postgres: EmbeddedPostgres, redis: RedisServer, url: str) -> None:
        self.postgres, self.redis, self.url = postgres, redis, url
        self.place = url.removeprefix("http://")

    def ask(self, times: int) -> None:
        """Requests of somebody, some at once, whatever is answered."""

        def one(_: int) -> None:
            with contextlib.suppress(OSError):  # a 503 among them
                urllib.request.urlopen(f"{self.url}/v1/chains", timeout=10).close()

        with ThreadPoolExecutor(30) as crowd:
            list(crowd.map(one, range(times)))


@contextlib.contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    # In a folder of its own: a stopped ephemeral server may be cleared away by whoever starts one.
    with (
        data_directory() as data,
        EmbeddedPostgres(data, settings=EPHEMERAL, initdb_options=("--no-sync",)) as postgres,
        RedisServer() as redis,
    ):
        asyncio.run(migrate(postgres.dsn()))
        log = folder / "serve.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
        environment |= {
            "DATABASE_URL": postgres.dsn(),
            "REDIS_URL": redis.url,
            "RENOWN_DATA_DIR": str(folder / "serve"),
            "DB_POOL_MIN_SIZE": "2",
            "DB_TIMEOUT": "1",
        }
        with log.open("w") as output:
            process = subprocess.Popen(
                [*PROGRAM, "serve", "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )
        try:

            def address() -> re.Match[str] | None:
                assert process.poll() is None, log.read_text()
                return re.search(r"serving (http://\S+)/ ", log.read_text())

            yield Installation(postgres, redis, until(address, log.read_text)[1])
        finally:
            process.kill()
            process.wait()


class Story:
    """What happened when, to be printed."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._began = watch, time.monotonic()

    def told(self, alertname: str, status: str, receiver: str) -> None:
        """Wait until the webhook of `receiver` has heard of it."""
        webhook = self._watch.webhook
        found = until(
            lambda: [one for one in webhook.heard(alertname, status) if one.receiver == receiver],
            lambda: f"no {alertname} {status}: {webhook.told} {self._watch.states()}",
        )
        assert found[0].annotations["runbook_url"].startswith("docs/operations/alerts/")
        self.note(f"{alertname} {status}: {receiver} was told")

    def suppressed(self, alertname: str) -> None:
        """Wait until Alertmanager holds it back."""
        until(
            lambda: self._watch.states().get(alertname) == "suppressed",
            lambda: f"{alertname}: {self._watch.states()}",
        )
        assert self._watch.webhook.heard(alertname) == []
        self.note(f"{alertname} is suppressed, and nobody was told")

    def note(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {what}")  # noqa: T201


def test_database_and_redis__stopped_and_started__somebody_is_told_once_and_told_the_end(
    tmp_path: Path,
) -> None:
    with (
        installed(tmp_path) as renown,
        watching([("api", renown.place)], tmp_path) as watch,
    ):
        until(lambda: watch.value("renown_db_up == 1"), watch.states)
        renown.ask(3)
        story = Story(watch)

        # Redis first: what follows the database's outage is remembered by rates for minutes.
        renown.redis.kill()
        renown.ask(3)
        story.note("Redis is stopped")
        story.told("RenownRedisDown", "firing", "page")
        renown.ask(3)  # of two looks, so that there is a rate
        story.suppressed("RenownLimitsNotShared")
        renown.redis.start()
        story.note("Redis is started")
        story.told("RenownRedisDown", "resolved", "page")
        renown.ask(3)  # with the next request it is used again
        until(lambda: not watch.value("ALERTS"), watch.states)

        renown.postgres.stop(at_once=True)
        story.note("the database is stopped")
        story.told("RenownDatabaseDown", "firing", "page")
        renown.ask(150)
        story.suppressed("RenownErrorRateHigh")
        renown.postgres.start()
        story.note("the database is started")
        story.told("RenownDatabaseDown", "resolved", "page")
        until(lambda: not watch.value("renown_db_up == 0"), watch.states)

"""Metrics of several processes: whichever of them is asked, it answers for all."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.api import SECRET

ASKED = 40
PATIENCE_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def started(*command: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "RENOWN_CURSOR_SECRET": SECRET, "RENOWN_KEY_PEPPER": SECRET, **settings},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)


async def ask(url: str) -> httpx.Response:
    """On a connection of its own, so that any of the processes may take it."""
    async with httpx.AsyncClient() as client:
        return await client.get(url, timeout=PATIENCE_SECONDS)


async def until_alive(url: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await ask(url)
            return
        except httpx.TransportError:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.1)


async def value(base: str, name: str, **labels: str) -> float | None:
    """The sum of the series of `name` that have these labels; None where there is none."""
    text = (await ask(f"{base}/metrics")).text
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_metrics__of_two_workers_on_one_port__are_the_sum_whoever_answers(
    database_url: str, tmp_path: Path
) -> None:
    port, folder = free_port(), tmp_path / "numbers"
    base = f"http://127.0.0.1:{port}"
    arguments = ("--factory", "renown.api.app:create_app", "--workers", "2", "--port", str(port))
    async with started(
        sys.executable,
        *("-m", "uvicorn"),
        *arguments,
        DATABASE_URL=database_url,
        DB_POOL_MIN_SIZE="1",
        DB_POOL_MAX_SIZE="2",
        PROMETHEUS_MULTIPROC_DIR=str(folder),
        RENOWN_DATA_DIR=str(tmp_path),
    ):
        await until_alive(f"{base}/healthz")
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while len(pids := {path.stem.split("_")[-1] for path in folder.glob("counter_*")}) < 2:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.1)
        about = {"route": "/v1/chains", "status": "200"}
        before = await value(base, "renown_http_requests_total", **about) or 0

        answers = await asyncio.gather(*(ask(f"{base}/v1/chains") for _ in range(ASKED)))

        assert {answer.status_code for answer in answers} == {200}
        for _ in range(6):  # by chance the same worker each time: one in thirty-two
            counted = await value(base, "renown_http_requests_total", **about)
            assert counted == before + ASKED
            seconds = await value(base, "renown_http_seconds_count", route="/v1/chains")
            assert seconds == before + ASKED
        assert await value(base, "renown_db_up") == 1

        # What a process was doing goes with it; what it had counted stays.
        victim = min(pids)
        os.kill(int(victim), signal.SIGKILL)
        while list(folder.glob(f"gauge_live*_{victim}.db")):
            assert time.monotonic() < give_up_at
            with suppress(httpx.TransportError):  # of whoever was connected to it
                await ask(f"{base}/metrics")
            await asyncio.sleep(0.1)
        counted = await value(base, "renown_http_requests_total", **about)
        assert counted == before + ASKED


async def test_metrics__of_a_worker_without_an_api__are_on_its_own_port(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    async with started(
        str(Path(sys.executable).with_name("renown")),
        "crawl",
        DATABASE_URL=database_url,
        RENOWN_METRICS_PORT=str(port),
        RENOWN_DATA_DIR=str(tmp_path),
    ):
        await until_alive(f"{base}/healthz")
        assert (await ask(f"{base}/healthz")).text == "alive\n"
        assert (await ask(f"{base}/readyz")).text == "ready\n"
        crawls = await value(base, "renown_component_configured", component="crawler")
        assert crawls == await value(base, "renown_db_up") == 1
        assert (await ask(f"{base}/v1/agents")).status_code == 404

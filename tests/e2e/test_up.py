"""`renown up` as a newcomer runs it: everything in one command, and nothing left when it stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.anvil import need_anvil
from tests.command import data_directory

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
DEADLINE_SECONDS = 45.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Up:
    """A `renown up` with a devnet of its own, in a process of its own."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._log = log
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [*PROGRAM, "up", "--port", "0", "--host", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment | {"RENOWN_DATA_DIR": str(folder)},
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def url(self) -> str:
        """Where the API answers, once it does."""
        return str(self.wait_for(lambda: re.search(r"serving (http://\S+)/ ", self.said))[1])

    def get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.url() + path, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def agents_within_deadline(self, at_least: int) -> Any:
        def found() -> list[dict[str, Any]] | None:
            with contextlib.suppress(OSError):  # URLError and time-outs among them
                agents: list[dict[str, Any]] = self.get("/v1/agents?limit=100")["items"]
                return agents if len(agents) >= at_least else None
            return None

        return self.wait_for(found)

    def wait_for(self, look: Any) -> Any:
        give_up_at = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < give_up_at:
            if self.process.poll() is not None:
                pytest.fail(f"it ended with {self.process.returncode}:\n{self.said}")
            if found := look():
                return found
            time.sleep(0.1)
        pytest.fail(f"nothing after {DEADLINE_SECONDS:.0f} s:\n{self.said}")

    def children(self) -> list[Any]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def those(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """Those of its processes that are `wanted`; backends come and go meanwhile."""
        found = []
        for process in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if wanted(process):
                    found.append(process)
        return found

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def up(folder: Path, log: Path) -> Iterator[Up]:
    started = Up(folder, log)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        assert started.process.stdout is not None
        started.process.stdout.close()


def alive(processes: list[Any]) -> list[Any]:
    _, left = psutil.wait_procs(processes, timeout=10)
    return [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_up__fills_an_index_and_after_a_kill_does_so_again(tmp_path: Path) -> None:
    need_anvil()
    with data_directory() as folder:
        with up(folder, tmp_path / "first.log") as first:
            agents = first.agents_within_deadline(60)
            assert first.get(f"/v1/agents/{agents[-1]['key']}")["owner"]
            assert first.get("/v1/status")["items"][0]["slug"] == "devnet"
            started = first.children()
            anvil = first.those(lambda process: process.name() == "anvil")
            assert anvil
            (server, *_) = first.those(lambda process: "-D" in process.cmdline())

            first.process.kill()
            first.process.wait()

            assert alive(anvil) == []

        # The database is taken over. A devnet is new each time, so the last one's index goes.
        with up(folder, tmp_path / "second.log") as second:
            again = second.agents_within_deadline(60)
            assert "is forgotten" in second.said
            assert not {a["created_at"] for a in agents} & {a["created_at"] for a in again}
            assert "Traceback" not in second.said
            started += second.children()

            server.kill()  # and so is a server that dies
            assert alive([server]) == []
            assert second.agents_within_deadline(60)
            started += second.children()

            assert second.stop(signal.SIGTERM) == 0

            assert alive(started) == []
            assert second.process.stdout is not None
            assert second.process.stdout.read() == b""

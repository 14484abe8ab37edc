"""`renown devnet` in one terminal, `renown index` and `renown verify` in another."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.anvil import need_anvil
from tests.command import Outcome, renown

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
UNTIL = 30

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
Cli = Callable[..., Outcome]


@contextlib.contextmanager
def devnet(port: int, seed: int) -> Iterator[str]:
    """A small quiet devnet; gives the URL it prints once it is ready."""
    need_anvil()
    process = subprocess.Popen(
        [*PROGRAM, "devnet", "--quiet", "--agents", "8", "--seed", str(seed), "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def cli(fresh_database_url: str, tmp_path: Path) -> Cli:
    def run(*args: str, **env: str) -> Outcome:
        place = {"DATABASE_URL": fresh_database_url, "RENOWN_DATA_DIR": str(tmp_path)}
        return renown(*args, **place, **env)

    return run


def status(cli: Cli) -> dict[str, Any]:
    (chain,) = json.loads(cli("status", "--json").out)["items"]
    found: dict[str, Any] = chain
    return found


def test_index__until_a_block__then_further__then_proven(cli: Cli, unused_tcp_port: int) -> None:
    with devnet(unused_tcp_port, seed=1) as url:
        first = cli("index", "--until", str(UNTIL), RPC_URL=url)
        assert (first.code, first.out) == (0, ""), first.err
        assert f"block {UNTIL:,}" in first.err
        assert status(cli)["block_number"] == UNTIL

        assert cli("index", "--until", "45", RPC_URL=url).code == 0
        assert status(cli)["block_number"] == 45

        verified = cli("verify", "--json", RPC_URL=url)
        (result,) = json.loads(verified.out)["items"]
        assert verified.code == 0, verified.out
        assert result["coverage"]["state"] == "single-source"
        assert result["coverage"]["agents_on_chain"] == result["coverage"]["agents_held"] > 8

        other = cli("index", "--chain", "base", RPC_URL=url)
        assert other.code == 78
        assert "8453" in other.err.splitlines()[-1]

    with devnet(unused_tcp_port, seed=2) as url:  # the same address, another chain
        stranger = cli("index", RPC_URL=url)

    assert stranger.code == 78
    assert "renown db forget devnet" in stranger.err.splitlines()[-1]
    assert status(cli)["block_number"] == 45

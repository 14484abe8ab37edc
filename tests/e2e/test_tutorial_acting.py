"""The tutorial on acting does what it says, command by command, on a devnet of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.anvil import need_anvil
from tests.command import data_directory
from tests.conftest import need_program
from tests.e2e.test_readme import LAST_SEEDED_BLOCK, PRINTED_URL, agrees
from tests.e2e.test_up import Up, up

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "act-on-the-devnet.md"
PRINTED_NODE = "http://127.0.0.1:8545"
PATIENCE_SECONDS = 60.0
"""For a read to say what was written: until a payment is final."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Command(msgspec.Struct, frozen=True):
    """One command as typed, and what the tutorial says it prints."""

    text: str
    printed: str

    @property
    def reads(self) -> bool:
        """Whether it may be run again until it agrees: it changes nothing."""
        return self.text.startswith(('curl -s "', "api http://localhost:8004/v1/operations/"))


def commands(text: str) -> list[Command]:
    """Every `$` line of a console block with the `>` lines that belong to it, and its output."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *rest = part.splitlines()
            typed = [first]
            while rest and rest[0].startswith("> "):
                typed.append(rest.pop(0)[2:])
            found.append(Command("\n".join(typed), "\n".join(rest)))
    return found


COMMANDS = commands(TUTORIAL.read_text())


class Shell:
    """One bash for all commands, so that variables stay; stdout and stderr come together."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.run(
            f'renown() {{ "{sys.executable}" -c "from renown.cli import main; main()" "$@"; }}'
        )

    def run(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        mark = "-- done --"
        self.process.stdin.write(f"{command}\necho; echo '{mark}'\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()).rstrip("\n") != mark:
            if not line:
                pytest.fail(f"the shell ended at: {command}")
            lines.append(line)
        return "".join(lines)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def mine(node: str) -> None:
    """A block now, so that what was written becomes final without being waited for."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"evm_mine","params":[]}'
    request = urllib.request.Request(node, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Up, Path]]:
    need_anvil()
    need_program("curl", "apt-get install curl")
    with data_directory() as folder, up(folder, tmp_path / "up.log") as started:

        def seeded() -> bool:
            chains = started.get("/v1/status")["items"]
            return bool(chains) and (chains[0]["block_number"] or 0) >= LAST_SEEDED_BLOCK

        started.wait_for(seeded)
        yield started, folder
        assert started.stop(signal.SIGTERM) == 0


def test_tutorial__every_command__prints_what_it_says(
    running: tuple[Up, Path], tmp_path: Path
) -> None:
    started, folder = running
    node = re.search(r"its JSON-RPC answers at (http://\S+?),", started.said)
    assert node is not None
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RENOWN_", "RPC_URL"))}
    shell = Shell(
        tmp_path,
        kept
        | {
            "RENOWN_DATA_DIR": str(folder),
            "RENOWN_API_URL": started.url(),
            "RPC_URL": node[1],
            "COLUMNS": "1000",
        },
    )
    try:
        for command in COMMANDS:
            text = command.text.replace(PRINTED_URL, started.url()).replace(PRINTED_NODE, node[1])
            give_up_at = time.monotonic() + PATIENCE_SECONDS
            while not agrees(command.printed, answer := shell.run(text)):
                if not command.reads or time.monotonic() > give_up_at:
                    pytest.fail(
                        f"$ {command.text}\n\nsays:\n{command.printed}\n\nprinted:\n{answer}"
                    )
                mine(node[1])
                time.sleep(0.2)
    finally:
        shell.close()


def test_tutorial__shows_the_whole_story__by_command_and_by_curl() -> None:
    typed = "\n".join(command.text for command in COMMANDS)

    for word in ("keys create", "wallet prove", "register", "wallet set", "pay", "rate", "revoke"):
        assert f"renown {word}" in typed
    for part in ("/v1/agents ", "/payments", "/feedback -H", "-X DELETE"):
        assert part in typed

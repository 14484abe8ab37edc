"""The README's examples answer as printed there, on the devnet that `make run` shows."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.anvil import need_anvil
from tests.command import data_directory
from tests.conftest import need_program
from tests.e2e.test_up import Up, up

README = Path(__file__).parents[2] / "README.md"
PRINTED_URL = "http://localhost:8004"
LAST_SEEDED_BLOCK = 50

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Example(NamedTuple):
    """A command, and what the README says it answers."""

    command: str
    answer: str


def examples(text: str) -> list[Example]:
    """Every `$` line of a console block that runs curl, with the lines printed under it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, answer = part.partition("\n")
            if command.startswith("curl"):
                found.append(Example(command, answer))
    return found


def agrees(printed: str, answered: str) -> bool:
    """Whether `answered` is what was printed. `…` is anything; only strings keep white space."""
    pieces = _compact(printed).split("…")
    return (
        re.fullmatch(".*".join(map(re.escape, pieces)), _compact(answered), re.DOTALL) is not None
    )


def _compact(text: str) -> str:
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda found: found[1] or "", text)


EXAMPLES = examples(README.read_text())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    need_anvil()
    log = tmp_path_factory.mktemp("readme") / "up.log"
    with data_directory() as folder, up(folder, log) as started:

        def seeded() -> bool:
            with contextlib.suppress(OSError):
                chains = started.get("/v1/status")["items"]
                return bool(chains) and (chains[0]["block_number"] or 0) >= LAST_SEEDED_BLOCK
            return False

        started.wait_for(seeded)
        yield started
        assert started.stop(signal.SIGTERM) == 0  # its database stops with it


def test_readme__has_examples() -> None:
    assert len(EXAMPLES) >= 6
    assert all(PRINTED_URL in example.command for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.command[-40:])
def test_readme__an_example__answers_as_printed(running: Up, example: Example) -> None:
    need_program("curl", "apt-get install curl")
    command = shlex.split(example.command.replace(PRINTED_URL, running.url()))

    answered = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    assert agrees(example.answer, answered.stdout), answered.stdout


def test_readme__the_seeded_world__has_as_many_agents_as_it_says(running: Up) -> None:
    said = re.search(r"world of (\d+) agents", README.read_text())
    assert said is not None

    agents = running.get(f"/v1/agents?chain=devnet&limit=100&at={LAST_SEEDED_BLOCK}")["items"]

    assert len(agents) == int(said[1])


@pytest.mark.parametrize(
    ("printed", "answered", "same"),
    [
        ('{"a": 1,\n  "b": "x y"}', '{"a":1,"b":"x y"}', True),
        ('{"a":"0x…",…}', '{"a":"0x12","b":2}', True),
        ('{"a":"x y"}', '{"a":"xy"}', False),
        ('{"a":"0x…","b":2}', '{"a":"0x12","b":3}', False),
        ('{"a":1}', '{"a":1,"b":2}', False),
    ],
)
def test_comparison__sees_what_differs_and_nothing_else(
    printed: str, answered: str, same: bool
) -> None:
    assert agrees(printed, answered) is same

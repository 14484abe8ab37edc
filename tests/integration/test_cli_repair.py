"""What operators do to a whole chain from the command line, each on a database of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from renown.store.lease import acquire
from renown.store.pool import connect
from tests.activity import DEVNET, Activity
from tests.command import Outcome, renown
from tests.integration.test_writer import GENESIS, extension, world

BLOCKS = 30
Cli = Callable[..., Outcome]


@pytest.fixture
def url(fresh_database_url: str) -> str:
    async def fill() -> None:
        conn = await connect(fresh_database_url)
        writer = await acquire(conn, DEVNET, start_block=1, genesis_hash=GENESIS, name="test")
        for block in world(Activity(3), 1, BLOCKS):
            await writer.extend(extension([block]))
        await writer.close()

    asyncio.run(fill())
    return fresh_database_url


@pytest.fixture
def cli(url: str, tmp_path: object) -> Cli:
    return lambda *args: renown(*args, DATABASE_URL=url, RENOWN_DATA_DIR=str(tmp_path))


def state(cli: Cli, *args: str) -> str:
    outcome = cli("state-hash", "--json", *args)
    assert outcome.code == 0, outcome.err
    value: str = json.loads(outcome.out)["items"][0]["state_hash"]
    return value


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        conn = await connect(url)
        await conn.execute(statement)
        await conn.close()

    asyncio.run(run())


def test_rewind__without_yes__shows_what_would_go_and_drops_nothing(cli: Cli) -> None:
    before = state(cli)

    outcome = cli("db", "rewind", "devnet", "--to-block", "20")

    assert outcome.code == 0
    assert outcome.out.splitlines()[1].split("\t")[3] == "10"
    assert "add --yes" in outcome.err
    assert state(cli) == before


def test_rewind__with_yes__leaves_the_state_of_that_block(cli: Cli) -> None:
    then = state(cli, "--at", "20")

    outcome = cli("db", "rewind", "devnet", "--to-block", "20", "--yes")

    assert outcome.code == 0, outcome.err
    assert state(cli) == then
    assert cli("verify", "--offline").code == 0


def test_rewind__above_the_tip_or_below_the_start__changes_nothing(cli: Cli) -> None:
    before = state(cli)

    assert cli("db", "rewind", "devnet", "--to-block", "31", "--yes").code == 0
    assert state(cli) == before


def test_forget__shows_counts_first_and_drops_only_with_yes(cli: Cli) -> None:
    shown = cli("db", "forget", "devnet")
    assert shown.code == 0
    assert "agents" in shown.out
    assert cli("state-hash").code == 0

    assert cli("db", "forget", "devnet", "--yes").code == 0

    assert json.loads(cli("status", "--json").out)["items"] == []
    assert cli("db", "forget", "devnet").code == 66


@pytest.mark.parametrize(
    "args",
    [
        ("db", "forget", "devnet", "--yes"),
        ("db", "rewind", "devnet", "--to-block", "5", "--yes"),
        ("rebuild",),
        ("quarantine", "replay"),
    ],
    ids=" ".join,
)
def test_operators_work__beside_a_living_indexer__is_refused(
    cli: Cli, url: str, args: tuple[str, ...]
) -> None:
    with asyncio.Runner() as runner:
        conn = runner.run(connect(url))
        runner.run(acquire(conn, DEVNET, start_block=1, genesis_hash=GENESIS, name="the indexer"))

        outcome = cli(*args)

        conn.terminate()

    assert outcome.code == 75
    assert "the indexer" in outcome.err


def test_verify__state_that_was_tampered_with__is_found_and_mended_by_rebuild(
    cli: Cli, url: str
) -> None:
    before = state(cli)
    execute(url, "UPDATE agent_stats SET feedback_count = feedback_count + 1 WHERE agent_id = 0")

    found = cli("verify", "--offline")
    assert found.code == 65
    assert "agent_stats" in found.err
    assert "renown rebuild" in found.err

    mended = cli("rebuild")
    assert mended.code == 0
    assert mended.out == ""
    assert state(cli) == before
    assert cli("verify", "--offline").code == 0


def test_replay__of_what_is_still_unknown__keeps_it(cli: Cli) -> None:
    before = state(cli)

    outcome = cli("quarantine", "replay", "--dry-run")

    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == "chain\tlearnt\tkept"
    assert state(cli) == before


def test_migrate__an_empty_database__then_there_is_nothing_left(
    empty_database_url: str, tmp_path: object
) -> None:
    def cli(*args: str) -> Outcome:
        return renown(*args, DATABASE_URL=empty_database_url, RENOWN_DATA_DIR=str(tmp_path))

    assert cli("status").code == 78
    assert "renown db migrate" in cli("status").err
    assert cli("db", "status").code == 78
    planned = cli("db", "migrate", "--dry-run")
    assert planned.out.startswith("0001_pre_")
    assert cli("db", "status").code == 78

    assert cli("db", "migrate").out == planned.out

    assert cli("db", "migrate").out == ""
    assert cli("db", "status").code == 0
    assert "no chain is indexed yet" in cli("status").err

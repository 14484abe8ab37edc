"""What the read commands print, on an index that was filled through the writer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from renown.store.lease import acquire
from renown.store.pool import connect
from tests.activity import DEVNET, Activity
from tests.command import Outcome, renown
from tests.integration.test_writer import GENESIS, extension, world

BLOCKS = 60


@pytest.fixture(scope="module")
def index_url(database_url: str) -> str:
    """A database with one chain of random activity."""

    async def fill() -> None:
        conn = await connect(database_url)
        writer = await acquire(conn, DEVNET, start_block=1, genesis_hash=GENESIS, name="test")
        for block in world(Activity(7), 1, BLOCKS):
            await writer.extend(extension([block]))
        await writer.report(head=BLOCKS, final=BLOCKS - 10, safe=None, phase="follow")
        await writer.close()

    asyncio.run(fill())
    return database_url


@pytest.fixture
def cli(index_url: str, tmp_path: object) -> Callable[..., Outcome]:
    return lambda *args: renown(*args, DATABASE_URL=index_url, RENOWN_DATA_DIR=str(tmp_path))


Cli = Callable[..., Outcome]


def items(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = json.loads(outcome.out)["items"]
    return found


def test_status__json__is_what_the_api_answers(cli: Cli) -> None:
    (chain,) = items(cli("status", "--json"))

    assert (chain["slug"], chain["block_number"], chain["head_block"]) == ("devnet", BLOCKS, BLOCKS)
    assert chain["quarantined"] > 0
    assert chain["writer_alive"] is False


def test_status__in_a_pipe__is_a_line_per_chain_with_tabs(cli: Cli) -> None:
    outcome = cli("status")

    head, row = outcome.out.splitlines()
    assert head.split("\t")[:3] == ["chain", "phase", "block"]
    assert row.split("\t")[:3] == ["devnet", "follow", str(BLOCKS)]
    assert outcome.err == ""


def test_agents__page_by_page__gives_each_once_newest_first(cli: Cli) -> None:
    ids: list[int] = []
    cursor: list[str] = []
    while True:
        outcome = cli("agents", "--chain", "devnet", "--limit", "3", "--json", *cursor)
        ids += [int(agent["agent_id"]) for agent in items(outcome)]
        following = json.loads(outcome.out)["next_cursor"]
        if following is None:
            break
        cursor = ["--cursor", following]

    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == len(items(cli("agents", "--json", "--limit", "100")))


def test_agents__cursor_of_another_query__is_refused(cli: Cli) -> None:
    cursor = json.loads(cli("agents", "--limit", "1", "--json").out)["next_cursor"]

    outcome = cli("agents", "--chain", "devnet", "--cursor", cursor)

    assert outcome.code == 64
    assert outcome.err.startswith("error: ")


def test_agents__of_an_owner__are_only_theirs(cli: Cli) -> None:
    owner = items(cli("agents", "--json"))[0]["owner"]

    owned = items(cli("agents", "--owner", owner, "--json"))

    assert {agent["owner"] for agent in owned} == {owner}


def test_agent__by_each_kind_of_key__is_the_same(cli: Cli) -> None:
    first = json.loads(cli("agent", "31337:0", "--json").out)

    assert json.loads(cli("agent", first["uuid"], "--json").out) == first
    assert (
        json.loads(
            cli(
                "agent",
                first["key"].upper().replace("EIP155", "eip155").replace("X", "x"),
                "--json",
            ).out
        )
        == first
    )


def test_agent__for_people__is_a_name_and_value_a_line_on_stdout(cli: Cli) -> None:
    outcome = cli("agent", "31337:0")

    assert outcome.code == 0
    assert "key " in outcome.out
    assert "counts.feedback" in outcome.out
    assert all(character.isprintable() or character == "\n" for character in outcome.out)


def test_agent__at_a_past_block__is_as_it_was(cli: Cli) -> None:
    born = json.loads(cli("agent", "31337:0", "--json").out)["created_block"]

    then = json.loads(cli("agent", "31337:0", "--at", str(born), "--json").out)

    assert then["as_of"]["block_number"] == born
    assert then["transfers"] == 0


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("agent", "31337:99999"), 66, "99999"),
        (("agent", "8453:1"), 66, "does not hold that chain"),
        (("agent", "31337:0", "--at", "1000000"), 64, "60"),
        (("feedback", "31337:99999"), 66, "99999"),
        (("history", "31337:99999"), 66, "99999"),
        (("history", "31337:0", "--order", "random"), 64, "oldest"),
        (("agents", "--owner", "0x12"), 64, "0x12"),
        (("agents", "--chain", "base"), 66, "does not hold that chain"),
        (("state-hash", "--chain", "base"), 66, "no chain base"),
        (("state-hash", "--at", "61"), 64, "60"),
        (("quarantine", "show", "31337:1:999999"), 66, "31337:1:999999"),
        (("quarantine", "show", "31337-1-9"), 64, "31337-1-9"),
        (("db", "forget", "base"), 66, "no chain base"),
        (("rebuild", "--chain", "base"), 66, "no chain base"),
    ],
)
def test_what_is_not_there__is_said_in_one_line(
    cli: Cli, args: tuple[str, ...], code: int, words: str
) -> None:
    outcome = cli(*args)

    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_feedback__filters_and_shows_exact_decimals(cli: Cli) -> None:
    agent = max(items(cli("agents", "--json")), key=lambda a: a["counts"]["feedback"])["key"]

    everything = items(cli("feedback", agent, "--revoked", "--json"))
    starred = items(cli("feedback", agent, "--tag1", "starred", "--json"))

    assert {f["tag1"] for f in starred} <= {"starred"}
    assert len(starred) < len(everything)
    values = [row.split("\t")[3] for row in cli("feedback", agent).out.splitlines()[1:]]
    assert all("e" not in value for value in values)


def test_history__begins_with_the_mint_and_ends_with_it_the_other_way(cli: Cli) -> None:
    oldest = items(cli("history", "31337:0", "--json", "--limit", "100"))
    newest = items(cli("history", "31337:0", "--order", "newest", "--json", "--limit", "100"))

    assert oldest[0]["kind"] == "agent_transferred"
    assert (newest[0]["block_number"], newest[0]["log_index"]) >= (
        *(oldest[-1]["block_number"], oldest[-1]["log_index"]),
    )


def test_state_hash__now__is_that_of_the_last_block(cli: Cli) -> None:
    (now,) = items(cli("state-hash", "--json"))
    (then,) = items(cli("state-hash", "--at", str(BLOCKS), "--json"))
    (before,) = items(cli("state-hash", "--at", str(BLOCKS // 2), "--json"))

    assert now == then
    assert before["state_hash"] != now["state_hash"]


def test_quarantine__lists_what_show_shows(cli: Cli) -> None:
    listed = items(cli("quarantine", "list", "--chain", "devnet", "--json"))

    one = json.loads(cli("quarantine", "show", listed[0]["place"], "--json").out)

    assert {name: value for name, value in one.items() if name != "payload"} == listed[0]
    assert len(one["payload"]) == 2 + 2 * one["payload_bytes"]


def test_verify__offline__is_right(cli: Cli) -> None:
    outcome = cli("verify", "--offline", "--json")

    (result,) = items(outcome)
    assert result["state"]["equal"] is True
    assert result["coverage"] is None


def test_verify__when_nodes_cannot_be_asked__is_no_success(
    index_url: str, tmp_path: object
) -> None:
    outcome = renown(
        "verify",
        "--json",
        DATABASE_URL=index_url,
        RENOWN_DATA_DIR=str(tmp_path),
        CHAIN="devnet",
        RPC_URL="http://127.0.0.1:9/secret-path?secret-key=1",
    )

    assert outcome.code == 75
    assert "127.0.0.1:9" in outcome.out
    assert "secret" not in outcome.err + outcome.out


def test_chains__lists_every_deployment_without_settings_or_database() -> None:
    outcome = renown("chains", "--json", RENOWN_NO_SUCH="1")

    chains = items(outcome)
    assert len(chains) == 51
    assert {"base", "ethereum", "devnet"} <= {chain["slug"] for chain in chains}

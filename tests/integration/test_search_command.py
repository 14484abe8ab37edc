"""`renown search`: the same search, in a terminal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from renown.store import profiles
from renown.store.pool import connect, transaction
from tests.command import Outcome, renown
from tests.factories import ALICE, Story
from tests.integration.test_search import ROWS

Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def index_url(database_url: str) -> str:
    async def fill() -> None:
        story = Story()
        for agent in ROWS:
            story.mint(agent.agent_id, ALICE, b"https://a.example/")
        await story.next_block().write(database_url)
        conn = await connect(database_url)
        async with transaction(conn) as tx:
            await profiles.write(tx, ROWS)
        await conn.close()

    asyncio.run(fill())
    return database_url


@pytest.fixture
def cli(index_url: str, tmp_path: object) -> Cli:
    return lambda *args: renown(*args, DATABASE_URL=index_url, RENOWN_DATA_DIR=str(tmp_path))


def test_search__words_and_conditions__is_what_the_api_answers(cli: Cli) -> None:
    outcome = cli("search", "weather", "--where", "kind=mcp,a2a", "--facets", "kind", "--json")

    page = json.loads(outcome.out)
    assert sorted(item["agent_id"] for item in page["items"]) == ["0", "1", "2"]
    assert page["search"]["facets"]["values"]["kind"][0] == {"value": "mcp", "count": 2}


def test_search__for_people__is_a_line_per_agent_and_says_how_many(cli: Cli) -> None:
    outcome = cli("search", "weather", "--limit", "2")

    assert [line.split("\t")[1] for line in outcome.out.splitlines()][:2] == [
        *("name", "Weather Oracle")
    ]
    assert "5 found" in outcome.err
    assert "more with --cursor" in outcome.err


def test_search__cursor__goes_on_where_it_ended(cli: Cli) -> None:
    first = json.loads(cli("search", "weather", "--limit", "3", "--json").out)
    cursor = first["next_cursor"]
    rest = json.loads(cli("search", "weather", "--limit", "3", "--cursor", cursor, "--json").out)

    seen = [item["agent_id"] for page in (first, rest) for item in page["items"]]
    assert sorted(seen) == ["0", "1", "2", "5", "8"]
    assert cli("search", "storm", "--cursor", cursor).code == 64


@pytest.mark.parametrize(
    "args",
    [
        ("--where", "kind=nope"),
        ("--where", "knid=mcp"),
        ("--where", "kind"),
        ("--filter", "(kind:mcp"),
        ("--sort", "best"),
    ],
)
def test_search__condition_that_means_nothing__is_refused(cli: Cli, args: tuple[str, ...]) -> None:
    outcome = cli("search", "weather", *args)

    assert outcome.code == 64
    assert outcome.out == ""

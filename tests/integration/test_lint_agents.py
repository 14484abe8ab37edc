"""`renown lint KEY`: the file of an indexed agent, with what is known beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from renown.store.pool import connect
from tests.command import Outcome, renown
from tests.factories import ALICE, Story
from tests.shelf import fail, profile, registration, serve, when

GOOD, BAD, DEAD, NEW = (b"https://%s.example/a.json" % name for name in (b"a", b"b", b"c", b"d"))
Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def index_url(database_url: str) -> str:
    async def fill() -> None:
        told = Story().mint(0, ALICE, GOOD).mint(1, ALICE, BAD).mint(2, ALICE, DEAD)
        told.mint(3, ALICE, NEW).next_block()
        await told.write(database_url)
        conn = await connect(database_url)
        await serve(conn, GOOD, registration(0), when(1))
        await serve(conn, BAD, b'{"type": "agent", "name": "::error::x\\u001b[2J"}', when(1))
        await fail(conn, DEAD, when(1))
        found = [
            {"code": "wallet-unproven", "path": "", "detail": ""},
            {"code": "name-confusable", "path": "", "detail": "eip155:1:x"},
            {"code": "missing-name", "path": "/name", "detail": "stale: of an older reader"},
        ]
        await profile(conn, 0, findings=found)
        await profile(conn, 2, findings=[{"code": "uri-unreachable", "path": "", "detail": "x"}])
        await conn.close()

    asyncio.run(fill())
    return database_url


@pytest.fixture
def cli(index_url: str, tmp_path: object) -> Cli:
    return lambda *args: renown(
        "lint", *args, DATABASE_URL=index_url, RENOWN_DATA_DIR=str(tmp_path)
    )


def codes(outcome: Outcome) -> list[Any]:
    (target,) = json.loads(outcome.out)["targets"]
    return [finding["code"] for finding in target["findings"]]


def test_lint__an_agent__is_its_file_and_what_was_found_beside_it(cli: Cli) -> None:
    outcome = cli("31337:0", "--json")

    assert outcome.code == 0
    assert codes(outcome) == ["name-confusable", "wallet-unproven"]
    assert cli("31337:0", "--fail-on", "warning").code == 65
    assert cli("0", "--chain", "devnet", "--json").out == outcome.out.replace("31337:0", "0")


def test_lint__an_agent_with_a_bad_file__fails(cli: Cli) -> None:
    outcome = cli("31337:1")

    assert outcome.code == 65
    assert "31337:1: error not-a-registration: " in outcome.out
    assert all(line.isprintable() for line in outcome.out.splitlines())


def test_lint__an_agent_whose_file_was_never_read__tells_why(cli: Cli) -> None:
    assert codes(cli("31337:2", "--json")) == ["uri-unreachable"]
    unread = cli("31337:3")
    assert (unread.code, "state is `pending`" in unread.err) == (66, True)


def test_lint__an_agent_that_is_not_there__is_66(cli: Cli) -> None:
    assert cli("31337:99").code == 66
    assert cli("1:1").code == 66

"""What the commands about documents print, on an index that was filled through the tables."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from renown.cli.app import run
from renown.store.pool import connect
from tests.command import Outcome, renown
from tests.factories import ALICE, Story
from tests.shelf import profile, registration, serve, when

URI = b"https://agent.example/agent.json"
HOSTILE = "\x1b[31mred\u202e\nInjected"
ONE = registration(0, name="One")
TWO = registration(0, name=HOSTILE, gone=None)
Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def index_url(database_url: str) -> str:
    async def fill() -> None:
        told = Story().mint(0, ALICE, URI).mint(1, ALICE).next_block()
        for _ in range(9):
            told.metadata(1, b"k", b"v").next_block()
        await told.write(database_url)
        conn = await connect(database_url)
        await serve(conn, URI, ONE, when(2))
        await serve(conn, URI, TWO, when(5))
        found = [{"code": "wallet-unproven", "path": "", "detail": HOSTILE}]
        await profile(conn, 0, findings=found, terms=["finding=wallet-unproven"])
        await conn.execute("REFRESH MATERIALIZED VIEW term_count")
        await conn.close()

    asyncio.run(fill())
    return database_url


@pytest.fixture
def cli(index_url: str, tmp_path: object) -> Cli:
    return lambda *args: renown(*args, DATABASE_URL=index_url, RENOWN_DATA_DIR=str(tmp_path))


def answer(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_registration__json__is_what_the_api_answers(cli: Cli) -> None:
    now, then = (
        answer(cli("registration", "31337:0", "--json", *at)) for at in ((), ("--at", "3"))
    )

    assert now["state"] == "strict"
    assert then["registration"]["name"] == "One"
    assert answer(cli("registration", "31337:0", "--raw"))["gone"] is None
    assert answer(cli("registration", "31337:1", "--json"))["state"] == "none"


def test_registration__for_people__is_a_name_and_value_a_line_and_moves_no_cursor(cli: Cli) -> None:
    outcome = cli("registration", "31337:0")

    assert outcome.code == 0, outcome.err
    assert "service 0" in outcome.out
    assert all(c.isprintable() or c == "\n" for c in outcome.out)
    assert not any(line.startswith("Injected") for line in outcome.out.splitlines())


def test_registration__served__is_the_bytes(
    index_url: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", index_url)
    monkeypatch.setenv("RENOWN_DATA_DIR", str(tmp_path))
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with contextlib.redirect_stdout(out):
        code = run(["registration", "31337:0", "--served"])

    assert code == 0
    assert out.buffer.getvalue() == TWO


def test_diff__for_people__shows_each_change_in_one_line_a_side(cli: Cli) -> None:
    lines = cli("diff", "31337:0").out.splitlines()

    assert [line.split("  ")[0] for line in lines[:2]] == ["--- version 1", "+++ version 2"]
    assert lines[2:4] == ["@ /gone", "+ null"]
    assert lines[4] == "@ /name"
    assert lines[5] == '- "One"'
    assert lines[6].startswith('+ "')
    assert len(lines) == 7
    assert all(c.isprintable() for line in lines for c in line)


def test_diff__json_and_list__tell_versions_by_number(cli: Cli) -> None:
    body = answer(cli("diff", "31337:0", "--from", "1", "--to", "2", "--json"))
    versions = answer(cli("diff", "31337:0", "--list", "--json"))["items"]

    assert [c["path"] for c in body["changes"]] == ["/gone", "/name"]
    assert [v["number"] for v in versions] == [1, 2]
    assert len(cli("diff", "31337:0", "--list").out.splitlines()) == 3


def test_findings__of_an_agent_and_of_all__are_tables(cli: Cli) -> None:
    own, counts = cli("findings", "31337:0"), cli("findings", "--chain", "devnet")

    assert "wallet-unproven" in own.out
    assert len(own.out.splitlines()) == 2
    assert counts.out.splitlines()[1].split("\t")[:3] == ["1", "info", "wallet-unproven"]
    assert answer(cli("findings", "31337:0", "--json"))["items"][0]["severity"] == "info"
    assert answer(cli("findings", "--json"))["items"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("registration", "31337:99"), 66, "31337:99"),
        (("registration", "31337:0", "--served", "--json"), 64, "--served"),
        (("registration", "31337:1", "--served"), 66, "none"),
        (("registration", "31337:0", "--at", "9999"), 64, "block 11"),
        (("diff", "31337:1"), 66, "version"),
        (("diff", "31337:0", "--from", "2", "--to", "1"), 64, "lower"),
        (("diff", "31337:0", "--list", "--to", "1"), 64, "--list"),
        (("findings", "31337:99"), 66, "31337:99"),
        (("findings", "31337:0", "--chain", "devnet"), 64, "--chain"),
        (("findings", "--chain", "base"), 66, "does not hold"),
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

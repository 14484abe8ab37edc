"""What commands change is told of as theirs and their user's; `renown audit facts`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from renown.cli.person import person
from renown.obs.acting import ACTING
from renown.store.pool import connect
from tests.audited import Entry, entries
from tests.command import Outcome, renown
from tests.factories import ALICE, BOB, Story

Cli = Callable[..., Outcome]


@pytest.fixture
def cli(fresh_database_url: str, tmp_path: object) -> Cli:
    given = {"DATABASE_URL": fresh_database_url, "RENOWN_DATA_DIR": str(tmp_path)}
    return lambda *args: renown(*args, **given)


def told(url: str, *actions: str) -> list[Entry]:
    async def read() -> list[Entry]:
        conn = await connect(url)
        try:
            return await entries(conn, *actions)
        finally:
            await conn.close()

    return asyncio.run(read())


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        conn = await connect(url, application_name="psql")
        await conn.execute(statement)
        await conn.close()

    asyncio.run(run())


def test_commands__that_change_accounts_and_keys__are_told_with_who_ran_them(
    cli: Cli, fresh_database_url: str
) -> None:
    made = json.loads(cli("keys", "create", "demo", "--json").out)
    assert cli("accounts", "tier", "demo", "pro").code == 0
    assert cli("keys", "rotate", made["key"]).code == 0
    assert cli("keys", "revoke", made["key"]).code == 0
    assert cli("accounts", "close", "demo", "--yes").code == 0

    rows = told(fresh_database_url)
    assert {one.subject for one in rows} == {"account", "api_key"}
    commands = [one.detail["command"] for one in rows]
    assert list(dict.fromkeys(commands)) == [
        *("renown keys create", "renown accounts tier", "renown keys rotate"),
        *("renown keys revoke", "renown accounts close"),
    ]
    assert {one.detail["person"] for one in rows} == {person()}
    assert made["text"].split("_")[3] not in str(rows)
    assert ACTING.get() is None


def test_repairs__by_command__are_entries_with_who_ran_them(
    cli: Cli, fresh_database_url: str
) -> None:
    story = Story()
    story.mint(7, ALICE).next_block().give(7, BOB, 1).next_block().give(7, BOB, 2)
    asyncio.run(story.write(fresh_database_url))
    assert cli("rebuild").code == 0
    assert cli("db", "rewind", "devnet", "--to-block", "2", "--yes").code == 0
    assert cli("audit", "facts").code == 0
    assert cli("db", "forget", "devnet", "--yes").code == 0

    shown: list[dict[str, Any]] = [one.detail for one in told(fresh_database_url, "repair")]
    assert [(one["what"], one["command"]) for one in shown] == [
        ("refold", "renown rebuild"),
        ("rewind", "renown db rewind"),
        ("forget", "renown db forget"),
    ]
    assert {one["person"] for one in shown} == {person()}
    assert (shown[1]["to_block"], shown[1]["dropped"]) == (2, 1)
    assert told(fresh_database_url, "foreign-write") == []


def test_audit_facts__after_a_row_was_changed__names_the_blocks(
    cli: Cli, fresh_database_url: str
) -> None:
    story = Story()
    story.mint(7, ALICE).next_block().give(7, BOB, 1)
    asyncio.run(story.write(fresh_database_url, upto=1))
    asyncio.run(story.write(fresh_database_url))
    good = cli("audit", "facts", "--chain", "devnet")
    assert (good.code, good.out.splitlines()[1].split("\t")) == (
        0,
        ["devnet", "2", "4", "0", "0", "0"],
    )

    execute(fresh_database_url, "UPDATE feedback_given SET value = 1")
    bad = cli("audit", "facts")
    assert bad.code == 65
    assert "blocks 2 to 2 differ" in bad.err
    shown = json.loads(cli("audit", "facts", "--json").out)
    assert shown["equal"] is False
    assert [one["from_block"] for one in shown["items"][0]["wrong"]] == [2]
    assert cli("audit", "facts", "--chain", "base").code == 66

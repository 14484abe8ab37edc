"""`renown keys` and `renown accounts`, on a database, with what they make tried on the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from renown.spec.api_keys import read_key
from tests.access import PEPPER, acting_api, bearer
from tests.command import Outcome, renown

Cli = Callable[..., Outcome]
WALLET = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@pytest.fixture
def cli(fresh_database_url: str, tmp_path: Path) -> Cli:
    settings = {
        "DATABASE_URL": fresh_database_url,
        "RENOWN_DATA_DIR": str(tmp_path),
        "RENOWN_KEY_PEPPER": PEPPER,
    }
    return lambda *args, **more: renown(*args, **(settings | more))


def status(url: str, key: str) -> int:
    async def ask() -> int:
        async with acting_api(url) as api:
            return (await api.client.get("/v1/account", headers=bearer(key))).status_code

    return asyncio.run(ask())


def items(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = json.loads(outcome.out)["items"]
    return found


def test_create__a_name__prints_the_key_alone_and_it_opens_the_api(
    cli: Cli, fresh_database_url: str
):
    outcome = cli("keys", "create", "demo")

    assert outcome.code == 0, outcome.err
    key = outcome.out.rstrip("\n")
    assert read_key(key) is not None
    assert key not in outcome.err
    assert "admin, link, read, write" in outcome.err
    assert "for a program make a lesser key" in outcome.err
    assert status(fresh_database_url, key) == 200


def test_list__after_making_some__shows_each_without_its_secret(cli: Cli):
    key = cli("keys", "create", "demo").out.strip()
    made = cli("keys", "create", "ci", "--account", "demo", "--scope", "read", "--json")

    listed = cli("keys", "list", "--json")
    told = json.loads(made.out)

    assert [row["name"] for row in items(listed)] == ["ci", "demo"]
    assert {row["account"] for row in items(listed)} == {told["account"]}
    assert told["scopes"] == ["read"]
    assert key.split("_")[3] not in listed.out
    assert told["text"] not in listed.out


def test_rotate_and_revoke__by_id__end_the_old_key(cli: Cli, fresh_database_url: str):
    first = cli("keys", "create", "demo").out.strip()
    second = cli("keys", "rotate", first.split("_")[2], "--overlap", "0").out.strip()

    assert (status(fresh_database_url, first), status(fresh_database_url, second)) == (401, 200)
    assert cli("keys", "revoke", second.split("_")[2]).code == 0
    assert status(fresh_database_url, second) == 401
    assert items(cli("keys", "list", "--json")) == []
    assert len(items(cli("keys", "list", "--over", "--json"))) == 2


def test_revoke__many__needs_yes(cli: Cli):
    account = json.loads(cli("keys", "create", "demo", "--json").out)["account"]
    more = json.loads(cli("keys", "create", "more", "--account", account, "--json").out)
    assert more["scopes"] == ["link", "read", "write"]

    planned = cli("keys", "revoke", "--account", "demo")
    assert len(items(cli("keys", "list", "--json"))) == 2
    done = cli("keys", "revoke", "--account", "demo", "--yes")

    assert (planned.code, done.code) == (0, 0)
    assert "nothing was revoked" in planned.err
    assert items(cli("keys", "list", "--json")) == []


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("keys", "create", ""), 64),
        (("keys", "create", "x\ny"), 64),
        (("keys", "create", "demo", "--scope", "root"), 64),
        (("keys", "create", "demo", "--tier", "gold"), 64),
        (("keys", "create", "demo", "--expires", "0"), 64),
        (("keys", "create", "demo", "--account", "nobody"), 66),
        (("keys", "create", "demo", "--account", "nobody", "--tier", "pro"), 64),
        (("keys", "rotate", "00000000"), 66),
        (("keys", "revoke", "00000000"), 66),
        (("keys", "revoke"), 64),
        (("accounts", "tier", "nobody", "pro"), 66),
        (("accounts", "close", "00000000-0000-0000-0000-000000000000", "--yes"), 66),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_commands__that_make_no_sense__say_so_and_change_nothing(
    cli: Cli, args: tuple[str, ...], code: int
):
    outcome = cli(*args)

    assert (outcome.code, outcome.out) == (code, "")
    assert items(cli("accounts", "list", "--json")) == []


def test_accounts__of_one_name__are_told_apart_by_uuid(cli: Cli):
    one = json.loads(cli("keys", "create", "demo", "--json").out)["account"]
    cli("keys", "create", "demo")

    assert cli("accounts", "tier", "demo", "pro").code == 64
    told = json.loads(cli("accounts", "tier", one, "pro", "--json").out)
    assert (told["account"], told["tier"]) == (one, "pro")
    assert [row["tier"] for row in items(cli("accounts", "list", "--json"))] == ["pro", "free"]


def test_account__when_closed__is_shut_with_all_its_keys(cli: Cli, fresh_database_url: str):
    key = cli("keys", "create", "demo", "--signer-wallet", WALLET).out.strip()
    told = json.loads(cli("accounts", "list", "--json").out)["items"][0]
    planned = cli("accounts", "close", "demo")
    before = status(fresh_database_url, key)
    done = cli("accounts", "close", "demo", "--yes")

    assert told["signer_wallets"] == [WALLET]
    assert items(cli("accounts", "list", "--json"))[0]["signer_wallets"] == []
    assert "nothing was closed" in planned.err
    assert (before, done.code, status(fresh_database_url, key)) == (200, 0, 401)
    assert cli("keys", "create", "again", "--account", told["account"]).code == 65


def test_signer_wallet__acts_for_one_account_until_it_is_taken_away(cli: Cli):
    cli("keys", "create", "one", "--signer-wallet", WALLET)
    cli("keys", "create", "other")

    taken = cli("accounts", "grant-signer", "other", WALLET)
    left = json.loads(cli("accounts", "revoke-signer", "one", WALLET, "--json").out)
    again = cli("accounts", "revoke-signer", "one", WALLET)
    moved = json.loads(cli("accounts", "grant-signer", "other", WALLET, "--json").out)

    assert (taken.code, again.code) == (65, 66)
    assert "acts for another account" in taken.err
    assert (left["signer_wallets"], moved["signer_wallets"]) == ([], [WALLET])
    assert cli("keys", "create", "third", "--signer-wallet", WALLET).code == 65
    assert len(items(cli("accounts", "list", "--json"))) == 2
    assert cli("accounts", "grant-signer", "other", "0x12").code == 64


def test_create__under_another_pepper_than_the_api__warns(cli: Cli, fresh_database_url: str):
    cli("keys", "create", "demo")

    outcome = cli("keys", "create", "other", RENOWN_KEY_PEPPER="quite another pepper")

    assert "another pepper" in outcome.err
    assert status(fresh_database_url, outcome.out.strip()) == 401


def test_create__without_a_pepper_set__keeps_one_in_the_data_directory(
    fresh_database_url: str, tmp_path: Path
):
    where = {"DATABASE_URL": fresh_database_url, "RENOWN_DATA_DIR": str(tmp_path)}
    first, second = (renown("keys", "create", "demo", **where) for _ in range(2))

    kept = tmp_path / "key-pepper"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert first.code == second.code == 0
    assert "warning" not in second.err

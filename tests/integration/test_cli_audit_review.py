"""`renown audit log|show|review|policy|retention` and `renown accounts operator`, as people run
them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from renown.cli.app import run
from renown.store.pool import connect
from tests.audit_log import put, take_all

OLD = datetime.now(UTC) - timedelta(days=800)


class Shell:
    """Commands on one database."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self._capsys = capsys
        self.told = ""

    def __call__(self, *args: str, code: int = 0) -> str:
        """What a command prints; `told` has what it says to people."""
        given = run(list(args))
        out, self.told = self._capsys.readouterr()
        assert given == code, (given, self.told)
        return out

    def json(self, *args: str) -> Any:
        return msgspec.json.decode(self(*args, "--json"))

    def log(self, *args: str) -> list[Any]:
        items: list[Any] = self.json("audit", "log", *args)["items"]
        return items

    def take(self) -> None:
        asyncio.run(self._take())

    async def _take(self) -> None:
        conn = await connect(self.url)
        await take_all(conn)
        await conn.close()

    def put(self, **fields: Any) -> int:
        return asyncio.run(self._put(fields))

    async def _put(self, fields: dict[str, Any]) -> int:
        conn = await connect(self.url)
        entry_id = await put(conn, **fields)
        await conn.close()
        return entry_id


@pytest.fixture
def shell(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    capsys.readouterr()
    return Shell(fresh_database_url, capsys)


def test_review__of_what_needs_one__by_policy_and_operators(shell: Shell) -> None:
    shell("keys", "create", "demo", "--scope", "audit", "--scope", "write")
    shell("accounts", "operator", "demo", code=64)
    assert shell.json("accounts", "operator", "demo", "--on")["is_operator"] is True
    shell.take()

    [made] = shell.log("--review", "open", "--rule", "account-changed")
    assert (made["before"]["is_operator"], made["after"]["is_operator"]) == (False, True)
    assert made["detail"]["command"] == "renown accounts operator"
    assert made["detail"]["person"]
    entry_id = str(made["id"])
    shell("audit", "review", entry_id, "--note", "", code=64)
    shell("audit", "review", "999999999", "--note", "x", code=66)
    shell("audit", "review", entry_id, entry_id, "--note", "as planned", "--reviewer", "Rita")

    assert shell.log("--rule", "account-changed", "--review", "open") == []
    one = shell.json("audit", "show", entry_id)
    assert (one["review"], one["reviews"][0]["reviewer"]) == ("reviewed", "Rita")
    assert "as planned" in shell("audit", "show", entry_id)
    [told] = shell.log("--subject", "audit_review")
    assert told["detail"]["command"] == "renown audit review"
    assert entry_id in shell("audit", "log", "--account", "demo") + shell("audit", "log")
    shell("audit", "show", "999999999", code=66)
    for wrong in (["--since", "soon"], ["--review", "maybe"], ["--status", "6xx"]):
        shell("audit", "log", *wrong, code=64)
    shell("audit", "log", "--request", "x", code=64)
    shell("audit", "log", "--account", "nobody", code=66)


def test_policy__set_shown_and_unset__is_in_force_and_in_the_log(shell: Shell) -> None:
    rules = shell.json("audit", "policy", "show")
    assert rules["retention"] == [{"days": 730}, False]
    assert "mark-changed" not in rules["review"][0]
    wanted = '{"mark-changed": true, "repair": false, "bulk-edit": {"at_least": 3}}'

    shell("audit", "policy", "set", "review", wanted)
    assert "add --yes" in shell.told
    assert shell.json("audit", "policy", "show", "review")["review"][1] is False
    shell("audit", "policy", "set", "review", wanted, "--yes")
    shell("audit", "policy", "set", "retention", '{"days": 365}', "--yes")

    rules = shell.json("audit", "policy", "show")
    assert rules["retention"] == [{"days": 365}, True]
    assert rules["review"][0]["bulk-edit"] == {"at_least": 3, "minutes": 1}
    assert "repair" not in rules["review"][0]
    repair = shell.put(action="repair", subject="chain:1")
    shell.take()
    assert shell.json("audit", "show", str(repair))["rule"] is None
    [told] = shell.log("--subject", "policy", "--row", "retention")
    assert (told["after"]["value"], told["rule"]) == ({"days": 365}, "policy-changed")
    shell("audit", "policy", "unset", "review", "--yes")
    assert "repair" in shell.json("audit", "policy", "show", "review")["review"][0]
    shell("audit", "policy", "unset", "review")
    for name, value in (
        ("review", '{"repairs": false}'),
        ("review", "[]"),
        ("review", "{"),
        ("review", "[" * 100_000),
        ("retention", '{"days": 0}'),
        ("retention", '{"days": 1.5}'),
        ("retention", '{"days": 10, "months": 1}'),
        ("pruning", "{}"),
    ):
        shell("audit", "policy", "set", name, value, "--yes", code=64)


def test_retention__dry_then_meant__removes_what_is_older_than_the_policy(shell: Shell) -> None:
    old, young = shell.put(at=OLD), shell.put(at=OLD + timedelta(days=200))
    kept = shell.put(action="repair", subject="chain:1", at=OLD)
    shell.take()

    dry = shell.json("audit", "retention")
    assert (dry["done"], [(m["go"], m["stay"]) for m in dry["months"]]) == (False, [(1, 1)])
    assert "1" in shell("audit", "retention")
    assert "--yes removes 1 entries" in shell.told
    assert shell.json("audit", "show", str(old))["id"] == old
    done = shell.json("audit", "retention", "--yes")

    assert (done["done"], done["months"][0]["go"]) == (True, 1)
    shell("audit", "show", str(old), code=66)
    for stays in (young, kept):
        assert shell.json("audit", "show", str(stays))["id"] == stays
    [told] = shell.log("--action", "retention")
    assert told["detail"]["removed"] == 1
    assert told["detail"]["command"] == "renown audit retention"
    shell.take()
    assert "whole" in shell("audit", "verify")
    assert shell.json("audit", "retention", "--older-than", "500", "--yes")["months"][1]["go"] == 1
    shell("audit", "retention", "--older-than", "0", code=64)

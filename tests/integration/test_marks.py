"""This installation's marks: who sets them, what readers see, what lists leave out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from renown.cli.app import run
from renown.store.accounts import set_operator
from tests.access import Api, Holder, acting_api, give_account
from tests.factories import CAROL
from tests.integration.test_api_answers import devnet_story
from tests.integration.test_search import _keep, row

AGENT = "/v1/agents/31337:0"
FEEDBACK = f"{AGENT}/feedback/0x{CAROL.hex()}/1"


class Place(msgspec.Struct):
    api: Api
    operator: Holder
    other: Holder

    async def get(self, path: str) -> Any:
        answer = await self.api.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def put(self, path: str, note: str = "") -> None:
        answer = await self.api.client.put(path, json={"note": note}, headers=self.operator.headers)
        assert answer.status_code == 200, answer.text

    async def listed(self, query: str = "") -> set[str]:
        page = await self.get(f"/v1/agents{query}")
        return {item["agent_id"] for item in page["items"]}


@pytest.fixture(scope="module")
def stored(database_url: str) -> str:
    asyncio.run(devnet_story().write(database_url, final=3))
    asyncio.run(_keep(database_url, [row(0, "Weather"), row(4, "Weather too")]))
    return database_url


@pytest.fixture
async def place(stored: str) -> AsyncIterator[Place]:
    async with acting_api(stored) as api:
        operator, other = await give_account(api.pool), await give_account(api.pool)
        async with api.pool.transaction() as tx:
            await set_operator(tx, operator.account.account_id, True)
            await tx.execute("DELETE FROM installation_mark")
        yield Place(api, operator, other)


async def test_mark__of_an_agent__shows_with_a_new_tag_and_goes_again(place: Place) -> None:
    first = await place.api.client.get(AGENT)
    listed = await place.api.client.get("/v1/agents")
    assert first.json()["marks"] == []

    await place.put(f"{AGENT}/marks/suspended", "does not answer\0")
    await place.put(f"{AGENT}/marks/suspended", "does not answer\0")
    await place.put(f"{AGENT}/marks/reviewed")

    marked = await place.api.client.get(AGENT, headers={"If-None-Match": first.headers["etag"]})
    assert (marked.status_code, marked.json()["marks"]) == (200, ["reviewed", "suspended"])
    again = await place.api.client.get(
        "/v1/agents", headers={"If-None-Match": listed.headers["etag"]}
    )
    marks = {agent["key"]: agent["marks"] for agent in again.json()["items"]}
    assert marks.pop(first.json()["key"]) == ["reviewed", "suspended"]
    assert not any(marks.values())
    shown = (await place.get(f"{AGENT}/marks"))["items"]
    assert [(one["mark"], one["note"]) for one in shown] == [
        ("reviewed", ""),
        ("suspended", "does not answer\ufffd"),
    ]
    assert shown[0]["account"] == str(place.operator.account.uuid)
    page = await place.api.client.get("/agents/31337:0")
    assert "reviewed, suspended" in page.text

    for mark in ("suspended", "reviewed"):
        gone = await place.api.client.delete(
            f"{AGENT}/marks/{mark}", headers=place.operator.headers
        )
        assert gone.status_code == 204
    assert (await place.api.client.get(AGENT)).headers["etag"] == first.headers["etag"]
    assert (await place.api.client.get("/v1/agents")).headers["etag"] == listed.headers["etag"]
    again = await place.api.client.delete(f"{AGENT}/marks/reviewed", headers=place.operator.headers)
    assert again.json()["type"] == "/problems/not-found"


async def test_mark__each_change__is_told_by_the_log_with_who_made_it(place: Place) -> None:
    await place.put(f"{AGENT}/marks/hidden", "spam")
    await place.put(f"{AGENT}/marks/hidden", "spam")  # changes nothing, says nothing
    await place.put(f"{AGENT}/marks/hidden", "more spam")
    who = place.operator.account.account_id
    async with place.api.pool.connection() as conn:
        rows = await conn.fetch(
            "SELECT action, account_id, before ->> 'note' AS was, after ->> 'note' AS is_now"
            " FROM audit_log WHERE subject = 'installation_mark' AND account_id = $1"
            " ORDER BY entry_id",
            who,
        )
    assert [(r["action"], r["account_id"], r["was"], r["is_now"]) for r in rows] == [
        ("insert", who, None, "spam"),
        ("update", who, "spam", "more spam"),
    ]


async def test_hidden__in_lists_and_searches__is_left_out_unless_asked_for(place: Place) -> None:
    everybody = await place.listed()
    assert "0" in everybody
    owner = (await place.get(AGENT))["owner"]

    await place.put(f"{AGENT}/marks/hidden")
    await place.put("/v1/agents/31337:4/marks/suspended")

    for query in ("?limit=100", "?chain=31337", "?sort=newest", "?q=weather", "?facets=kind"):
        without, with_it = (
            await place.listed(query),
            await place.listed(f"{query}&include_hidden=1"),
        )
        assert with_it - without == {"0"}, query
        assert "4" in without, query
    assert await place.listed("?include_hidden=true") == everybody
    assert await place.listed("?chain=31337&include_hidden=true") == everybody
    assert await place.listed() == everybody - {"0"}
    assert "0" not in await place.listed(f"?owner={owner}")
    assert "0" in await place.listed(f"?owner={owner}&include_hidden=true")
    assert (await place.get(AGENT))["marks"] == ["hidden"]  # whoever has its key finds it


async def test_mark__of_one_feedback__stands_beside_the_agents(place: Place) -> None:
    await place.put(f"{FEEDBACK}/marks/reviewed", "seen")

    [shown] = (await place.get(f"{AGENT}/marks"))["items"]
    assert (shown["client"].lower(), shown["index"]) == (f"0x{CAROL.hex()}", "1")
    assert (await place.get(AGENT))["marks"] == []  # it is not the agent's
    assert "0" in await place.listed()
    gone = await place.api.client.delete(
        f"{FEEDBACK}/marks/reviewed", headers=place.operator.headers
    )
    assert gone.status_code == 204


async def test_mark__not_to_be_set__is_refused(place: Place) -> None:
    for path, holder, status in (
        (f"{AGENT}/marks/hidden", place.other, 403),
        (f"{AGENT}/marks/evil", place.operator, 400),
        ("/v1/agents/31337:98/marks/hidden", place.operator, 404),
        ("/v1/agents/1:0/marks/hidden", place.operator, 404),
        (f"{AGENT}/feedback/0x{CAROL.hex()}/99/marks/hidden", place.operator, 404),
        (f"{AGENT}/feedback/carol/1/marks/hidden", place.operator, 400),
    ):
        answer = await place.api.client.put(path, headers=holder.headers)
        assert answer.status_code == status, (path, answer.text)
    long = await place.api.client.put(
        f"{AGENT}/marks/hidden", json={"note": "x" * 2001}, headers=place.operator.headers
    )
    assert long.json()["type"] == "/problems/bad-body"
    assert (await place.get(f"{AGENT}/marks"))["items"] == []


def test_command__marks_and_takes_back__and_the_log_names_it(
    stored: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", stored)

    assert run(["mark", "agent", "31337:0", "hidden", "--note", "spam", "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["items"][0]["mark"] == "hidden"
    client = f"0x{CAROL.hex()}"
    assert run(["mark", "feedback", "31337:0", client, "1", "reviewed"]) == 0
    assert run(["mark", "agent", "31337:0", "hidden", "--remove"]) == 0
    assert run(["mark", "agent", "31337:0", "hidden", "--remove"]) == 66
    assert run(["mark", "agent", "31337:0", "hiden"]) == 64
    capsys.readouterr()
    assert run(["audit", "log", "--subject", "installation_mark", "--json"]) == 0
    items = msgspec.json.decode(capsys.readouterr().out)["items"][:3]
    assert [(one["action"], one["detail"]["command"]) for one in items] == [
        ("delete", "renown mark agent"),
        ("insert", "renown mark feedback"),
        ("insert", "renown mark agent"),
    ]

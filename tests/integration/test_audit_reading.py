"""The audit log by API: who sees what, filters, pages, proofs, reviews."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jsonschema_rs
import msgspec
import pytest

from renown.audit.checkpoint import Signer, Verifier
from renown.audit.proofs import (
    ConsistencyProof,
    check_consistency,
    check_inclusion,
    read_inclusion,
    unbase64,
)
from renown.ingest.notary.sequencing import frontier
from renown.store import audit_leaves, audit_proofs
from renown.store.accounts import set_operator
from renown.store.audit_entries import NewEntry
from renown.store.pool import connect
from tests.access import Api, Holder, acting_api, give_account
from tests.audit_log import add, take_all

NOW = datetime.now(UTC)
SEED = bytes(range(32))


class Log(msgspec.Struct):
    """The API on a log with a few entries of two accounts, one of them an operator's."""

    api: Api
    alice: Holder
    operator: Holder
    ids: dict[str, int]
    request_id: UUID

    async def get(self, path: str, holder: Holder | None = None, **params: Any) -> Any:
        headers = {} if holder is None else holder.headers
        answer = await self.api.client.get(path, headers=headers, params=params or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def names(self, holder: Holder, **params: Any) -> list[str]:
        """Which of `ids` a page has, in its order."""
        by_id = {entry_id: name for name, entry_id in self.ids.items()}
        items = (await self.get("/v1/audit", holder, **params))["items"]
        return [by_id[item["id"]] for item in items if item["id"] in by_id]


@pytest.fixture
async def log(fresh_database_url: str) -> AsyncIterator[Log]:
    async with acting_api(fresh_database_url, audit=False) as api:
        alice, operator = await give_account(api.pool), await give_account(api.pool, name="Olga")
        async with api.pool.transaction() as tx:
            await set_operator(tx, operator.account.account_id, True)
        request_id = uuid4()
        own: dict[str, Any] = {"account_id": alice.account.account_id, "key_id": alice.key_id}
        entries = {
            "read": NewEntry(
                action="read",
                subject="/v1/agents/{key}",
                status=200,
                at=NOW - timedelta(hours=9),
                **own,
            ),
            "write": NewEntry(
                action="request",
                subject="/v1/agents",
                status=201,
                request_id=request_id,
                at=NOW - timedelta(hours=8),
                detail={"request": "x" * 5_000},
                **own,
            ),
            "failed": NewEntry(
                action="request",
                subject="/v1/agents",
                status=404,
                at=NOW - timedelta(hours=7),
                **own,
            ),
            "row": NewEntry(
                action="update",
                subject="policy",
                subject_key="review",
                at=NOW - timedelta(hours=6),
                detail={"command": "renown policy set"},
            ),
            "repair": NewEntry(
                action="repair", subject="chain:8453", at=NOW - timedelta(hours=5), detail={}
            ),
        }
        conn = await connect(fresh_database_url)
        ids = await add(conn, list(entries.values()))
        await take_all(conn)
        await conn.close()
        yield Log(api, alice, operator, dict(zip(entries, ids, strict=True)), request_id)


async def checkpoint(log: Log) -> Verifier:
    """Sign where the log stands."""
    async with log.api.pool.transaction() as tx:
        head = await audit_leaves.head(tx)
        root = (await frontier(tx, head.size)).root()
        assert head.link_hash is not None
        signer = Signer("tests", SEED)
        note = signer.note(head.size, root, head.link_hash)
        await audit_proofs.keep_checkpoint(tx, head.size, root, head.link_hash, note)
    return signer.verifier


FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["repair", "row", "failed", "write", "read"]),
    ({"action": "read"}, ["read"]),
    ({"action": "request"}, ["failed", "write"]),
    ({"subject": "/v1/agents"}, ["failed", "write"]),
    ({"subject": "policy", "subject_key": "review"}, ["row"]),
    ({"status": "404"}, ["failed"]),
    ({"status": "4xx"}, ["failed"]),
    ({"status": "2xx"}, ["write", "read"]),
    ({"since": (NOW - timedelta(hours=7, minutes=30)).isoformat()}, ["repair", "row", "failed"]),
    ({"until": (NOW - timedelta(hours=7, minutes=30)).isoformat()}, ["write", "read"]),
    ({"review": "open"}, ["repair", "row"]),
    ({"review": "open", "rule": "repair"}, ["repair"]),
    ({"review": "not-needed"}, ["failed", "write", "read"]),
    ({"review": "reviewed"}, []),
    ({"review": "pending"}, []),
    ({"rule": "policy-changed"}, ["row"]),
    ({"action": "no such"}, []),
]


async def test_list__each_filter__gives_what_fits_newest_first(log: Log) -> None:
    for params, expected in FILTERS:
        assert await log.names(log.operator, limit=100, **params) == expected, params


async def test_list__of_an_account__has_its_own_entries_only_whatever_is_asked(log: Log) -> None:
    own = ["failed", "write", "read"]
    assert await log.names(log.alice) == own
    assert await log.names(log.alice, key=log.alice.key_id) == own
    assert await log.names(log.alice, account=str(log.alice.account.uuid)) == own
    assert await log.names(log.alice, account=str(log.operator.account.uuid)) == []
    assert await log.names(log.alice, review="open") == []
    assert await log.names(log.alice, request_id=str(log.request_id)) == ["write"]
    assert await log.names(log.operator, account=str(log.alice.account.uuid)) == own
    assert await log.names(log.operator, account=str(log.alice.account.account_id)) == own
    assert await log.names(log.operator, account=str(uuid4())) == []
    for path in ("", "/proof"):
        answer = await log.api.client.get(
            f"/v1/audit/{log.ids['row']}{path}", headers=log.alice.headers
        )
        assert answer.json()["type"] == "/problems/entry-not-found", path
        assert (await log.get(f"/v1/audit/{log.ids['write']}{path}", log.alice))["seq"] is not None
    summary = (await log.get("/v1/audit/summary", log.alice))["items"]
    assert {one["action"] for one in summary} == {"read", "request"}
    whole = (await log.get("/v1/audit/summary", log.operator))["items"]
    assert {"repair", "insert", "update"} <= {one["action"] for one in whole}
    assert sum(one["errors"] for one in whole) == 1


async def test_pages__small_ones__have_everything_once_and_in_order(log: Log) -> None:
    whole = (await log.get("/v1/audit", log.operator, limit=100))["items"]
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 3}
    while True:
        page = await log.get("/v1/audit", log.operator, **params)
        found += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert [one["id"] for one in found] == [one["id"] for one in whole]
    assert found == whole
    cursor = (await log.get("/v1/audit", log.operator, limit=1))["next_cursor"]
    answer = await log.api.client.get(
        "/v1/audit", params={"cursor": cursor, "limit": 1}, headers=log.alice.headers
    )
    assert answer.json()["type"] == "/problems/bad-cursor"  # another account's


async def test_list__long_bodies__are_left_out_and_stand_in_the_entry_itself(log: Log) -> None:
    items = (await log.get("/v1/audit", log.alice))["items"]
    listed = next(one for one in items if one["id"] == log.ids["write"])
    assert (listed["detail"], listed["left_out"]) == (None, ["detail"])
    one = await log.get(f"/v1/audit/{log.ids['write']}", log.alice)
    assert one["detail"] == {"request": "x" * 5_000}
    assert one["left_out"] == []
    assert '"/v1/agents"' in one["payload"]


async def test_proofs__of_the_api__stand_a_strangers_check(log: Log) -> None:
    verifier = await checkpoint(log)
    answer = await log.api.client.get(
        f"/v1/audit/{log.ids['write']}/proof", headers=log.alice.headers
    )
    checked = check_inclusion(read_inclusion(answer.content), [verifier])
    assert checked.entry is not None
    assert checked.entry["entry_id"] == log.ids["write"]
    note = await log.api.client.get("/v1/audit/checkpoint")
    assert note.headers["content-type"].startswith("text/plain")
    assert note.text == answer.json()["checkpoint"]
    page = await log.get("/v1/audit/checkpoints")
    assert [one["note"] for one in page["items"]] == [note.text]

    size = page["items"][0]["size"]
    for old in range(size + 1):
        shown = await log.api.client.get("/v1/audit/consistency", params={"old": old})
        found = msgspec.json.decode(shown.content, type=ConsistencyProof)
        assert found.new_size == size
        assert check_consistency(found), old
        if old == size:
            assert unbase64(found.old_root).hex() == page["items"][0]["root_hash"][2:]
    for params in ({"old": size + 1}, {"old": 2, "new": 1}, {"old": 0, "new": size + 1}):
        refused = await log.api.client.get("/v1/audit/consistency", params=params)
        assert refused.status_code == 400, params
    small = await log.get(f"/v1/audit/{log.ids['write']}/proof", log.alice, size=size - 1)
    assert (small["size"], small["checkpoint"]) == (size - 1, None)
    refused = await log.api.client.get(
        f"/v1/audit/{log.ids['write']}/proof", params={"size": 1}, headers=log.alice.headers
    )
    assert refused.status_code == 400


async def test_checkpoint__none_made_yet__is_not_found(log: Log) -> None:
    assert (await log.api.client.get("/v1/audit/checkpoint")).status_code == 404


async def test_review__by_an_operator__closes_the_entry_and_stays(log: Log) -> None:
    path = f"/v1/audit/{log.ids['row']}/review"
    headers = {**log.operator.headers, "Idempotency-Key": "one"}
    first = await log.api.client.post(path, json={"note": "seen"}, headers=headers)
    again = await log.api.client.post(path, json={"note": "seen"}, headers=headers)
    assert (first.status_code, first.json()["reviewer"]) == (201, "Olga")
    assert again.content == first.content
    second = await log.api.client.post(
        path, json={"note": "again", "reviewer": "Rita\0"}, headers=log.operator.headers
    )
    assert second.status_code == 201, second.text

    one = await log.get(f"/v1/audit/{log.ids['row']}", log.operator)
    assert one["review"] == "reviewed"
    assert [(r["reviewer"], r["note"]) for r in one["reviews"]] == [
        ("Olga", "seen"),
        ("Rita\ufffd", "again"),
    ]
    assert one["reviews"][0]["account"] == str(log.operator.account.uuid)
    assert await log.names(log.operator, review="open") == ["repair"]
    assert await log.names(log.operator, review="reviewed") == ["row"]
    told = await log.get("/v1/audit", log.operator, subject="audit_review")
    assert len(told["items"]) == 2


async def test_review__not_to_be_had__changes_nothing(log: Log) -> None:
    for who, entry, body, status in (
        (log.alice, "write", {"note": "mine"}, 403),
        (log.operator, None, {"note": "none such"}, 404),
        (log.operator, "row", {"note": ""}, 400),
        (log.operator, "row", {"note": "x" * 4001}, 400),
        (log.operator, "row", {"reviewer": "me"}, 400),
        (log.operator, "row", {"note": "x", "status": "fine"}, 400),
    ):
        entry_id = 10**15 if entry is None else log.ids[entry]
        answer = await log.api.client.post(
            f"/v1/audit/{entry_id}/review", json=body, headers=who.headers
        )
        assert answer.status_code == status, answer.text
    assert await log.names(log.operator, review="reviewed") == []


async def test_operator__no_longer_one__sees_only_their_own_at_once(log: Log) -> None:
    assert "repair" in await log.names(log.operator)
    async with log.api.pool.transaction() as tx:
        await set_operator(tx, log.operator.account.account_id, False)
    log.api.app.state.desk.gate.authenticator.forget(log.operator.key_id)
    assert await log.names(log.operator) == []


async def test_answers__of_every_route__conform_to_the_document(log: Log) -> None:
    await checkpoint(log)
    document = (await log.api.client.get("/openapi.json")).json()
    one = log.ids["write"]
    for path, template in (
        ("/v1/audit", "/v1/audit"),
        ("/v1/audit/summary", "/v1/audit/summary"),
        ("/v1/audit/checkpoints", "/v1/audit/checkpoints"),
        ("/v1/audit/consistency?old=1", "/v1/audit/consistency"),
        (f"/v1/audit/{one}", "/v1/audit/{entry_id}"),
        (f"/v1/audit/{one}/proof", "/v1/audit/{entry_id}/proof"),
    ):
        answer = await log.api.client.get(path, headers=log.operator.headers)
        described = document["paths"][template]["get"]["responses"]["200"]["content"]
        schema = described["application/json"]["schema"] | {"components": document["components"]}
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(answer.json())


async def test_hostile_parameters__are_refused_or_find_nothing(log: Log) -> None:
    for params in (
        {"status": "600"},
        {"status": "4xxx"},
        {"account": "x"},
        {"request_id": "x"},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"review": "maybe"},
        {"cursor": "AAAA"},
        {"limit": "101"},
        {"foo": "1"},
    ):
        answer = await log.api.client.get("/v1/audit", params=params, headers=log.operator.headers)
        assert answer.status_code == 400, (params, answer.text)
    odd: list[dict[str, Any]] = [
        {"subject": "\0"},
        {"subject_key": "\udcff".encode("utf-8", "surrogatepass")},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"key": "'; DROP TABLE audit_log"},
    ]
    for params in odd:
        answer = await log.api.client.get(
            "/v1/audit", params=httpx.QueryParams(params), headers=log.operator.headers
        )
        assert answer.status_code in (200, 400), (params, answer.text)

"""The audit log, marks and what watches the process, for those who mean harm or pry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from renown.store.accounts import set_operator
from renown.store.pool import Conn, connect
from tests.access import Holder, bearer, give_account, give_key
from tests.audit_log import take_all
from tests.audited import entries, flushed
from tests.hostile import OWN, Target, quiet_logs, require_problem, target_on

BIGINT = 2**63 - 1
MARK = "/v1/agents/31337:7/marks/hidden"
OF_FEEDBACK = f"/v1/agents/31337:8/feedback/{OWN.address}/1/marks/hidden"


class Place(msgspec.Struct):
    """A target whose `me` has done this and that, `other`, who pries, and an operator."""

    target: Target
    conn: Conn
    operator: Holder
    mine: list[int]
    not_theirs: list[int]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.target.client

    @property
    def prying(self) -> dict[str, str]:
        return self.target.other.headers


@pytest.fixture
async def place(fresh_database_url: str) -> AsyncIterator[Place]:
    async with target_on(fresh_database_url) as target:
        operator = await give_account(target.pool)
        async with target.pool.transaction() as tx:
            await set_operator(tx, operator.account.account_id, True)
        await target.client.post(
            "/v1/keys", json={"name": "n", "scopes": ["read"]}, headers=target.me.headers
        )
        await target.client.get("/v1/account", headers=target.me.headers)
        await flushed(target.api)
        conn = await connect(fresh_database_url)
        try:
            await take_all(conn)
            told = await entries(conn)
            me, other = target.me.account.account_id, target.other.account.account_id
            mine = [one.entry_id for one in told if one.account_id == me]
            hidden = [one.entry_id for one in told if one.account_id != other]
            assert {one.action for one in told if one.account_id == me} >= {
                *("insert", "request", "read"),
            }
            yield Place(target, conn, operator, mine, hidden)
        finally:
            await conn.close()


# What is wrong with requests ----------------------------------------------------------------------

REVIEWS: list[tuple[Any, int]] = [
    ({"note": "x" * 4_001}, 400),
    ({"note": ""}, 400),
    ({"note": None}, 400),
    ({"note": 1}, 400),
    ({"note": ["x"]}, 400),
    ({"note": {"a": "b"}}, 400),
    ({"note": "x", "reviewer": ""}, 400),
    ({"note": "x", "reviewer": "r" * 201}, 400),
    ({"note": "x", "reviewer": 7}, 400),
    ({"note": "x", "entry_id": 1}, 400),
    ({"note": "x", "account_id": 1}, 400),
    ({"note": "x", "at": "2020-01-01T00:00:00Z"}, 400),
    ({}, 400),
    ([], 400),
    (None, 400),
    ("note", 400),
    (b'{"note": "\\ud800"}', 400),
    (b'{"note": "x', 400),
    (b'{"note": "\xff"}', 400),
    (b"", 400),
    (b"[" * 100_000, 400),
    (b'{"note":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, 400),
    (b'{"note": 1e999999}', 400),
    (b'{"note": "' + b"x" * 600_000 + b'"}', 413),
    # Taken: texts that are odd, and are kept and shown as what they are.
    ({"note": "\0"}, 201),
    ({"note": "\u202egnp.exe\u2066", "reviewer": "\u200f\u202e"}, 201),
    ({"note": "x" * 4_000, "reviewer": "r" * 200}, 201),
    ({"note": "'; DROP TABLE audit_log; --"}, 201),
    ({"note": "<script>alert(1)</script>\x1b[2J"}, 201),
    ({"note": "\U0001f512" * 4_000}, 201),
]


async def test_review__whatever_its_body__is_refused_in_words_or_kept_as_it_is(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    path, wrong = f"/v1/audit/{place.mine[0]}/review", []
    with quiet_logs(caplog):
        for body, status in REVIEWS:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await place.client.post(
                path,
                content=content,
                headers=place.operator.headers | {"Content-Type": "application/json"},
            )
            try:
                assert answer.status_code == status, answer.text[:200]
                if status >= 400:
                    require_problem(answer)
                else:
                    assert answer.json()["note"] == body["note"].replace("\0", "\ufffd")
            except AssertionError as error:
                wrong.append((f"{body!r:.60}", str(error)[:300]))
    assert not wrong
    kept = await place.conn.fetchval("SELECT count(*) FROM audit_review")
    assert kept == sum(status == 201 for _, status in REVIEWS)
    await take_all(place.conn)
    shown = await place.client.get(
        "/v1/audit", params={"subject": "audit_review"}, headers=place.operator.headers
    )
    assert len(shown.json()["items"]) == kept


MARKED: list[tuple[str, str, Any, int]] = [
    ("PUT", MARK, {"note": "x" * 2_001}, 400),
    ("PUT", MARK, {"note": 1}, 400),
    ("PUT", MARK, {"mark": "hidden"}, 400),
    ("PUT", MARK, [], 400),
    ("PUT", MARK, "note", 400),
    ("PUT", MARK, b'{"note": "\\udfff"}', 400),
    ("PUT", MARK, b"[" * 100_000, 400),
    ("PUT", MARK, b" ", 400),
    ("PUT", MARK + "%00", {}, 400),
    ("PUT", MARK.upper().replace("V1/AGENTS", "v1/agents"), {}, 404),
    ("PUT", "/v1/agents/31337:7/marks/Hidden", {}, 400),
    ("PUT", "/v1/agents/31337:7/marks/deleted", {}, 400),
    ("PUT", f"/v1/agents/31337:{2**63}/marks/hidden", {}, 400),
    ("PUT", f"/v1/agents/{'9' * 290}:1/marks/hidden", {}, 400),
    ("PUT", f"/v1/agents/31337:{BIGINT}/marks/hidden", {}, 404),
    ("PUT", "/v1/agents/31337:7%00/marks/hidden", {}, 400),
    ("PUT", "/v1/agents/%ff/marks/hidden", {}, 400),
    ("PUT", OF_FEEDBACK.replace("/1/", "/0/"), {}, 400),
    ("PUT", OF_FEEDBACK.replace("/1/", f"/{2**63}/"), {}, 400),
    ("PUT", OF_FEEDBACK.replace("/1/", f"/{BIGINT}/"), {}, 404),
    ("PUT", OF_FEEDBACK.replace(OWN.address, "0x00"), {}, 400),
    ("DELETE", MARK, None, 404),
    ("DELETE", OF_FEEDBACK, None, 404),
    ("PUT", MARK, {"note": "\0\u202e" + "x" * 1_998}, 200),
    ("PUT", OF_FEEDBACK, b"", 200),
    ("DELETE", MARK, b"[" * 1_000, 204),
    ("DELETE", OF_FEEDBACK, {"note": "x"}, 204),
]


async def test_marks__whatever_is_sent__are_refused_in_words_or_set(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = []
    with quiet_logs(caplog):
        for method, path, body, status in MARKED:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await place.client.request(
                method,
                path,
                content=None if body is None else content,
                headers=place.operator.headers | {"Content-Type": "application/json"},
            )
            try:
                assert answer.status_code == status, answer.text[:200]
                if status >= 400:
                    require_problem(answer)
            except AssertionError as error:
                wrong.append((method, path[:80], f"{body!r:.60}", str(error)[:300]))
    assert not wrong
    assert await place.conn.fetchval("SELECT count(*) FROM installation_mark") == 0


ODD_READS = [
    *(f"/v1/audit/{one}" for one in ("-1", 2**63, "9" * 5_000, "%00", "1.5", "0x1", "1e3", "")),
    *(f"/v1/audit/{one}/proof" for one in ("-1", 2**63, "%00", "x")),
    *(f"/v1/audit/1/proof?size={one}" for one in (0, -1, 2**63, "x", "1&size=2")),
    *(f"/v1/audit/consistency?{one}" for one in ("", "old=-1", f"old={2**63}", f"old={BIGINT}")),
    *(f"/v1/audit/consistency?{one}" for one in ("old=1&new=0", "old=1&new=x", "old=1&old=2")),
    *(f"/v1/audit?limit={one}" for one in (0, 101, -1, 10**30, "1&limit=2", "x", "")),
    *(f"/v1/audit?account={one}" for one in ("%00", "9" * 90, "٣", "x' OR '1'='1")),
    *(f"/v1/audit?since={one}" for one in ("9999-12-31T23:59:59-14:00", "infinity", "now")),
    *(f"/v1/audit?until={one}" for one in ("0001-01-01T00:00:00%2B14:00", "-infinity", "%00")),
    *(f"/v1/audit?status={one}" for one in ("099", "4xx%0a", "4XX", "٤xx", "40", "4000")),
    *(f"/v1/audit?{one}" for one in ("review=open'", "request_id=1", "cursor=%00", "cursor=e30")),
    *(f"/v1/audit?{one}={'x' * 5_000}" for one in ("key", "action", "subject", "rule", "cursor")),
    *(f"/v1/audit/checkpoints?{one}" for one in ("limit=0", "cursor=x", "cursor=" + "A" * 5_000)),
    "/v1/audit/summary?hours=1000000",
    "/v1/audit/..%2f..%2fmetrics",
    "/v1/audit/checkpoint/",
]
FINE_READS = [
    *(f"/v1/audit?{one}=%00" for one in ("key", "action", "subject", "subject_key", "rule")),
    *(f"/v1/audit?{one}=%ff%fe" for one in ("key", "subject", "subject_key")),
    f"/v1/audit?subject={'%F0%9F%94%92' * 300}",
    "/v1/audit?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z",
    "/v1/audit?key=' OR 1=1 --&action=%25&subject=_%25",
    "/v1/audit?request_id=00000000-0000-0000-0000-000000000000",
]


async def test_reads__with_odd_parameters__are_refused_or_find_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.target.api.app.state.desk.writers = {}  # the chain of the tests has no health
    wrong = []
    with quiet_logs(caplog):
        for who in (place.operator.headers, place.prying):
            for path in ODD_READS:
                answer = await place.client.get(path, headers=who)
                try:
                    require_problem(answer)
                except AssertionError as error:
                    wrong.append((path[:80], str(error)[:300]))
            for path in FINE_READS:
                answer = await place.client.get(path, headers=who)
                if answer.status_code != 200:
                    wrong.append((path[:80], answer.text[:300]))
        for path in ("/healthz", "/readyz", "/health", "/metrics", "/status"):
            for method, query in (("GET", "?x=%00&name[]=1"), ("POST", ""), ("PATCH", "")):
                answer = await place.client.request(method, path + query, content=b"[" * 100)
                if answer.status_code not in (200, 405, 503):
                    wrong.append((path, answer.text[:300]))
    assert not wrong


# What is not theirs -------------------------------------------------------------------------------


async def test_entries_of_others__by_any_way__look_like_those_that_are_not_there(
    place: Place,
) -> None:
    assert place.mine
    nobodys = 10**15
    for path in ("", "/proof", "/proof?size=1", f"/proof?size={BIGINT}"):
        none = await place.client.get(f"/v1/audit/{nobodys}{path}", headers=place.prying)
        assert none.status_code == 404
        for entry in place.not_theirs:
            answer = await place.client.get(f"/v1/audit/{entry}{path}", headers=place.prying)
            assert answer.status_code == 404
            said, named = answer.json(), none.json()
            assert (said.pop("entry"), named.pop("entry")) == (entry, nobodys)
            assert said.pop("instance") == f"/v1/audit/{entry}{path.partition('?')[0]}"
            named.pop("instance")
            assert said == named
    for entry in (*place.not_theirs[:3], nobodys):
        answer = await place.client.post(
            f"/v1/audit/{entry}/review", json={"note": "mine"}, headers=place.prying
        )
        assert answer.json()["type"] == "/problems/not-operator"
    assert await place.conn.fetchval("SELECT count(*) FROM audit_review") == 0


async def test_lists_of_others__by_every_filter__are_what_nobody_would_have(place: Place) -> None:
    me = place.target.me
    told = {one.entry_id: one for one in await entries(place.conn)}
    of_me = next(one for one in told.values() if one.entry_id in place.mine and one.request_id)
    theirs = {
        "account": (str(me.account.uuid), str(uuid4())),
        "key": (me.key_id, "nobodys"),
        "request_id": (str(of_me.request_id), str(uuid4())),
        "subject_key": (str(me.account.account_id), "nobodys"),
    }
    for name, (of_me_, of_nobody) in theirs.items():
        said = []
        for value in (of_me_, of_nobody):
            answer = await place.client.get("/v1/audit", params={name: value}, headers=place.prying)
            said.append((answer.status_code, answer.json().get("items")))
        assert said[0] == said[1] == (200, []), name
    number = await place.client.get(
        "/v1/audit", params={"account": me.account.account_id}, headers=place.prying
    )
    require_problem(number)
    for query in ("", "?review=open", "?review=pending", "?review=not-needed", "?status=2xx"):
        answer = await place.client.get(f"/v1/audit{query}", headers=place.prying)
        for item in answer.json()["items"]:
            assert item["account"] == str(place.target.other.account.uuid)
    before = await place.client.get("/v1/audit/summary", headers=place.prying)
    assert {one["action"] for one in before.json()["items"]} <= {"read", "request", "refused"}


async def test_cursors__of_another_account_or_another_list__are_none(place: Place) -> None:
    page = await place.client.get("/v1/audit?limit=1", headers=place.target.me.headers)
    cursor = page.json()["next_cursor"]
    own = await place.client.get(
        "/v1/audit", params={"limit": 1, "cursor": cursor}, headers=place.target.me.headers
    )
    assert own.status_code == 200
    for path, params, who in (
        ("/v1/audit", {}, place.prying),
        ("/v1/audit", {}, place.operator.headers),
        ("/v1/audit", {"action": "read"}, place.target.me.headers),
        ("/v1/audit/checkpoints", {}, place.target.me.headers),
        ("/v1/keys", {}, place.target.me.headers),
    ):
        answer = await place.client.get(path, params={"cursor": cursor, **params}, headers=who)
        assert answer.status_code == 400, (path, params, answer.text)
        assert answer.json()["type"] == "/problems/bad-cursor"


async def test_audit__of_keys_without_the_scope__is_closed_whoever_holds_them(
    place: Place,
) -> None:
    for scopes in (["read"], ["read", "write", "link", "admin"]):
        for holder in (place.operator, place.target.me):
            key = await give_key(place.target.pool, holder.account.account_id, scopes)
            for method, path in (
                ("GET", "/v1/audit"),
                ("GET", "/v1/audit/summary"),
                ("GET", f"/v1/audit/{place.mine[0]}"),
                ("GET", f"/v1/audit/{place.mine[0]}/proof"),
                ("POST", f"/v1/audit/{place.mine[0]}/review"),
            ):
                answer = await place.client.request(
                    method, path, headers=bearer(key.text), json={"note": "x"}
                )
                assert answer.status_code == 403, (method, path)
                assert answer.json()["type"] == "/problems/scope-missing"


async def test_own_entries__of_an_account__tell_nothing_of_who_watches_it(place: Place) -> None:
    entry = place.mine[0]
    said = {"note": "suspicious: look again on Monday", "reviewer": "Olga of the night shift"}
    answer = await place.client.post(
        f"/v1/audit/{entry}/review", json=said, headers=place.operator.headers
    )
    assert answer.status_code == 201
    for who, sees in ((place.operator.headers, True), (place.target.me.headers, False)):
        whole = await place.client.get(f"/v1/audit/{entry}", headers=who)
        assert whole.status_code == 200
        assert (said["note"] in whole.text) is sees
        assert (said["reviewer"] in whole.text) is sees

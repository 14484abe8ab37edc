"""What the API tells the audit log: writes and refusals before the answer, reads soon after."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from renown.api.access.pseudonyms import Pseudonyms
from renown.api.audited import book as books
from renown.api.audited import refusals
from renown.api.audited.book import Book, Read
from renown.api.audited.middleware import Audited
from renown.errors import DatabaseUnavailable
from renown.obs import metrics
from renown.obs.acting import ACTING
from renown.spec.api_keys import RANDOM_BYTES, new_key
from renown.spec.proxies import NOBODY
from renown.spec.redaction import HIDDEN
from renown.store.audit_address import pseudonym
from renown.store.audit_entries import NewEntry
from renown.store.pool import Pool, connect
from tests.access import Api, acting_api, bearer, give_account
from tests.audited import Entry, entries, flushed, last_entry
from tests.hostile import OWN, Target, target_on

OTHER_ID = "6f1de1f0-58ab-4ee8-a0d6-0a4b2e8f4d10"


def a_read() -> Read:
    return Read(
        moment=time.monotonic(),
        request_id=uuid4(),
        account_id=1,
        key_id="k",
        address="198.51.100.7",
        user_agent=None,
        method="GET",
        route="/v1/chains",
        status=200,
        seconds=0.001,
    )


@pytest.fixture
async def target(fresh_database_url: str) -> AsyncIterator[Target]:
    async with target_on(fresh_database_url) as target:
        yield target


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with acting_api(database_url) as api:
        yield api


async def test_writes__of_every_kind__are_one_entry_each_before_the_answer(
    target: Target,
) -> None:
    for name, (method, path, body) in target.writes.items():
        if name == "batch":  # a read, though it is asked by POST
            continue
        before = await last_entry(target.pool)
        answer = await target.client.request(method, path, json=body, headers=target.me.headers)
        told = await entries(target.pool, "request", "refused", after=before)

        assert len(told) == 1, (name, told)
        [one] = told
        is_refusal = name in ("prove", "session")  # whose signatures are wrong
        assert one.action == ("refused" if is_refusal else "request"), name
        assert (one.status, one.method) == (answer.status_code, method), name
        assert one.request_id == UUID(answer.headers["x-request-id"]), name
        assert one.subject == one.route
        assert one.duration_ms > 0
        if name not in ("sign-in", "session"):
            assert (one.account_id, one.key_id) == (
                target.me.account.account_id,
                target.me.key_id,
            ), name
        if "from" in body:
            assert one.wallet == OWN.raw, name
        assert one.address is not None
        assert len(one.address) == 16
        assert one.user_agent is not None
        assert one.user_agent.startswith("python-httpx")
        assert set(one.detail["request"]) == set(body), name
        if answer.status_code < 400:
            assert one.detail["response"], name
        else:
            assert one.detail["response"] == {"type": answer.json()["type"]}, name
        for secret in ("signature", "message"):
            if secret in body:
                assert one.detail["request"][secret] == HIDDEN, name


async def test_rows__that_a_request_changes__carry_who_and_which_request(
    api: Api,
) -> None:
    holder = await give_account(api.pool)
    before = await last_entry(api.pool)
    answer = await api.client.post(
        "/v1/keys",
        json={"name": "ci", "scopes": ["read"]},
        headers=holder.headers | {"User-Agent": "curl/8 Bearer abcdef"},
    )
    revoked = await api.client.delete(f"/v1/keys/{answer.json()['id']}", headers=holder.headers)
    told = await entries(api.pool, after=before)

    assert [(one.action, one.subject) for one in told] == [
        *(("insert", "api_key"), ("request", "/v1/keys")),
        *(("update", "api_key"), ("request", "/v1/keys/{id}")),
    ]
    for row, request, given in ((told[0], told[1], answer), (told[2], told[3], revoked)):
        assert row.request_id == request.request_id == UUID(given.headers["x-request-id"])
        assert row.account_id == request.account_id == holder.account.account_id
        assert row.key_id == request.key_id == holder.key_id
        assert row.address == request.address
        assert row.user_agent == request.user_agent
    assert told[0].user_agent == f"curl/8 Bearer {HIDDEN}"
    assert "secret_hash" not in told[0].after
    assert told[2].before["revoked_at"] is None
    assert told[2].after["revoked_at"] is not None
    assert told[3].detail == {"path": {"id": answer.json()["id"]}}
    key = answer.json()["key"]
    assert key.split("_")[3] not in str(told)


async def test_change__by_psql__is_told_with_what_was_and_is(database_url: str) -> None:
    pool_conn = await connect(database_url)
    account_id = await pool_conn.fetchval(
        "INSERT INTO account (name) VALUES ('psql') RETURNING account_id"
    )
    before = (await entries(pool_conn))[-1].entry_id
    stranger = await connect(database_url, application_name="psql")
    await stranger.execute("UPDATE account SET tier = 'pro' WHERE account_id = $1", account_id)
    await stranger.execute("DELETE FROM account WHERE account_id = $1", account_id)
    await stranger.close()
    changed, gone = await entries(pool_conn, after=before)
    await pool_conn.close()

    assert (changed.action, changed.subject, changed.subject_key) == (
        *("update", "account"),
        str(account_id),
    )
    assert (changed.before["tier"], changed.after["tier"]) == ("free", "pro")
    assert (changed.program, changed.request_id, changed.account_id) == ("psql", None, None)
    assert changed.db_user
    assert (gone.action, gone.after) == ("delete", None)


async def test_refusals__of_every_kind__are_entries_before_the_answer(
    api: Api,
) -> None:
    holder = await give_account(api.pool, ["read"])
    unknown = new_key("live", bytes(RANDOM_BYTES)).text
    seen = []
    for headers in ({}, bearer("nonsense"), bearer(unknown), holder.headers):
        before = await last_entry(api.pool)
        answer = await api.client.get("/v1/keys", headers=headers)
        [one] = await entries(api.pool, "refused", after=before)
        assert (one.status, one.route) == (answer.status_code, "/v1/keys")
        seen.append((one.status, one.detail["reason"], one.account_id is not None))
    assert seen == [
        *((401, "missing", False), (401, "malformed", False), (401, "refused", False)),
        (403, "scope", True),
    ]
    assert unknown.split("_")[3] not in str(await entries(api.pool))


async def test_refusals__in_a_flood__are_counted_into_one_entry(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with acting_api(database_url) as api:
        # As if all came in one second, however slow this machine is.
        monkeypatch.setattr(api.app.state.desk.book._refusals, "_clock", lambda: 7.0)
        before = await last_entry(api.pool)
        for _ in range(40):
            assert (await api.client.get("/v1/account", headers=bearer("x"))).status_code == 401
        await flushed(api)
        told = await entries(api.pool, "refused", after=before)

    assert len(told) == refusals.MOST_OF_ADDRESS + 1
    assert "count" not in told[0].detail
    assert told[-1].detail["count"] == 40 - refusals.MOST_OF_ADDRESS
    assert told[-1].detail["reason"] == "malformed"
    assert told[-1].address == told[0].address


async def test_limited__sign_ins__are_refusals(database_url: str) -> None:
    few = {"anonymous": {"read": 9, "search": 9, "write": 9, "auth": 1}}
    async with acting_api(database_url, limits_json=json.dumps(few)) as api:
        before = await last_entry(api.pool)
        body = {"address": OWN.address}
        seen = [
            (await api.client.post("/v1/sessions/challenge", json=body)).status_code
            for _ in range(2)
        ]
        told = await entries(api.pool, "request", "refused", after=before)

    assert seen == [200, 429]
    assert [(one.action, one.status) for one in told] == [("request", 200), ("refused", 429)]
    assert told[1].detail["reason"] == "limited"


async def test_failures__of_strangers_in_a_flood__are_counted_and_keep_no_bodies(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with acting_api(database_url) as api:
        monkeypatch.setattr(api.app.state.desk.book._refusals, "_clock", lambda: 7.0)
        before = await last_entry(api.pool)
        for _ in range(20):
            body = {"address": "nobody", "junk": "x" * 3_000}
            answer = await api.client.post("/v1/sessions/challenge", json=body)
            assert answer.status_code == 400
        await flushed(api)
        told = await entries(api.pool, after=before)

    assert len(told) == refusals.MOST_OF_ADDRESS + 1
    assert {(one.action, one.status) for one in told} == {("request", 400)}
    assert [one.detail for one in told[:-1]] == [None] * refusals.MOST_OF_ADDRESS
    assert told[-1].detail["count"] == 20 - refusals.MOST_OF_ADDRESS


async def test_posts__of_strangers_to_no_route_or_by_no_method_of_it__are_not_kept(
    api: Api,
) -> None:
    before = await last_entry(api.pool)
    for path in ("/v1/nothing", "/v1/chains", "/healthz"):
        assert (await api.client.post(path, json={"junk": "x"})).status_code in (404, 405)
    await flushed(api)
    assert await entries(api.pool, after=before) == []


async def test_read__by_post__is_kept_like_a_read_and_needs_no_log_to_be_answered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await give_account(api.pool)
    before = await last_entry(api.pool)

    async def fails(_: Book, __: Sequence[NewEntry]) -> None:
        raise DatabaseUnavailable("takes no writes")

    asked = {"keys": ["devnet:1"]}
    with monkeypatch.context() as patch:
        patch.setattr(Book, "append", fails)
        with_key = await api.client.post("/v1/agents/batch", json=asked, headers=holder.headers)
        without = await api.client.post("/v1/agents/batch", json=asked)
    assert with_key.status_code == without.status_code == 200
    assert with_key.headers["x-request-id"]
    await flushed(api)
    [one] = await entries(api.pool, after=before)
    assert (one.action, one.subject, one.method) == ("read", "/v1/agents/batch", "POST")
    assert (one.account_id, one.detail) == (holder.account.account_id, None)


async def test_reads__with_a_key__are_written_together_without_bodies(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await give_account(api.pool)
    before = await last_entry(api.pool)
    batches: list[int] = []
    append = Book.append

    async def noted(self: Book, given: Sequence[NewEntry]) -> None:
        batches.append(len(given))
        await append(self, given)

    monkeypatch.setattr(Book, "append", noted)
    ids = set()
    for path in ("/v1/chains", "/v1/account", "/v1/chains/nowhere"):
        answer = await api.client.get(path, headers=holder.headers)
        ids.add(UUID(answer.headers["x-request-id"]))
    assert (await api.client.get("/v1/chains")).status_code == 200  # nobody's
    assert batches == []
    async with asyncio.timeout(30):
        told: list[Entry] = []
        while not told:
            told = await entries(api.pool, "read", after=before)
            await asyncio.sleep(0.05)

    assert batches == [3]
    assert {one.request_id for one in told} == ids
    assert {one.account_id for one in told} == {holder.account.account_id}
    assert all(one.detail is None and one.address is not None for one in told)
    assert [one.status for one in told][:2] == [200, 200]


async def test_reads__that_wait_when_the_api_stops__are_written(database_url: str) -> None:
    async with acting_api(database_url) as api:
        holder = await give_account(api.pool)
        before = await last_entry(api.pool)
        async with api.app.router.lifespan_context(api.app):
            await api.client.get("/v1/account", headers=holder.headers)
            assert await entries(api.pool, "read", after=before) == []
        assert len(await entries(api.pool, "read", after=before)) == 1


async def test_write__whose_entry_cannot_be_written__is_answered_with_503_and_told_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await give_account(api.pool)
    before = await last_entry(api.pool)

    async def fails(_: Book, __: Sequence[NewEntry]) -> None:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Book, "append", fails)
        done = await api.client.post(
            "/v1/keys", json={"name": "n", "scopes": ["read"]}, headers=holder.headers
        )
        failed = await api.client.post("/v1/keys", json=[], headers=holder.headers)
        refused = await api.client.post("/v1/keys", json={})

    assert (done.status_code, done.json()["type"]) == (503, "/problems/audit-unavailable")
    assert done.headers["retry-after"]
    assert "ak_" not in done.text
    assert (failed.status_code, refused.status_code) == (400, 401)
    await flushed(api)
    told = await entries(api.pool, "request", "refused", after=before)
    assert sorted((one.action, one.status) for one in told) == [
        *(("refused", 401), ("request", 201), ("request", 400)),
    ]
    # The change itself was told of in its own transaction.
    assert [one.subject for one in await entries(api.pool, "insert", after=before)] == ["api_key"]


async def test_reads__more_than_one_statement_takes__go_without_a_pause_between(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "MOST_IN_BATCH", 3)
    pauses: list[float] = []
    pause = Book._pause

    async def noted(self: Book, seconds: float) -> None:
        pauses.append(seconds)
        await pause(self, seconds)

    monkeypatch.setattr(Book, "_pause", noted)
    before = await last_entry(api.pool)
    book: Book = api.app.state.desk.book
    for _ in range(20):
        book.note(a_read())
    assert book._writing is not None
    await book._writing

    assert len(await entries(api.pool, "read", after=before)) == 20
    assert pauses == [books.BATCH_SECONDS]


async def test_reads__that_are_on_their_way_when_the_book_is_closed__are_written_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, answered = asyncio.Event(), asyncio.Event()
    append = Book.append

    async def late(self: Book, given: Sequence[NewEntry]) -> None:
        await append(self, given)
        arrived.set()
        await answered.wait()

    monkeypatch.setattr(Book, "append", late)
    before = await last_entry(api.pool)
    book: Book = api.app.state.desk.book
    book.note(a_read())
    async with asyncio.timeout(30):
        await arrived.wait()
        closing = asyncio.create_task(book.close())
        await asyncio.sleep(0)
        answered.set()
        await closing
    assert len(await entries(api.pool, "read", after=before)) == 1


async def test_batch__whose_answer_never_comes__is_given_up_and_not_written_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "CLOSE_SECONDS", 0.05)
    append = Book.append

    async def silent(self: Book, given: Sequence[NewEntry]) -> None:
        await append(self, given)
        await asyncio.Event().wait()

    before = await last_entry(api.pool)
    lost = metrics.AUDIT_UNWRITTEN._value.get()
    book: Book = api.app.state.desk.book
    book.note(a_read())
    with monkeypatch.context() as patch:
        patch.setattr(Book, "append", silent)
        await book.close()
    await book.close()
    assert metrics.AUDIT_UNWRITTEN._value.get() - lost == 1
    assert len(await entries(api.pool, "read", after=before)) <= 1


async def test_entries__beside_one_that_no_database_takes__are_written_once_when_it_goes_away(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Book.append

    async def fails(self: Book, given: Sequence[NewEntry]) -> None:
        if [one.status for one in given] == [204]:
            raise DatabaseUnavailable("gone")
        await append(self, given)

    before = await last_entry(api.pool)
    book: Book = api.app.state.desk.book
    for status in (200, 10**9, 204):
        book.keep(NewEntry(action="request", subject="/x", status=status))
    with monkeypatch.context() as patch:
        patch.setattr(Book, "append", fails)
        assert not await book._write_batch()
    await book.close()
    told = await entries(api.pool, "request", after=before)
    assert [one.status for one in told] == [200, 204]


async def test_entries__beyond_what_may_wait__are_counted_as_lost(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    book: Book = api.app.state.desk.book
    monkeypatch.setattr(books, "MOST_KEPT", 2)
    lost = metrics.AUDIT_UNWRITTEN._value.get()
    for _ in range(5):
        book.keep(NewEntry(action="request", subject="/x", at=datetime.now(UTC)))
    assert metrics.AUDIT_UNWRITTEN._value.get() - lost == 3

    async def fails(_: Book, __: Sequence[NewEntry]) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(Book, "append", fails)
    await book.close()
    assert metrics.AUDIT_UNWRITTEN._value.get() - lost == 5


async def test_entry__that_no_database_takes__holds_up_no_other(api: Api) -> None:
    book: Book = api.app.state.desk.book
    before = await last_entry(api.pool)
    for status in (200, 10**9, 204):  # more than the column holds
        book.keep(NewEntry(action="request", subject="/x", at=datetime.now(UTC), status=status))
    await book.close()
    told = await entries(api.pool, "request", after=before)
    assert [one.status for one in told] == [200, 204]


async def test_entries__of_requests_at_once__go_together_and_one_that_is_bad_fails_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    book: Book = api.app.state.desk.book
    before = await last_entry(api.pool)
    batches: list[int] = []
    append = Book.append

    async def noted(self: Book, given: Sequence[NewEntry]) -> None:
        batches.append(len(given))
        await append(self, given)

    monkeypatch.setattr(Book, "append", noted)
    given = [NewEntry(action="request", subject="/x", status=s) for s in (1, 2, 10**9, 3, 4)]
    done = await asyncio.gather(*map(book.write, given), return_exceptions=True)

    assert [one is None for one in done] == [True, True, False, True, True]
    assert batches[0] == 5
    told = await entries(api.pool, "request", after=before)
    assert sorted(one.status or 0 for one in told) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("trusted", "given", "is_kept"),
    [
        *((("127.0.0.1",), OTHER_ID, True), ((), OTHER_ID, False)),
        *((("127.0.0.1",), "x" * 36, False), (("127.0.0.1",), OTHER_ID + "0", False)),
        (("127.0.0.1",), "{" + OTHER_ID[1:-1] + "}", False),
    ],
)
async def test_request_id__is_a_trusted_proxys_or_a_new_one(
    database_url: str, trusted: tuple[str, ...], given: str, is_kept: bool
) -> None:
    async with acting_api(database_url, trusted_proxies=trusted) as api:
        seen = [
            (await api.client.get(path, headers={"X-Request-Id": given})).headers["x-request-id"]
            for path in ("/healthz", "/v1/chains", "/nowhere")
        ]
    assert all((one == given) is is_kept for one in seen)
    assert all(UUID(one) for one in seen)
    assert ACTING.get() is None


async def test_api__without_the_log__keeps_no_entries_and_rows_are_told_all_the_same(
    database_url: str,
) -> None:
    async with acting_api(database_url, audit=False) as api:
        holder = await give_account(api.pool)
        before = await last_entry(api.pool)
        made = await api.client.post(
            "/v1/keys", json={"name": "n", "scopes": ["read"]}, headers=holder.headers
        )
        await api.client.get("/v1/account", headers=holder.headers)
        await api.client.get("/v1/account")
        await flushed(api)
        told = await entries(api.pool, after=before)

    assert [(one.action, one.subject) for one in told] == [("insert", "api_key")]
    assert told[0].request_id == UUID(made.headers["x-request-id"])
    assert told[0].account_id == holder.account.account_id


async def test_answer__longer_than_is_held__is_not_held_for_ever() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(40):
            part = {"type": "http.response.body", "body": b"x" * 65_536, "more_body": True}
            await send(part)
        most = sum(len(one.get("body", b"")) for one in sent)
        assert most > 1_000_000
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    told: list[NewEntry] = []

    class Kept(Book):
        async def append(self, entries: Sequence[NewEntry]) -> None:
            assert sent == []
            told.extend(entries)

    pseudonyms = Pseudonyms(lambda: pytest.fail("no key is needed"))
    counted = refusals.Refusals()
    book = Kept(lambda: pytest.fail("no connection"), pseudonyms, counted)
    middleware = Audited(
        *(app, book, pseudonyms, counted),
        trusted=NOBODY,
        body_bytes=100,
        keeps_entries=True,
    )

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await middleware({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert len(told) == 1
    assert sum(len(one.get("body", b"")) for one in sent) == 40 * 65_536


async def test_app__that_breaks_before_it_answers__is_told_of(api: Api) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broke")

    desk = api.app.state.desk
    before = await last_entry(api.pool)
    middleware = Audited(
        *(broken, desk.book, desk.gate._pseudonyms, desk.book._refusals),
        trusted=NOBODY,
        body_bytes=100,
        keeps_entries=True,
    )
    with pytest.raises(RuntimeError):
        await middleware({"type": "http", "method": "POST", "headers": []}, _nothing, _nothing)
    await flushed(api)
    [one] = await entries(api.pool, after=before)
    assert (one.action, one.subject, one.status) == ("request", "unmatched", 500)


async def test_addresses__are_pseudonyms_under_the_days_key(pool: Pool) -> None:
    day = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    clock = [day]
    one, other = (Pseudonyms(pool.connection, now=lambda: clock[0]) for _ in range(2))
    first = await one.of("192.0.2.1")
    assert first is not None
    assert len(first) == 16
    assert await other.of("192.0.2.1") == first  # two processes, one key
    assert await one.of("192.0.2.2") != first
    clock[0] = day + timedelta(minutes=2)
    second = await one.of("192.0.2.1")
    assert second not in (None, first)
    async with pool.connection() as conn:
        rows = await conn.fetch("SELECT day, key FROM audit_address_key ORDER BY day")
    keys = {row["day"]: row["key"] for row in rows}
    assert pseudonym(keys[day.date()], "192.0.2.1") == first
    assert len({*keys.values()}) == len(keys)


async def test_addresses__that_come_while_the_days_key_is_read__are_not_left_out(
    pool: Pool,
) -> None:
    pseudonyms = Pseudonyms(pool.connection)
    told = await asyncio.gather(*(pseudonyms.of(f"192.0.2.{n}") for n in range(20)))
    assert None not in told
    assert len({*told}) == 20


async def test_addresses__while_the_database_is_away__are_left_out() -> None:
    tries: list[float] = []

    def away() -> Any:
        tries.append(time.monotonic())
        raise DatabaseUnavailable("gone")

    pseudonyms = Pseudonyms(away)
    assert [await pseudonyms.of("192.0.2.1") for _ in range(50)] == [None] * 50
    assert len(tries) < 50  # it is not asked for each


async def _nothing(*_: Any) -> Any:
    return {"type": "http.disconnect"}

"""E1: keys over HTTP: what they open, how they are refused, made, rotated and revoked."""

from __future__ import annotations

import asyncio
import logging
import re
import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from renown.api.access.authenticate import Authenticator
from renown.errors import Unauthorized
from renown.spec.api_keys import Peppers, new_key
from renown.store.accounts import close_account, set_tier
from renown.store.api_keys import find_holder, revoke_key
from renown.store.pool import Conn
from tests.access import ALL_SCOPES, PEPPER, Api, Holder, acting_api, bearer, give_account, give_key

_OF_ONE = re.compile("ratelimit|^x-request-id$")
"""Headers that differ from one answer to the next."""


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with acting_api(database_url) as api:
        yield api


@pytest.fixture
async def holder(api: Api) -> Holder:
    return await give_account(api.pool)


async def test_account__with_a_key__is_told_and_never_kept(api: Api, holder: Holder):
    answer = await api.client.get("/v1/account", headers=holder.headers)

    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == str(holder.account.uuid)
    assert answer.json()["limits"]["read"] == 100_000
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


def damaged(key: str) -> dict[str, str]:
    """Keys and headers that must all be refused alike."""
    other = "0" if key[-1] != "0" else "1"
    unknown = new_key("live", bytes(range(25))).text
    wrong = new_key("live", bytes(25)).text
    return {
        "truncated": f"Bearer {key[:-1]}",
        "checksum": f"Bearer {key[:-1]}{other}",
        "unknown id": f"Bearer {unknown}",
        "another unknown id": f"Bearer {wrong}",
        "empty": "Bearer ",
        "no scheme": key,
        "basic": f"Basic {key}",
        "upper case": f"Bearer {key.upper()}",
        "long": "Bearer " + key * 1000,
        "two": f"Bearer {key} {key}",
        "unicode": "Bearer ak_live_\xff",
        "newline": f"Bearer {key}\t",
    }


def _with_wrong_secret(key: str) -> str:
    from renown.spec.api_keys import _checksum

    head, env, key_id, _, _ = key.split("_")
    body = f"{head}_{env}_{key_id}_{'0' * 32}"
    return f"{body}_{_checksum(body)}"


async def test_refusals__whatever_is_wrong_with_a_key__are_the_same(api: Api, holder: Holder):
    async with api.pool.transaction() as tx:
        revoked = await give_key(api.pool, holder.account.account_id)
        await revoke_key(tx, revoked.row.key_id)
    expired = await give_key(api.pool, holder.account.account_id, lifetime=timedelta(seconds=-1))
    foreign = await give_key(api.pool, holder.account.account_id, pepper="a pepper of nobody here")
    closed = await give_account(api.pool)
    async with api.pool.transaction() as tx:
        await close_account(tx, closed.account.account_id)
    refused = damaged(holder.key) | {
        "revoked": f"Bearer {revoked.text}",
        "expired": f"Bearer {expired.text}",
        "other pepper": f"Bearer {foreign.text}",
        "closed account": f"Bearer {closed.key}",
        "wrong secret": f"Bearer {_with_wrong_secret(holder.key)}",
    }

    seen = {}
    for what, header in refused.items():
        headers = [(b"authorization", header.encode("latin-1"))]
        answer = await api.client.get("/v1/account", headers=headers)
        shown = dict(answer.headers) | {"body": answer.text}
        seen[what] = {name: shown[name] for name in shown if not _OF_ONE.search(name)}
        assert answer.status_code == 401, what
        assert "ak_" not in answer.text.replace("ak_…", ""), what
    without = await api.client.get("/v1/account")
    seen["none"] = {n: v for n, v in without.headers.items() if not _OF_ONE.search(n)}
    seen["none"]["body"] = without.text

    assert without.status_code == 401
    assert without.headers["www-authenticate"].startswith("Bearer")
    assert without.headers["cache-control"] == "no-store"
    alike = {tuple(sorted(one.items())) for one in seen.values()}
    assert len(alike) == 1, seen


async def test_public_read__with_a_bad_key__is_refused_and_without_one_answered(
    api: Api, holder: Holder
):
    assert (await api.client.get("/v1/chains")).status_code == 200
    assert (await api.client.get("/v1/chains", headers=holder.headers)).status_code == 200
    bad = await api.client.get("/v1/chains", headers=bearer(holder.key[:-1]))
    assert bad.status_code == 401


async def test_reads__that_are_closed__need_a_key_and_its_scope(database_url: str):
    async with acting_api(database_url, public_reads=False) as api:
        reader = await give_account(api.pool, ["read"])
        linker = await give_account(api.pool, ["link"])

        assert (await api.client.get("/v1/chains")).status_code == 401
        assert (await api.client.get("/agents")).status_code == 401
        assert (await api.client.get("/v1/chains", headers=reader.headers)).status_code == 200
        lacking = await api.client.get("/v1/chains", headers=linker.headers)
        assert (lacking.status_code, lacking.json()["type"]) == (403, "/problems/scope-missing")
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
            assert (await api.client.get(path)).status_code == 200, path


async def test_key__of_less_scope__cannot_do_more(api: Api):
    reader = await give_account(api.pool, ["read"])

    for method, path in (
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("POST", "/v1/keys/00000000/rotate"),
        ("DELETE", "/v1/keys/00000000"),
        ("POST", "/v1/account/wallets/challenge"),
        ("POST", "/v1/account/wallets"),
        ("DELETE", "/v1/account/wallets/0x" + "00" * 20),
    ):
        answer = await api.client.request(method, path, headers=reader.headers)
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["type"] == "/problems/scope-missing"


async def test_key__that_links_payments__cannot_give_the_account_a_wallet_that_signs_in(api: Api):
    linker = await give_account(api.pool, ["read", "write", "link", "audit"])

    for path in ("/v1/account/wallets/challenge", "/v1/account/wallets"):
        answer = await api.client.post(path, json={}, headers=linker.headers)
        assert answer.json()["type"] == "/problems/scope-missing"
        assert answer.json()["scope"] == "admin"


async def test_keys__made_over_http__work_and_are_shown_once(api: Api, holder: Holder):
    asked = {"name": "ci", "scopes": ["read", "write"], "expires_in_days": 7}
    made = await api.client.post("/v1/keys", json=asked, headers=holder.headers)
    listed = await api.client.get("/v1/keys", headers=holder.headers)

    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == listed.headers["cache-control"] == "no-store"
    assert (await api.client.get("/v1/account", headers=bearer(made.json()["key"]))).is_success
    assert [item["id"] for item in listed.json()["items"]] == [made.json()["id"], holder.key_id]
    assert "key" not in listed.json()["items"][0]
    assert made.json()["scopes"] == ["read", "write"]


async def test_key__that_lacks_a_scope__cannot_give_it_or_rotate_one_that_has_it(api: Api):
    holder = await give_account(api.pool, ["read", "admin"])
    full = await give_key(api.pool, holder.account.account_id, ALL_SCOPES)

    given = await api.client.post("/v1/keys", json={"scopes": ["write"]}, headers=holder.headers)
    path = f"/v1/keys/{full.row.key_id}/rotate"
    rotated = await api.client.post(path, headers=holder.headers)

    assert (given.status_code, rotated.status_code) == (403, 403)
    assert given.json()["scopes"] == ["write"]


async def test_key__of_another_account__is_not_there(api: Api, holder: Holder):
    other = await give_account(api.pool)

    for method, path in (
        ("POST", f"/v1/keys/{other.key_id}/rotate"),
        ("DELETE", f"/v1/keys/{other.key_id}"),
    ):
        answer = await api.client.request(method, path, headers=holder.headers)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/key-not-found")
    assert (await api.client.get("/v1/account", headers=other.headers)).is_success


async def test_rotation__with_overlap__leaves_both_working_and_once(api: Api, holder: Holder):
    path = f"/v1/keys/{holder.key_id}/rotate"

    made = await api.client.post(path, json={"overlap_seconds": 60}, headers=holder.headers)
    again = await api.client.post(path, headers=holder.headers)
    both = [
        await api.client.get("/v1/account", headers=headers)
        for headers in (holder.headers, bearer(made.json()["key"]))
    ]

    assert made.status_code == 201, made.text
    assert (again.status_code, again.json()["type"]) == (409, "/problems/conflict")
    assert [one.status_code for one in both] == [200, 200]
    async with api.pool.connection() as conn:
        old = await find_holder(conn, holder.key_id)
    assert old is not None
    assert old.seconds_left is not None


async def test_rotation__without_overlap__ends_the_old_key_at_once(api: Api, holder: Holder):
    path = f"/v1/keys/{holder.key_id}/rotate"
    made = await api.client.post(path, json={"overlap_seconds": 0}, headers=holder.headers)

    assert made.status_code == 201, made.text
    assert (await api.client.get("/v1/account", headers=holder.headers)).status_code == 401
    assert (await api.client.get("/v1/account", headers=bearer(made.json()["key"]))).is_success


async def test_revocation__of_a_key_in_use__holds_at_once_here_and_is_announced(
    api: Api, holder: Holder, conn: Conn
):
    heard: list[str] = []
    await conn.add_listener("renown_key", lambda *word: heard.append(str(word[-1])))
    assert (await api.client.get("/v1/account", headers=holder.headers)).is_success

    answer = await api.client.delete(f"/v1/keys/{holder.key_id}", headers=holder.headers)
    after = await api.client.get("/v1/account", headers=holder.headers)
    await conn.fetchval("SELECT 1")

    assert (answer.status_code, answer.content) == (204, b"")
    assert after.status_code == 401
    assert heard == [holder.key_id]


async def test_revocation__elsewhere__holds_here_when_the_word_comes_or_seconds_later(
    api: Api, holder: Holder
):
    now = 1000.0
    authenticator = Authenticator(
        api.pool.connection, Peppers.from_setting(PEPPER), clock=lambda: now
    )
    header = f"Bearer {holder.key}"
    await authenticator.principal(header, "")
    async with api.pool.transaction() as tx:
        await set_tier(tx, holder.account.account_id, "pro")
    assert (await authenticator.principal(header, "")).tier == "free"
    authenticator.on_key_changed(holder.key_id)
    assert (await authenticator.principal(header, "")).tier == "pro"
    async with api.pool.transaction() as tx:
        await revoke_key(tx, holder.key_id)
    assert (await authenticator.principal(header, "")).tier == "pro"

    now += 5.1  # the word got lost

    with pytest.raises(Unauthorized):
        await authenticator.principal(header, "")


async def test_revocation__between_look_up_and_keeping__is_not_overseen(api: Api, holder: Holder):
    authenticator: Authenticator

    class Interrupted:
        """A connection between whose answer and our next step the key is revoked."""

        async def __aenter__(self) -> Conn:
            self._inner = api.pool.connection()
            return await self._inner.__aenter__()

        async def __aexit__(self, *exc: Any) -> None:
            await self._inner.__aexit__(*exc)
            async with api.pool.transaction() as tx:
                await revoke_key(tx, holder.key_id)
            authenticator.on_key_changed(holder.key_id)

    authenticator = Authenticator(Interrupted, Peppers.from_setting(PEPPER))
    await authenticator.principal(f"Bearer {holder.key}", "")

    with pytest.raises(Unauthorized):
        await authenticator.principal(f"Bearer {holder.key}", "")


async def test_key__while_kept__is_not_looked_up_again_and_use_is_noted_in_batches(
    api: Api, holder: Holder
):
    opened = 0
    now = 1000.0

    def counted():
        nonlocal opened
        opened += 1
        return api.pool.connection()

    authenticator = Authenticator(counted, Peppers.from_setting(PEPPER), clock=lambda: now)
    for _ in range(500):
        await authenticator.principal(f"Bearer {holder.key}", "192.0.2.1")
    assert opened == 1

    now += 61
    await authenticator.principal(f"Bearer {holder.key}", "192.0.2.1")
    await authenticator.close()

    assert opened == 3  # looked up once more, and noted
    async with api.pool.connection() as conn:
        used = await conn.fetchval(
            "SELECT last_used_at FROM api_key WHERE key_id = $1", holder.key_id
        )
    assert used is not None


async def test_database_dump__with_its_pepper_unknown__holds_no_usable_key(
    api: Api, holder: Holder
):
    async with api.pool.connection() as conn:
        rows = await conn.fetch("SELECT * FROM api_key")
        whole = "\n".join(str(dict(row)) for row in rows).encode()
    secret = holder.key.split("_")[3]

    assert len(rows) >= 1
    assert secret.encode() not in whole
    assert secret.encode().hex().encode() not in whole
    stored = next(row for row in rows if row["key_id"] == holder.key_id)
    for guess in (secret.encode(), holder.key.encode(), b""):
        import hashlib
        import hmac

        assert hashlib.sha256(guess).digest() != stored["secret_hash"]
        assert hmac.digest(b"", guess, "sha256") != stored["secret_hash"]


async def test_logs_and_problems__of_refused_and_failing_requests__hold_no_key(
    api: Api, holder: Holder, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    secret = holder.key.split("_")[3]
    with structlog.testing.capture_logs() as logged:
        texts = [
            (await api.client.get("/v1/account", headers=bearer(_with_wrong_secret(holder.key)))),
            (await api.client.post("/v1/keys", content=b"{", headers=holder.headers)),
        ]
        pool, api.app.state.desk.pool = api.app.state.desk.pool, None
        texts.append(await api.client.get("/v1/account", headers=holder.headers))
        api.app.state.desk.pool = pool
    printed = capsys.readouterr()

    said = repr(logged) + caplog.text + printed.out + printed.err
    assert secret not in said
    assert texts[-1].status_code == 503
    assert not [t for t in texts if secret in t.text]
    assert holder.key not in repr(api.app.state.desk.gate.authenticator)


async def test_refusal__of_unknown_id_and_wrong_secret__take_the_same_time(
    api: Api, holder: Holder
):
    authenticator = Authenticator(api.pool.connection, Peppers.from_setting(PEPPER))
    unknown = f"Bearer {new_key('live', bytes(range(25))).text}"
    wrong = f"Bearer {_with_wrong_secret(holder.key)}"
    await authenticator.principal(f"Bearer {holder.key}", "")  # so that it is kept
    took: dict[str, list[float]] = {unknown: [], wrong: []}

    for number in range(400):
        for header in (unknown, wrong) if number % 2 else (wrong, unknown):
            began = time.perf_counter()
            with pytest.raises(Unauthorized):
                await authenticator.principal(header, "")
            took[header].append(time.perf_counter() - began)

    medians = sorted(statistics.median(times) for times in took.values())
    assert medians[1] < 1.5 * medians[0], medians  # one without a look-up would be tenfold


async def test_keys__beyond_what_an_account_may_have__are_refused(
    api: Api, holder: Holder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("renown.store.api_keys.MOST_KEYS", 2)
    answers = await asyncio.gather(
        *(api.client.post("/v1/keys", json={}, headers=holder.headers) for _ in range(4))
    )

    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"{", 400, "bad-body"),
        (b'{"scopes": ["root"]}', 400, "bad-body"),
        (b'{"scopes": []}', 400, "bad-body"),
        (b'{"name": "\\u0000"}', 400, "bad-body"),
        (b'{"name": "\\ud800"}', 400, "bad-body"),
        (b'{"expires_in_days": 0}', 400, "bad-body"),
        (b'{"expires_in_days": 1e99}', 400, "bad-body"),
        (b'{"expires_in_days": 3651}', 400, "bad-body"),
        (b'{"admin": true}', 400, "bad-body"),
        (b"[" * 100_000, 400, "bad-body"),
        (b'{"a":' * 100_000, 400, "bad-body"),
        (b'{"name": "' + b"x" * 600_000 + b'"}', 413, "body-too-large"),
    ],
)
async def test_bodies__that_are_no_request_for_a_key__are_problems(
    api: Api, holder: Holder, body: bytes, status: int, slug: str
):
    answer = await api.client.post("/v1/keys", content=body, headers=holder.headers)

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")


async def test_pages_of_keys__have_cursors_that_are_nothing_to_another_account(
    api: Api, holder: Holder
):
    for _ in range(2):
        await give_key(api.pool, holder.account.account_id)
    other = await give_account(api.pool)

    first = await api.client.get("/v1/keys?limit=2", headers=holder.headers)
    path = f"/v1/keys?limit=2&cursor={first.json()['next_cursor']}"
    second = await api.client.get(path, headers=holder.headers)
    theirs = await api.client.get(path, headers=other.headers)

    assert (len(first.json()["items"]), len(second.json()["items"])) == (2, 1)
    assert second.json()["next_cursor"] is None
    assert (theirs.status_code, theirs.json()["type"]) == (400, "/problems/bad-cursor")

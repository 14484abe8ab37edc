"""What the gate counts, and for whom; what proxies say; what it costs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from renown.api.access import authenticate
from renown.spec.api_keys import RANDOM_BYTES, new_key
from renown.store.accounts import set_tier
from renown.store.api_keys import KeyHolder, find_holder, revoke_key
from renown.store.pool import Conn
from tests.access import Api, acting_api, bearer, give_account, give_key

FEW = {
    tier: {"read": 3, "search": 2, "write": 2, "auth": 3}
    for tier in ("anonymous", "free", "enterprise")
}
FEW["pro"] = {"read": 6, "search": 6, "write": 6, "auth": 6}


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with acting_api(database_url, limits_json=json.dumps(FEW)) as api:
        yield api


async def statuses(api: Api, count: int, path: str, **given: object) -> list[int]:
    return [(await api.client.get(path, **given)).status_code for _ in range(count)]  # type: ignore[arg-type]


async def test_reads__beyond_the_limit__are_refused_with_when_to_return(api: Api):
    assert await statuses(api, 5, "/v1/chains") == [200, 200, 200, 429, 429]

    refused = await api.client.get("/v1/chains")
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 120  # two windows
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "ratelimit-policy" in refused.headers
    assert await statuses(api, 3, "/healthz") == [200, 200, 200]


async def test_limits__of_a_tier__are_those_of_the_keys_account_at_once(api: Api):
    holder = await give_account(api.pool)
    headers = holder.headers
    assert (await statuses(api, 4, "/v1/account", headers=headers))[-1] == 429
    async with api.pool.transaction() as tx:
        await set_tier(tx, holder.account.account_id, "pro")
    api.app.state.desk.gate.authenticator.on_key_changed(holder.key_id)

    assert await statuses(api, 1, "/v1/account", headers=headers) == [200]


async def test_classes__are_counted_apart(api: Api):
    headers = (await give_account(api.pool)).headers
    assert await statuses(api, 4, "/v1/chains", headers=headers) == [200, 200, 200, 429]
    assert await statuses(api, 3, "/v1/agents", headers=headers) == [200, 200, 429]


async def test_keys__that_are_wrong__are_counted_for_their_address(api: Api):
    headers = bearer("ak_live_nothing")

    good, other = await give_account(api.pool), await give_account(api.pool)
    assert await statuses(api, 1, "/v1/account", headers=good.headers) == [200]
    assert await statuses(api, 5, "/v1/account", headers=headers) == [401, 401, 401, 429, 429]

    # Keys in use go on, also where they have to be looked up again; others wait.
    assert await statuses(api, 1, "/v1/account", headers=good.headers) == [200]
    api.app.state.desk.gate.authenticator.on_key_changed(good.key_id)
    assert await statuses(api, 1, "/v1/account", headers=good.headers) == [200]
    assert await statuses(api, 1, "/v1/account", headers=other.headers) == [429]


async def test_keys__that_are_too_many_and_wrong__are_not_looked_up(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    looked_up: list[str] = []

    async def noted(conn: Conn, key_id: str) -> KeyHolder | None:
        looked_up.append(key_id)
        return await find_holder(conn, key_id)

    monkeypatch.setattr(authenticate, "find_holder", noted)
    seen = []
    for number in range(50):  # anybody can make keys that are well formed
        headers = bearer(new_key("live", bytes([number]) * RANDOM_BYTES).text)
        seen.append((await api.client.get("/v1/chains", headers=headers)).status_code)

    assert seen == 3 * [401] + 47 * [429]
    assert len(looked_up) == 3


async def test_key__that_was_revoked__gets_no_look_up_beyond_the_limit(api: Api):
    holder = await give_account(api.pool)
    assert await statuses(api, 1, "/v1/chains", headers=holder.headers) == [200]
    async with api.pool.transaction() as tx:
        await revoke_key(tx, holder.key_id)
    api.app.state.desk.gate.authenticator.on_key_changed(holder.key_id)

    seen = await statuses(api, 5, "/v1/chains", headers=holder.headers)
    assert seen == [401, 401, 401, 429, 429]


async def test_key__without_the_scope__is_counted_too(api: Api):
    headers = (await give_account(api.pool, ["link"])).headers

    assert await statuses(api, 4, "/v1/account", headers=headers) == [403, 403, 403, 429]


@pytest.mark.parametrize("member", ["address", "from"])
async def test_wallet__that_bodies_name__is_counted_behind_whatever_address(
    database_url: str, member: str
):
    # A sign-in counts ten times an address's rate for the wallet that it names.
    few = {"anonymous": {"read": 1, "search": 1, "write": 1, "auth": 1}}
    given: Any = {"limits_json": json.dumps(few), "trusted_proxies": ("127.0.0.1",)}
    async with acting_api(database_url, **given) as api:
        body = {member: "0x" + "ab" * 20}
        seen = []
        for number in range(12):
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            answer = await api.client.post("/v1/sessions/challenge", json=body, headers=headers)
            seen.append(answer.status_code)

    assert seen[10:] == [429, 429]
    assert 429 not in seen[:10]


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b'{"address": 1}', b'{"address": "0x"}', b'{"a":' * 3000, b"\xff", b'{"from": {}}'],
)
async def test_body__that_names_no_wallet__is_a_problem_of_the_route_not_of_the_gate(
    database_url: str, body: bytes
):
    async with acting_api(database_url) as api:
        answer = await api.client.post("/v1/sessions/challenge", content=body)

    assert answer.status_code == 400, answer.text


class Slow:
    """A body that never ends, and says whether it was begun."""

    taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 1
            yield b" " * 1024
            await asyncio.sleep(0.001)


async def test_body__of_whoever_is_over_a_limit__is_not_waited_for(api: Api):
    path = "/v1/sessions/challenge"
    seen = [(await api.client.post(path, json={})).status_code for _ in range(3)]
    body = Slow()
    async with asyncio.timeout(5):
        refused = await api.client.post(path, content=body)

    assert seen == [400, 400, 400]
    assert refused.status_code == 429
    assert body.taken == 0


async def test_body__of_a_sign_in__has_sixteen_kibibytes(api: Api):
    body = Slow()
    refused = await api.client.post("/v1/sessions", content=body)

    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large")
    assert body.taken == 17


async def test_write__that_names_a_wallet__is_told_all_its_limits(api: Api):
    headers = (await give_account(api.pool)).headers
    body = {"from": "0x" + "ab" * 20}
    answer = await api.client.post("/v1/agents/31337:0/feedback", json=body, headers=headers)

    policies = re.findall(r'"(\w+)";q', answer.headers["ratelimit-policy"])
    assert policies == ["key", "account", "address", "wallet"]
    assert re.findall(r'"(\w+)";r', answer.headers["ratelimit"]) == policies


async def test_body__that_is_too_large__is_counted(api: Api):
    headers = (await give_account(api.pool)).headers
    seen = []
    for _ in range(3):
        answer = await api.client.post("/v1/keys", content=b"x" * 600_000, headers=headers)
        seen.append(answer.status_code)

    assert seen == [413, 413, 429]


async def test_forwarded_addresses__from_whom_nobody_trusts__change_nothing(api: Api):
    seen = []
    for number in range(5):
        headers = {"X-Forwarded-For": f"192.0.2.{number}", "X-Real-IP": f"192.0.2.{number}"}
        seen.append((await api.client.get("/v1/chains", headers=headers)).status_code)

    assert seen == [200, 200, 200, 429, 429]


async def test_address__with_a_key__is_noted_with_each_request(database_url: str):
    """One kept key asked from two addresses: each is who it is."""
    async with acting_api(database_url, trusted_proxies=("127.0.0.1",)) as api:
        holder = await give_account(api.pool)
        gate = api.app.state.desk.gate
        seen = [
            (await gate.authenticator.principal(f"Bearer {holder.key}", address)).address
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
        ]

    assert seen == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]


async def test_preflight__from_any_page__allows_the_key_and_the_methods(api: Api):
    answer = await api.client.options(
        "/v1/keys", headers={"Origin": "https://x.example", "Access-Control-Request-Method": "POST"}
    )

    assert answer.status_code == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    for method in ("POST", "PATCH", "DELETE"):
        assert method in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


async def test_account_answers__of_every_status__are_never_kept_on_the_way(api: Api):
    holder = await give_account(api.pool)
    other = await give_key(api.pool, holder.account.account_id, ["link"])
    answers: list[httpx.Response] = [
        await api.client.get("/v1/account", headers=holder.headers),
        await api.client.get("/v1/account"),
        await api.client.get("/v1/account", headers=bearer(other.text)),
        await api.client.get("/v1/keys", headers=holder.headers),
        await api.client.delete("/v1/keys/00000000", headers=holder.headers),
        await api.client.delete(f"/v1/keys/{other.row.key_id}", headers=holder.headers),
    ]

    assert [one.status_code for one in answers] == [200, 401, 403, 200, 404, 204]
    assert {one.headers["cache-control"] for one in answers} == {"no-store"}

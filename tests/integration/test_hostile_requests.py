"""Numbers at their edges, headers, paths, cursors and connections that mean harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from renown.api import bodies
from renown.cli.listening import bind, serving
from tests.hostile import AGENT, OWN, Target, quiet_logs, require_problem, target_on

BIGINT = 2**63 - 1
PLACES = {
    "key": "31337:7",
    "client": OWN.address,
    "index": "1",
    "chain": "devnet",
    "code": "x",
    "export": "x",
    "file": "x",
    "sha256": "0x" + "11" * 32,
    "claim": str(UUID(int=1)),
    "operation_id": str(UUID(int=1)),
    "number": "1",
}
FEEDBACK = "/v1/agents/31337:8/feedback"
PAYMENT = {"tx_hash": "0x" + "ab" * 32}


@pytest.fixture
async def target(fresh_database_url: str) -> AsyncIterator[Target]:
    async with target_on(fresh_database_url) as target:
        yield target


async def send(
    target: Target, write: str, headers: dict[str, str] | None = None, **changed: Any
) -> httpx.Response:
    method, path, body = target.writes[write]
    given = target.me.headers | (headers or {})
    return await target.client.request(method, path, json=body | changed, headers=given)


# Numbers: the last that is taken, and the first that is not -------------------------------------

EDGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("feedback", {"value": 10**38, "decimals": 0}, {"value": 10**38 + 1, "decimals": 0}),
    ("feedback", {"value": -(10**38), "decimals": 18}, {"value": -(10**38) - 1, "decimals": 18}),
    ("feedback", {"value": 1, "decimals": 18}, {"value": 1, "decimals": 19}),
    ("feedback", {"value": 1, "decimals": 0}, {"value": 1, "decimals": -1}),
    (
        "feedback",
        {"value": "1." + "0" * 17 + "1", "decimals": None},
        {"value": "1." + "0" * 18 + "1", "decimals": None},
    ),
    ("verdict", {"response": 0}, {"response": -1}),
    ("verdict", {"response": 100}, {"response": 101}),
    ("key", {"expires_in_days": 1}, {"expires_in_days": 0}),
    ("key", {"expires_in_days": 3650}, {"expires_in_days": 3651}),
    ("key", {"name": "n" * 100}, {"name": "n" * 101}),
    ("challenge", {"chain_id": 1}, {"chain_id": 0}),
    ("challenge", {"chain_id": BIGINT}, {"chain_id": BIGINT + 1}),
    ("sign-in", {"chain_id": BIGINT}, {"chain_id": BIGINT + 1}),
    ("signed", {}, {"deadline": 2**63}),
    ("signed", {}, {"deadline": -1}),
    ("rated", {}, {"proof_of_payment": {"tx_hash": "0x" + "ab" * 32, "chain_id": 2**63}}),
    ("register", {"chain": 31337}, {"chain": BIGINT + 1}),
    ("register", {"chain": "31337"}, {"chain": "9" * 5000}),
    ("register", {"chain": 31337}, {"chain": -31337}),
    ("register", {"metadata": {str(n): "v" for n in range(32)}},
     {"metadata": {str(n): "v" for n in range(33)}}),
    ("relayed", {}, {"transactions": ["0x02c0"] * 41}),
    ("relayed", {}, {"transactions": ["0x" + "00" * (128 * 1024 + 1)]}),
    ("settled", {}, {"log_index": -1}),
    ("settled", {}, {"log_index": 2**63}),
    ("settled", {}, {"chain": f"eip155:{2**63}"}),
    ("settled", {}, {"chain": "eip155:0"}),
    ("batch", {"keys": ["31337:7"] * 1000}, {"keys": ["31337:7"] * 1001}),
]  # fmt: skip


async def test_numbers__at_their_edge__are_taken_and_one_beyond_refused(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: list[Any] = []
    with quiet_logs(caplog):
        for write, last, beyond in EDGES:
            if last:
                answer = await send(target, write, **last)
                if answer.status_code >= 300:
                    wrong.append((write, last, answer.text[:200]))
            before = await target.stored()
            answer = await send(target, write, **beyond)
            try:
                require_problem(answer)
                after = await target.stored()
                assert after == before
            except AssertionError as error:
                wrong.append((write, f"{beyond!r:.100}", str(error)))
    assert not wrong


PATHS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/operations?limit=0", None),
    ("GET", "/v1/operations?limit=101", None),
    ("GET", "/v1/operations?limit=-1", None),
    ("GET", "/v1/operations?limit=99999999999999999999999", None),
    ("GET", "/v1/operations?limit=1e2", None),
    ("GET", "/v1/operations?limit=1&limit=2", None),
    ("GET", "/v1/operations?state=final%00", None),
    ("GET", "/v1/operations?cursor=AAAA", None),
    ("GET", "/v1/operations?account_id=1", None),
    ("GET", "/v1/keys?limit=101", None),
    ("GET", "/v1/keys?cursor=%00", None),
    ("GET", f"{AGENT}/payments?limit=101", None),
    ("GET", f"{AGENT}/payments?state=paid", None),
    ("GET", "/v1/operations/1", None),
    ("GET", "/v1/operations/%00", None),
    ("GET", "/v1/operations/..%2f..%2fetc%2fpasswd", None),
    ("GET", "/v1/operations/' OR 1=1--", None),
    ("GET", "/v1/payments/not-an-id", None),
    ("GET", "/v1/files/0x" + "11" * 31, None),
    ("GET", "/v1/files/0x" + "11" * 33, None),
    ("GET", "/v1/files/0x" + "gg" * 32, None),
    ("GET", "/v1/files/..%2f..%2fetc%2fpasswd", None),
    ("POST", "/v1/operations/00000000-0000-0000-0000-00000000000g/resume", None),
    ("POST", f"/v1/validations/0x{'11' * 31}/response", {"response": 1}),
    ("POST", f"/v1/validations/0x{'11' * 32}%00/response", {"response": 1}),
    ("POST", f"/v1/agents/31337:{2**63}/feedback", {"value": 1}),
    ("POST", f"/v1/agents/{2**63}:1/feedback", {"value": 1}),
    ("POST", f"/v1/agents/31337:{'9' * 290}/feedback", {"value": 1}),
    ("POST", f"/v1/agents/{'9' * 5000}:1/feedback", {"value": 1}),
    ("POST", "/v1/agents/31337:%F0%9D%9F%95/feedback", {"value": 1}),
    ("POST", "/v1/agents/31337:-7/feedback", {"value": 1}),
    ("POST", "/v1/agents/31337:7%00/feedback", {"value": 1}),
    ("POST", "/v1/agents/%ff%fe/feedback", {"value": 1}),
    ("POST", "/v1/agents/1:1/feedback", {"value": 1}),
    ("DELETE", f"{FEEDBACK}/{OWN.address}/0", {}),
    ("DELETE", f"{FEEDBACK}/{OWN.address}/-1", {}),
    ("DELETE", f"{FEEDBACK}/{OWN.address}/{2**63}", {}),
    ("DELETE", f"{FEEDBACK}/{OWN.address}/{'9' * 5000}", {}),
    ("DELETE", f"{FEEDBACK}/{OWN.address}0/1", {}),
    ("DELETE", f"{FEEDBACK}/0x{'g' * 40}/1", {}),
    ("DELETE", f"/v1/account/wallets/{OWN.address}?chain_id=-1", None),
    ("DELETE", f"/v1/account/wallets/{OWN.address}?chain_id={2**63}", None),
    ("DELETE", "/v1/account/wallets/%00", None),
    ("DELETE", f"/v1/account/wallets/0x{'11' * 20}", None),
    ("DELETE", "/v1/keys/%00", None),
    ("DELETE", "/v1/keys/" + "0" * 5000, None),
    ("POST", "/v1/keys/%F0%9F%94%91/rotate", {}),
    ("PUT", "/v1/agents/31337:7", {}),
    ("TRACE", "/v1/account", None),
    ("POST", "/v1/agents/31337:7/", {}),
    ("POST", "//v1/agents", {}),
]


async def test_paths_and_parameters__that_name_nothing__are_refused_and_leave_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    before, wrong = await target.stored(), []
    with quiet_logs(caplog):
        for method, path, body in PATHS:
            sent = None if body is None else {"from": OWN.address} | body
            answer = await target.client.request(method, path, json=sent, headers=target.me.headers)
            try:
                require_problem(answer)
            except AssertionError as error:
                wrong.append((method, path[:80], str(error)))
    assert not wrong
    assert await target.stored() == before


async def test_parameters__of_every_route_with_texts_no_database_takes__break_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    found = [
        (path, one["name"], one["in"])
        for path, methods in target.api.app.openapi()["paths"].items()
        for one in methods.get("get", {}).get("parameters", [])
        if one["in"] in ("path", "query")
    ]
    wrong = []
    with quiet_logs(caplog):
        for path, name, place in found:
            for text in ("%00", "%ED%A0%80", "%F0%9F%94%91%00", "9" * 5000, "%2e%2e%2f" * 50):
                url = path
                for known, usual in PLACES.items():
                    wanted = place == "path" and known == name
                    url = url.replace(f"{{{known}}}", text if wanted else usual)
                url += "" if place == "path" else f"?{name}={text}"
                answer = await target.client.get(url, headers=target.me.headers)
                if answer.status_code >= 500:
                    wrong.append((path, name, text[:20], answer.text))
    assert len(found) > 60
    assert not wrong


# Headers ----------------------------------------------------------------------------------------


async def test_idempotency_keys__at_their_edge__are_taken_and_beyond_it_refused(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    with quiet_logs(caplog):
        for good in ("k", "k" * 255, "!~"):
            answer = await send(target, "register", {"Idempotency-Key": good})
            assert answer.status_code == 201, answer.text
        before = await target.stored()
        for bad in ("", " ", "k" * 256, "a b", "a\tb"):
            require_problem(await send(target, "register", {"Idempotency-Key": bad}), "255")
        method, path, body = target.writes["register"]
        for raw in (b"\xc3\xa4", b"\xff", b"k\x7f"):
            headers = [*map(_encoded, target.me.headers.items()), (b"Idempotency-Key", raw)]
            answer = await target.client.request(method, path, json=body, headers=headers)
            require_problem(answer, "255")
        twice = [*map(_encoded, target.me.headers.items()), *[(b"Idempotency-Key", b"k")] * 2]
        require_problem(await target.client.request(method, path, json=body, headers=twice), "once")
    assert await target.stored() == before


async def test_keys__presented_in_any_wrong_way__are_no_keys(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    key = target.me.key
    method, path, body = target.writes["register"]
    before = await target.stored()
    presented = [
        *("", " ", "Bearer", "Bearer ", f"Bearer  {key}x", key, f"Basic {key}", f"Token {key}"),
        *(f"Bearer {key[:-1]}", f"Bearer {key.upper()}", f"Bearer {key}{key}", f"Bearer {key},"),
        *("Bearer " + "k" * 60_000, f"Bearer {key} {key}", f"Bearer {key}\xa0", "Bearer \xff\xfe"),
        f"Bearer {key[:12]}zzzzzzzz{key[20:]}",
    ]
    with quiet_logs(caplog):
        texts = set()
        for text in presented:
            answer = await target.client.request(
                method, path, json=body, headers=[(b"Authorization", text.encode("latin-1"))]
            )
            assert answer.status_code == 401, (text[:40], answer.text)
            assert answer.headers["www-authenticate"] == 'Bearer realm="renown"'
            texts.add(answer.text)
        assert len(texts) == 1
        other = target.other.key
        for first, second in ((key, other), (other, key), (key, "nonsense"), ("nonsense", key)):
            headers = [("Authorization", f"Bearer {one}") for one in (first, second)]
            answer = await target.client.request(method, path, json=body, headers=headers)
            assert answer.status_code == 401, (first[:8], second[:8], answer.text)
    assert await target.stored() == before


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "é",
        ",",
    ],
)
async def test_bodies__of_another_type__are_refused(target: Target, media_type: str) -> None:
    headers = [*map(_encoded, target.me.headers.items()), (b"Content-Type", media_type.encode())]
    method, path, body = target.writes["register"]
    answer = await target.client.request(
        method, path, content=json.dumps(body).encode(), headers=headers
    )
    assert require_problem(answer)["type"] == "/problems/unsupported-media-type"


# What belongs to another account ----------------------------------------------------------------


async def test_cursor__of_another_account__is_none(target: Target) -> None:
    for path, make in (("/v1/operations", "register"), ("/v1/keys", "key")):
        for _ in range(2):
            assert (await send(target, make)).status_code == 201
        page = await target.client.get(f"{path}?limit=1", headers=target.me.headers)
        cursor = page.json()["next_cursor"]
        own = {"limit": "1", "cursor": cursor}
        mine = await target.client.get(path, params=own, headers=target.me.headers)
        theirs = await target.client.get(path, params=own, headers=target.other.headers)
        assert mine.status_code == 200
        assert require_problem(theirs)["type"] == "/problems/bad-cursor"
        cut = {"limit": "1", "cursor": cursor[:-2] + "AA"}
        require_problem(await target.client.get(path, params=cut, headers=target.me.headers))


async def test_operation__of_another_account__is_not_there_for_anything(target: Target) -> None:
    operation = (await send(target, "register")).json()["id"]
    before = await target.stored()
    unknown = "00000000-0000-4000-8000-000000000000"
    for method, rest, body in (
        ("GET", "", None),
        ("POST", "/transactions", {"transactions": ["0x02c0"]}),
        ("POST", "/signature", {"signature": "0x11"}),
        ("POST", "/resume", None),
    ):
        said = []
        for one in (operation, unknown):
            answer = await target.client.request(
                method, f"/v1/operations/{one}{rest}", json=body, headers=target.other.headers
            )
            said.append((answer.status_code, answer.text.replace(one, "")))
        assert said[0] == said[1]
    key = (await send(target, "key")).json()["id"]
    before["api_key"] += 1
    for method, rest in (("DELETE", ""), ("POST", "/rotate")):
        answer = await target.client.request(
            method, f"/v1/keys/{key}{rest}", headers=target.other.headers
        )
        assert answer.status_code == 404
    assert await target.stored() == before


# Connections ------------------------------------------------------------------------------------


@asynccontextmanager
async def served(target: Target) -> AsyncIterator[tuple[str, int]]:
    bound = bind("127.0.0.1", 0)
    async with serving(target.api.app, bound):
        yield bound.getsockname()


async def exchange(place: tuple[str, int], *parts: bytes, end: bool = False) -> bytes:
    """What comes back for bytes on a connection of their own; `end`: which we close after them."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)
        if end:
            return b""
        async with asyncio.timeout(10):
            return await reader.read(65_536)
    finally:
        writer.close()


def head(target: Target, *headers: str) -> bytes:
    lines = ["POST /v1/agents HTTP/1.1", "Host: api", "Content-Type: application/json", *headers]
    given = [f"{name}: {value}" for name, value in target.me.headers.items()]
    return "\r\n".join([*lines, *given, "", ""]).encode()


async def test_connections__that_lie_about_their_bodies__are_answered_and_leave_nothing(
    target: Target, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    body = json.dumps(target.writes["register"][2]).encode()
    size = len(body)
    chunked = head(target, "Transfer-Encoding: chunked")
    before = await target.stored()
    with quiet_logs(caplog):
        async with served(target) as place:
            said: dict[str, bytes] = {}
            said["huge"] = await exchange(place, head(target, "Content-Length: 99999999999999"))
            said["slow"] = await exchange(place, head(target, f"Content-Length: {size}"), body[:9])
            said["open"] = await exchange(place, chunked, b'5\r\n{"a":\r\n')
            said["long"] = await exchange(
                place, chunked, *[b"20000\r\n" + b" " * 0x20000 + b"\r\n"] * 5
            )
            said["size"] = await exchange(place, chunked, b"zz\r\n{}\r\n0\r\n\r\n")
            said["both"] = await exchange(
                place, head(target, "Transfer-Encoding: chunked", "Content-Length: 3"), b"abc"
            )
            said["minus"] = await exchange(place, head(target, "Content-Length: -5"), body)
            said["two lengths"] = await exchange(
                place, head(target, "Content-Length: 2", f"Content-Length: {size}"), body
            )
            for parts in (
                (head(target, f"Content-Length: {size}"), body[:9]),
                (chunked, b"5\r\n{"),
            ):
                await exchange(place, *parts, end=True)
            await asyncio.sleep(0.1)
    status = {name: answer[9:12].decode() for name, answer in said.items()}
    assert status["huge"] == status["long"] == "413", status
    assert status["slow"] == status["open"] == "408", status
    assert all(
        one in ("400", "408")
        for one in (status[name] for name in ("size", "both", "minus", "two lengths"))
    ), status
    assert await target.stored() == before


async def test_body__that_trickles__holds_no_connection_of_the_database(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 1.0)
    async with served(target) as place:
        slow = [
            asyncio.create_task(exchange(place, head(target, "Content-Length: 50"), b"{"))
            for _ in range(30)
        ]
        await asyncio.sleep(0.3)
        async with asyncio.timeout(0.6):
            answer = await target.client.get("/v1/account", headers=target.me.headers)
        assert answer.status_code == 200
        assert {one[9:12] for one in await asyncio.gather(*slow)} == {b"408"}


def _encoded(pair: tuple[str, str]) -> tuple[bytes, bytes]:
    return pair[0].encode(), pair[1].encode()

"""The client of the API, against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from renown.errors import (
    BadSettings,
    CallWouldFail,
    IdempotencyInProgress,
    NotFound,
    RenownError,
    TooManyRequests,
    Unauthorized,
    WalletNotProved,
)
from renown.sdk import Client, read_operation, wait
from renown.sdk.client import MAX_ANSWER_BYTES, idempotency_key
from renown.sdk.problems import ApiUnavailable, error_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY = "ak_dev_12345678_secret"


class Server:
    """Answers with what it is given, one after the other, the last for ever; keeps requests."""

    def __init__(self, *answers: web.Response | Handler) -> None:
        self.answers = list(answers)
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        given = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(given, web.Response):
            return web.Response(body=given.body, status=given.status, headers=given.headers)
        return await given(request)


@asynccontextmanager
async def serving(*answers: web.Response | Handler) -> AsyncIterator[Server]:
    server = Server(*answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = runner.addresses[0] and f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


class Naps:
    """Sleeps in no time, and how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def problem(status: int, slug: str, detail: str = "why", **members: Any) -> web.Response:
    said = {"type": f"/problems/{slug}", "title": "t", "status": status, "detail": detail}
    return web.Response(
        body=json.dumps(said | members).encode(),
        status=status,
        content_type="application/problem+json",
    )


def ok(**body: Any) -> web.Response:
    return web.json_response(body)


async def test_get__key_and_parameters__are_sent_and_the_body_comes_back():
    async with serving(ok(a=1)) as server, Client(server.url + "/", key=KEY) as api:
        assert await api.get("/v1/x", chain="base", limit=None, at=5) == {"a": 1}

    [request] = server.requests
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.path_qs == "/v1/x?chain=base&at=5"


async def test_post__body_and_idempotency_key__are_sent():
    async with serving(ok()) as server, Client(server.url) as api:
        await api.post("/v1/x", {"b": "\u00e9"}, key="once")

    assert server.requests[0].headers["Idempotency-Key"] == "once"
    assert server.requests[0].content_type == "application/json"
    assert "Authorization" not in server.requests[0].headers
    assert json.loads(server.bodies[0]) == {"b": "\u00e9"}


async def test_delete__no_content__is_an_empty_object():
    async with serving(web.Response(status=204)) as server, Client(server.url) as api:
        assert await api.send("DELETE", "/v1/x") == {}


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_asked_for_patience__waits_as_long_as_asked_and_repeats_with_the_same_key(status):
    busy = problem(status, "too-many-requests")
    busy.headers["Retry-After"] = "3"
    naps = Naps()
    async with (
        serving(busy, busy, ok(done=True)) as server,
        Client(server.url, sleep=naps) as api,
    ):
        assert await api.post("/v1/x", {}, key="k") == {"done": True}

    assert naps.seconds == [3.0, 3.0]
    assert {request.headers["Idempotency-Key"] for request in server.requests} == {"k"}


async def test_retry_after__a_date__is_understood():
    busy = problem(503, "store-error")
    busy.headers["Retry-After"] = "Mon, 23 Nov 2026 02:00:10 GMT"
    naps = Naps()
    clock = 1_795_399_205.0  # five seconds before it
    async with (
        serving(busy, ok()) as server,
        Client(server.url, sleep=naps, clock=lambda: clock) as api,
    ):
        await api.get("/v1/x")

    assert naps.seconds == [5.0]


async def test_retry_after__an_hour__is_not_waited_for():
    busy = problem(429, "too-many-requests")
    busy.headers["Retry-After"] = "3600"
    async with serving(busy) as server, Client(server.url, sleep=Naps()) as api:
        with pytest.raises(TooManyRequests):
            await api.get("/v1/x")
    assert len(server.requests) == 1


async def test_another_request_with_the_key_is_at_it__is_waited_for():
    naps = Naps()
    taken = problem(409, "idempotency-in-progress")
    async with serving(taken, ok(a=2)) as server, Client(server.url, sleep=naps) as api:
        assert await api.post("/v1/x", {}, key="k") == {"a": 2}
    assert len(naps.seconds) == 1


async def test_for_ever_busy__ends_with_the_last_error():
    naps = Naps()
    taken = problem(409, "idempotency-in-progress")
    async with serving(taken) as server, Client(server.url, sleep=naps, attempts=3) as api:
        with pytest.raises(IdempotencyInProgress):
            await api.post("/v1/x", {}, key="k")
    assert len(server.requests) == 3


async def test_write_without_a_key__is_never_sent_twice():
    async with (
        serving(problem(503, "store-error")) as server,
        Client(server.url, sleep=Naps()) as api,
    ):
        with pytest.raises(RenownError):
            await api.post("/v1/x", {})
        with pytest.raises(RenownError):
            await api.send("DELETE", "/v1/x")
    assert len(server.requests) == 2


async def test_connection_lost__reads_and_keyed_writes_are_repeated():
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    for method, key in (("GET", None), ("POST", "k")):
        async with serving(hang_up, ok(a=1)) as server, Client(server.url, sleep=Naps()) as api:
            assert await api.send(method, "/v1/x", key=key) == {"a": 1}
        assert len(server.requests) == 2


async def test_nobody_there__says_so_without_the_key():
    async with serving() as server:
        url = server.url
    async with Client(url, key=KEY, sleep=Naps(), attempts=2) as api:
        with pytest.raises(ApiUnavailable) as failed:
            await api.get("/v1/x")
    assert KEY not in f"{failed.value!r} {failed.value.__cause__!r} {failed.value.__context__!r}"
    assert KEY not in repr(api)


async def test_slow__ends_in_time():
    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"{")
        await asyncio.sleep(0.6)
        return answer

    async with (
        serving(slow) as server,
        Client(server.url, deadline_seconds=0.1, attempts=1) as api,
    ):
        with pytest.raises(ApiUnavailable, match="in time"):
            await api.get("/v1/x")


async def test_redirect__is_not_followed_and_the_key_stays_here():
    away = web.Response(status=307, headers={"Location": "/elsewhere"})
    async with serving(away) as server, Client(server.url, key=KEY) as api:
        with pytest.raises(BadSettings, match="leads elsewhere"):
            await api.get("/v1/x")
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"", b'{"a":', b"[" * 100_000])
async def test_success_that_is_no_object__is_an_error_of_the_api(body):
    async with serving(web.Response(body=body)) as server, Client(server.url, attempts=1) as api:
        if body == b"":
            assert await api.get("/v1/x") == {}
            return
        with pytest.raises(ApiUnavailable):
            await api.get("/v1/x")


async def test_answer_without_end__is_cut_off():
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(MAX_ANSWER_BYTES // 2**20 + 2):
            await answer.write(bytes(2**20))
        return answer

    async with serving(endless) as server, Client(server.url, attempts=1) as api:
        with pytest.raises(ApiUnavailable, match="more than"):
            await api.get("/v1/x")


@pytest.mark.parametrize(
    "url", ["localhost:8004", "ftp://x", "http://", "http://a:b", "http://a?x=1", ""]
)
def test_client__url_that_is_none__is_refused(url):
    with pytest.raises(BadSettings):
        Client(url)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (422, b'{"type":"/problems/call-would-fail","detail":"no"}', CallWouldFail),
        (403, b'{"type":"https://x.example/problems/wallet-not-proved"}', WalletNotProved),
        (401, b"", Unauthorized),
        (404, b'{"type":"/problems/nobody-knows-it","detail":"x"}', NotFound),
        (500, b"<html>", ApiUnavailable),
        (418, b"{}", ApiUnavailable),
        (403, b'{"type":7,"detail":{"a":1}}', RenownError),
    ],
)
def test_error_of__any_answer__is_the_error_it_names(status, body, kind):
    assert isinstance(error_of(status, body), kind)


def test_error_of__members_and_hostile_text__are_kept_and_made_harmless():
    body = json.dumps(
        {
            "type": "/problems/call-would-fail",
            "detail": "\x1b[2Jno\u202e",
            "reason": "Self-feedback not allowed",
            "not an identifier": 1,
            **{f"m{i}": i for i in range(100)},
        }
    )
    error = error_of(422, body.encode())

    assert error.context["reason"] == "Self-feedback not allowed"
    assert "not an identifier" not in error.context
    assert len(error.context) <= 32
    assert "\x1b" not in error.detail
    assert "\u202e" not in error.detail


def test_idempotency_key__is_new_each_time():
    assert len({idempotency_key() for _ in range(100)}) == 100


OPERATION = {
    "id": "0197-x",
    "kind": "feedback",
    "mode": "client",
    "state": "submitted",
    "chain_id": 31337,
    "sender": "0x00",
    "next": "wait",
    "unknown_member": [1],
    "transactions": [
        {"step": 1, "state": "submitted", "function": "f()", "contract": "0x00", "more": 1}
    ],
}


def test_read_operation__another_shape__is_an_error_of_the_api():
    assert read_operation(OPERATION).transactions[0].step == 1
    for wrong in ({}, OPERATION | {"chain_id": "x"}, OPERATION | {"transactions": {}}):
        with pytest.raises(ApiUnavailable):
            read_operation(wrong)


async def test_wait__until_it_is_where_one_wants_it():
    seen: list[str] = []
    told = [
        ok(**OPERATION | {"state": state}) for state in ("submitted", "partly_applied", "included")
    ]
    async with serving(*told) as server, Client(server.url) as api:
        found = await wait(
            api, "x", "included", changed=lambda one: seen.append(one.state), sleep=Naps()
        )
    assert found.state == "included"
    assert seen == ["submitted", "partly_applied", "included"]


@pytest.mark.parametrize(
    "over",
    [
        {"state": "failed", "next": "resume"},
        {"state": "partly_applied", "next": "sign"},
        {"state": "prepared", "next": "sign"},
        {"state": "final", "next": None},
    ],
)
async def test_wait__for_nothing_that_comes_by_itself__ends(over):
    async with serving(ok(**OPERATION | over)) as server, Client(server.url) as api:
        found = await wait(api, "x", "final", sleep=Naps())
    assert found.state == over["state"]

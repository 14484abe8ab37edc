"""One endpoint, over real sockets: whatever it answers becomes a value or a NodeError."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from renown.chain.rpc import CallReverted, Node, Refusal
from renown.chain.transport import Answer, HttpTransport, host_of, operator_of
from renown.errors import (
    BadSettings,
    NodeError,
    NodeInconsistent,
    NodeTimeout,
    RangeTooWide,
)
from tests.fakes.faults import Fault
from tests.fakes.node import FakeNode, MemoryTransport
from tests.fakes.world import busy_chain

Handler = Callable[[bytes], Answer | Awaitable[Answer]]


class Scripted:
    """A transport that answers from a list, and keeps what it was sent."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[Any] = []

    async def post(self, body: bytes, *, max_bytes: int) -> Answer:
        self.sent.append(msgspec.json.decode(body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...


def node_of(*answers: Answer | Exception, **more: Any) -> tuple[Node, Scripted]:
    transport = Scripted(*answers)
    return Node("http://n.test/", transport=transport, **more), transport


def ok(value: str, request_id: int = 1) -> Answer:
    return Answer(200, f'{{"jsonrpc":"2.0","id":{request_id},"result":{value}}}'.encode())


def number_of(block: Any) -> int:
    return int(block["number"], 16)


@asynccontextmanager
async def served(handler: Any):
    app = web.Application()
    app.router.add_post("/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/key/0123456789abcdef?t=hushhush"
    finally:
        await runner.cleanup()


async def test_call__good_answer__is_typed():
    node, sent = node_of(ok('"0x1"'))

    assert await node.call("eth_chainId", [], str) == "0x1"
    assert sent.sent == [{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}]


@pytest.mark.parametrize(
    ("answer", "error", "transient"),
    [
        (Answer(502, b"<html>bad gateway</html>"), Refusal, True),
        (Answer(200, b"<html>welcome</html>"), Refusal, True),
        (Answer(200, b'{"jsonrpc":"2.0","id":1,"resu'), Refusal, True),
        (Answer(200, b""), Refusal, True),
        (Answer(200, b"\xff\xfe"), Refusal, True),
        (Answer(500, b'{"oops":true}'), Refusal, True),
        (Answer(200, b'{"jsonrpc":"2.0","id":1}'), NodeInconsistent, None),
        (ok('"0x1"', request_id=9), NodeInconsistent, None),
        (ok("17"), NodeInconsistent, None),
        (ok("null"), NodeInconsistent, None),
        (Answer(200, b"[" * 100_000), NodeError, None),
        (Answer(200, b'{"id":1,"result":"0x1","x":' + b"[" * 100_000), NodeError, None),
        (Answer(200, b'{"id":' + b"9" * 400 + b',"result":"0x1"}'), NodeError, None),
        (Answer(200, b'{"id":1,"error":"denied"}'), NodeInconsistent, None),
        (Answer(200, b'{"id":1,"error":{"code":-32000,"message":"no"}}'), Refusal, False),
        (Answer(401, b'{"id":null,"error":{"code":-32001,"message":"no key"}}'), Refusal, False),
    ],
)
async def test_call__bad_answer__is_a_node_error(answer, error, transient):
    node, _ = node_of(answer)

    with pytest.raises(error) as caught:
        await node.call("eth_chainId", [], str)

    if transient is not None:
        assert caught.value.transient is transient
    assert "n.test" in caught.value.detail


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3), (None, None), ("soon", None), ("99999999", 300), ("-1", None), ("1" * 500, 300)],
)
async def test_call__too_many_requests__tells_how_long_to_wait(header, seconds):
    node, _ = node_of(Answer(429, b"slow down", header))

    with pytest.raises(Refusal) as caught:
        await node.call("eth_chainId", [], str)

    assert caught.value.http_status == 429
    assert caught.value.retry_after_seconds == seconds


async def test_call__retry_after_as_a_date__is_read():
    node, _ = node_of(Answer(429, b"", "Wed, 21 Oct 2015 07:28:00 GMT"))

    with pytest.raises(Refusal) as caught:
        await node.call("eth_chainId", [], str)

    assert caught.value.retry_after_seconds == 0


async def test_batch__answers_in_any_order__come_back_in_ours():
    node, sent = node_of(Answer(200, b'[{"id":2,"result":"b"},{"id":1,"result":"a"}]'))

    assert await node.batch("m", [[1], [2]], str) == ["a", "b"]
    assert [call["id"] for call in sent.sent[0]] == [1, 2]


async def test_batch__partly_failed__marks_the_failed_calls_only():
    node, _ = node_of(
        Answer(
            200,
            b'[{"id":1,"result":"a"},{"id":2,"error":{"code":-32603,"message":"oops"}},'
            b'{"id":null,"error":{"code":-32603,"message":"lost"}}]',
        )
    )

    first, second, third = await node.batch("m", [[1], [2], [3]], str)

    assert first == "a"
    assert isinstance(second, Refusal)
    assert second.code == -32603
    assert isinstance(third, Refusal)
    assert third.transient


@pytest.mark.parametrize(
    "body",
    [
        b'[{"id":1,"result":"a"},{"id":1,"result":"a"}]',
        b'[{"id":1,"result":"a"},{"id":7,"result":"b"}]',
        b'[{"id":1,"result":"a"},{"id":null,"result":"b"}]',
        b'{"id":1,"result":"a"}',
    ],
)
async def test_batch__ids_that_do_not_match__are_not_believed(body):
    node, _ = node_of(Answer(200, body))

    with pytest.raises(NodeInconsistent):
        await node.batch("m", [[1], [2]], str)


async def test_batch__refused_as_such__falls_back_to_single_calls():
    fake = FakeNode(busy_chain(5))
    fake.max_batch = 0
    node = Node(fake.url, transport=MemoryTransport(fake))

    found = await node.batch("eth_getBlockByNumber", [(hex(n), False) for n in range(5)], Any)

    assert [number_of(block) for block in found] == list(range(5))
    assert node.batch_calls == 1
    assert fake.count("eth_getBlockByNumber") == 5


async def test_batch__too_wide_for_the_node__narrows_and_remembers():
    fake = FakeNode(busy_chain(90))
    fake.max_batch = 10
    node = Node(fake.url, transport=MemoryTransport(fake))

    found = await node.batch("eth_getBlockByNumber", [(hex(n), False) for n in range(90)], Any)

    assert [number_of(block) for block in found] == list(range(90))
    assert 2 <= node.batch_calls <= 10


async def test_batch__answer_past_the_size_cap__narrows():
    fake = FakeNode(busy_chain(64, transactions=100))
    node = Node(fake.url, transport=MemoryTransport(fake), max_answer_bytes=100_000)

    found = await node.batch("eth_getBlockByNumber", [(hex(n), False) for n in range(64)], Any)

    assert len(found) == 64
    assert node.batch_calls < 20


async def test_batch__hanging_node__is_a_time_out():
    fake = FakeNode(busy_chain(1))
    fake.fail(Fault.TIMEOUT)
    node = Node(fake.url, transport=MemoryTransport(fake), deadline_seconds=0.02)

    with pytest.raises(NodeTimeout):
        await node.batch("eth_chainId", [[], []], str)


@pytest.mark.parametrize(
    ("error", "data"),
    [
        ('{"code":3,"message":"execution reverted","data":"0x7e2732890a"}', "7e2732890a"),
        ('{"code":3,"message":"execution reverted","data":"0x"}', ""),
        ('{"code":-32015,"message":"VM execution error.","data":"Reverted 0x7e27"}', "7e27"),
        ('{"code":-32000,"message":"execution reverted: no"}', ""),
        ('{"code":-32603,"message":"reverted","data":{"data":"0x01"}}', "01"),
        ('{"code":3,"message":"execution reverted","data":"0xzz"}', ""),
    ],
)
async def test_call__reverts__carry_their_data(error, data):
    node, _ = node_of(Answer(200, f'{{"id":1,"error":{error}}}'.encode()))

    with pytest.raises(CallReverted) as caught:
        await node.call("eth_call", [], str)

    assert caught.value.revert_data.hex() == data


async def test_http__answer_past_the_cap__is_cut_off_while_streaming():
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(1_000):
                await response.write(b" " * 65_536)
                sent += 65_536
        except (ConnectionError, asyncio.CancelledError):
            pass
        return response

    async with served(endless) as url:
        transport = HttpTransport(url)
        with pytest.raises(RangeTooWide):
            await transport.post(b"{}", max_bytes=1_000_000)
        await transport.close()

    assert sent < 60_000_000


async def test_http__compressed_bomb__counts_unpacked():
    import gzip

    bomb = gzip.compress(b" " * 20_000_000)

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with served(handler) as url:
        transport = HttpTransport(url)
        with pytest.raises(RangeTooWide):
            await transport.post(b"{}", max_bytes=1_000_000)
        await transport.close()


async def test_http__redirect__is_not_followed():
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})

    async with served(handler) as url:
        node = Node(url)
        with pytest.raises(Refusal) as caught:
            await node.call("eth_chainId", [], str)
        await node.close()

    assert caught.value.http_status == 307


async def test_http__nobody_listens__names_the_host_only():
    node = Node("http://127.0.0.1:1/v3/topsecretkey")

    with pytest.raises(Refusal) as caught:
        await node.call("eth_chainId", [], str)
    await node.close()

    assert caught.value.transient
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "topsecretkey" not in repr(caught.value.__dict__)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://user:pass@Example.org/v3/key?x=y", "example.org"),
        ("http://127.0.0.1:8545", "127.0.0.1:8545"),
        ("http://[::1]:8545/", "[::1]:8545"),
    ],
)
def test_host_of__any_url__is_host_and_port(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    ["", "ws://x/secretsecret", "file:///etc/passwd", "http:///secretsecret", "http://x:badport/s"],
)
def test_host_of__no_node_url__is_refused_without_repeating_it(url):
    with pytest.raises(BadSettings) as caught:
        host_of(url)

    assert "secret" not in caught.value.detail


def test_operator_of__one_host__is_one_operator_but_local_ports_differ():
    assert operator_of("https://a.org:1/x") == operator_of("https://a.org:2/y")
    assert operator_of("http://127.0.0.1:1") != operator_of("http://127.0.0.1:2")

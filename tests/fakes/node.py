"""A node that serves a `FakeChain` over JSON-RPC as a real one does, or fails on demand.

Two ways to reach it, with the same behaviour:

    source = ChainSource(deployment, node.urls, connect=connect(node), ...)   # in memory, fast
    async with node.serve() as url: ...                                        # HTTP on loopback

    node.fail(Fault.CUT)                            # the next request
    node.fail(Fault.DROPPED, "eth_getLogs", times=None)   # every eth_getLogs from now on
    node.lag = 20                                   # shows the chain as it was 20 blocks ago
    node.lags = (0, 20)                             # one of these, by seeded dice, each request
    node.limit = PROVIDERS[3]                       # refuses wide ranges in that provider's words
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from aiohttp import web

from renown.chain.rpc import Refusal
from renown.chain.transport import Answer, host_of
from renown.errors import RangeTooWide
from tests.fakes.chain import FakeBlock, FakeChain
from tests.fakes.faults import LIES, Chaos, Fault, Planned, RangeLimit

NONEXISTENT_TOKEN = "0x7e273289"
BEYOND_HEAD = (-32602, "block range extends beyond current head block")
UNKNOWN_BLOCK = (-32000, "unknown block")
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class RpcError(Exception):
    """An error answer: (code, message), or with data."""

    def __init__(self, code: int, message: str, data: Any = None, status: int = 200) -> None:
        super().__init__(message)
        self.code, self.message, self.data, self.status = code, message, data, status


class FakeNode:
    """One endpoint of one operator.

    Attributes, all changeable at any time:
        lag, lags           blocks this node is behind the chain
        chain_id            what it reports; None: the chain's own
        tags                False: `finalized` and `safe` are refused
        finalized_back      how far its `finalized` is behind the true one
        max_batch           widest batch it takes; 0 refuses batches
        by_hash             False: refuses `eth_getLogs` by block hash
        past_head           "error", "clamp" or "empty": ranges past its head
        limit               how it refuses wide ranges
        delay_seconds       before every answer
        pruned_below        state older than this block is gone
        revert              (code, message, wrap) of reverted calls
        chaos               seeded faults
    """

    def __init__(self, chain: FakeChain, name: str = "node", *, seed: int = 0) -> None:
        self.chain = chain
        self.url = f"http://{name}.test/rpc"
        self.lag = 0
        self.lags: tuple[int, ...] = ()
        self.chain_id: int | None = None
        self.tags = True
        self.finalized_back = 0
        self.max_batch = 1_000
        self.by_hash = True
        self.past_head = "error"
        self.limit: RangeLimit | None = None
        self.delay_seconds = 0.0
        self.pruned_below = 0
        self.chaos: Chaos | None = None
        self.asked: list[tuple[str, Any]] = []
        self.max_asked = 100_000
        self._planned: list[Planned] = []
        self._dice = random.Random(seed)
        self._handlers: dict[str, Callable[[list[Any], int], Any]] = {
            "eth_chainId": lambda _params, _head: hex(self.chain_id or self.chain.chain_id),
            "eth_blockNumber": lambda _params, head: hex(head),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getLogs": self._logs,
            "eth_getCode": self._code,
            "eth_call": self._call,
        }

    def fail(self, fault: Fault, method: str | None = None, *, times: int | None = 1) -> None:
        """Plan a fault for the next `times` requests of `method`; None: for ever, for all."""
        self._planned.append(Planned(fault, method, times))

    def heal(self) -> None:
        """Forget every planned fault."""
        self._planned.clear()
        self.chaos = None

    def count(self, method: str) -> int:
        """How many calls of `method` were asked, batched ones singly."""
        return sum(1 for asked, _ in self.asked if asked == method)

    @contextlib.asynccontextmanager
    async def serve(self, path: str = "/rpc") -> AsyncIterator[str]:
        """Listen on a free loopback port; yields the URL."""
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/{tail:.*}", self._http)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}{path}"
        finally:
            await runner.cleanup()

    # Answering -----------------------------------------------------------------------------

    async def handle(self, body: bytes) -> Answer:
        """The answer to one HTTP request. Raises ConnectionResetError, or never returns."""
        request = msgspec.json.decode(body)
        calls = request if isinstance(request, list) else [request]
        fault = self._next_fault(calls[0]["method"])
        await asyncio.sleep(self.delay_seconds)
        match fault:
            case Fault.TIMEOUT:
                await asyncio.sleep(3_600)
            case Fault.RESET:
                raise ConnectionResetError
            case Fault.RATE_LIMITED:
                return Answer(429, b"Too Many Requests")
            case Fault.RATE_LIMITED_WITH_TIME:
                return Answer(429, b'{"error":"slow down"}', "0")
            case Fault.HTML:
                return Answer(502, _HTML)
            case Fault.UNAVAILABLE:
                return Answer(503, b"")
        if isinstance(request, list) and len(request) > self.max_batch:
            refusal = {"code": -32600, "message": f"batch of more than {self.max_batch} calls"}
            return Answer(
                200, msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": refusal})
            )
        head = max(0, self.chain.head.number - self._current_lag())
        status = 200
        replies: list[dict[str, Any]] = []
        for place, call in enumerate(calls):
            reply, failed = self._reply(call, head, fault, place, len(calls))
            status = max(status, failed)
            if reply is not None:
                replies.append(reply)
        if isinstance(request, list) and len(replies) > 1:
            self._dice.shuffle(replies)  # JSON-RPC 2.0, 6: in any order
        payload = msgspec.json.encode(replies if isinstance(request, list) else replies[0])
        if fault is Fault.CUT:
            payload = payload[: max(1, len(payload) * 2 // 3)]
        return Answer(status if len(calls) == 1 else 200, payload)

    def _reply(
        self, call: dict[str, Any], head: int, fault: Fault | None, place: int, calls: int
    ) -> tuple[dict[str, Any] | None, int]:
        method, params = call["method"], call["params"]
        if len(self.asked) < self.max_asked:
            self.asked.append((method, params))
        request_id = call["id"] + (1_000_000 if fault is Fault.WRONG_ID else 0)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
        if fault is Fault.MISSING_IN_BATCH and calls > 1 and place == calls // 2:
            return None, 200
        try:
            if fault is Fault.NULL:
                return {**reply, "result": None}, 200
            if fault is Fault.INTERNAL or (
                fault is Fault.PARTIAL_BATCH and calls > 1 and place % 2 == 1
            ):
                raise RpcError(-32603, "internal error")
            if fault is Fault.PRUNED:
                raise RpcError(-32000, "missing trie node 00ff (path ) state 0x01 is not available")
            if method not in self._handlers:
                raise RpcError(-32601, f"the method {method} does not exist/is not available")
            result = self._handlers[method](params, head)
            if method == "eth_getLogs":
                result = self._bent(result, fault)
        except RpcError as exc:
            error = {"code": exc.code, "message": exc.message}
            if exc.data is not None:
                error["data"] = exc.data
            return {**reply, "error": error}, exc.status
        return {**reply, "result": result}, 200

    def _next_fault(self, method: str) -> Fault | None:
        for planned in self._planned:
            if planned.fires(method):
                return planned.fault
        rolled = None if self.chaos is None else self.chaos.roll()
        return None if rolled in LIES and method != "eth_getLogs" else rolled

    def _current_lag(self) -> int:
        return self._dice.choice(self.lags) if self.lags else self.lag

    # Methods -------------------------------------------------------------------------------

    def _number(self, text: str, head: int) -> int:
        if text in ("latest", "pending"):
            return head
        if text in ("finalized", "safe"):
            if not self.tags:
                raise RpcError(-32602, f"invalid argument 0: hex string without 0x prefix: {text}")
            true = self.chain.finalized if text == "finalized" else self.chain.safe
            return max(0, min(true - self.finalized_back, head))
        return 0 if text == "earliest" else int(text, 16)

    def _block_by_number(self, params: list[Any], head: int) -> Any:
        number = self._number(params[0], head)
        block = self.chain.block(number) if number <= head else None
        return None if block is None else block.header_json

    def _block_by_hash(self, params: list[Any], head: int) -> Any:
        block = self.chain.block_by_hash(params[0])
        return None if block is None or block.number > head else block.header_json

    def _logs(self, params: list[Any], head: int) -> list[Any]:
        wanted = params[0]
        blocks: list[FakeBlock]
        if "blockHash" in wanted:
            if not self.by_hash:
                raise RpcError(-32602, "invalid argument 0: blockHash filters are not supported")
            block = self.chain.block_by_hash(wanted["blockHash"])
            if block is None or block.number > head:
                raise RpcError(*UNKNOWN_BLOCK)
            blocks = [block]
        else:
            blocks = self._range(wanted, head)
        addresses = wanted.get("address")
        names = {addresses} if isinstance(addresses, str) else set(addresses or ())
        return [
            raw
            for block in blocks
            for log, raw in zip(block.logs, block.logs_json, strict=True)
            if not names or log["address"] in names
        ]

    def _range(self, wanted: dict[str, Any], head: int) -> list[FakeBlock]:
        first = self._number(wanted.get("fromBlock", "latest"), head)
        last = self._number(wanted.get("toBlock", "latest"), head)
        if first > last:
            raise RpcError(-32602, "invalid block range params")
        if last > head:
            if self.past_head == "error":
                raise RpcError(*BEYOND_HEAD)
            if self.past_head == "empty":
                return []
            last = head
        if self.limit is not None and self.limit.refuses(first, last):
            code, message = self.limit.answer(first, last)
            raise RpcError(code, message, status=self.limit.http_status)
        return self.chain.busy_blocks(first, last)

    def _code(self, params: list[Any], head: int) -> str:
        number = self._number(params[1], head)
        if number < self.pruned_below:
            raise RpcError(-32000, "missing trie node 5a (path ) state 0x5a is not available")
        return "0x6001" if self.chain.has_code(params[0], number) else "0x"

    def _call(self, params: list[Any], head: int) -> str:
        """`ownerOf` of a known contract; anything else reverts without data."""
        request, number = params[0], self._number(params[1], head)
        if number > head:
            raise RpcError(-32000, "header not found")
        data = request["data"]
        if data.startswith("0x6352211e"):
            agent_id = int(data[10:], 16)
            if agent_id < self.chain.agents(request["to"], number):
                return "0x" + "00" * 12 + f"{agent_id + 1:040x}"
            raise RpcError(3, "execution reverted", NONEXISTENT_TOKEN + f"{agent_id:064x}")
        raise RpcError(3, "execution reverted", "0x")

    # Lies ----------------------------------------------------------------------------------

    def _bent(self, logs: list[Any], fault: Fault | None) -> list[Any]:
        """What a lying node makes of true logs. A lie needs something to lie about."""
        if fault not in LIES or not logs:
            return logs
        place = self._dice.randrange(len(logs))
        victim = msgspec.json.decode(bytes(logs[place]))
        match fault:
            case Fault.EMPTY:
                return []
            case Fault.DROPPED:
                return logs[:place] + logs[place + 1 :]
            case Fault.DUPLICATED:
                return [*logs[: place + 1], *logs[place:]]
            case Fault.UNSORTED:
                return logs[::-1]
            case Fault.FORGED:  # one more at the end of the last block
                forged = msgspec.json.decode(bytes(logs[-1]))
                forged["topics"] = [forged["topics"][0], "0x" + self._dice.randbytes(32).hex()]
                forged["logIndex"] = hex(int(forged["logIndex"], 16) + 1)
                return [*logs, forged]
            case Fault.WRONG_BLOCK_HASH:
                victim["blockHash"] = "0x" + self._dice.randbytes(32).hex()
            case Fault.WRONG_ADDRESS:
                victim["address"] = "0x" + self._dice.randbytes(20).hex()
            case Fault.REMOVED:
                victim["removed"] = True
        return [*logs[:place], victim, *logs[place + 1 :]]

    # Transports ----------------------------------------------------------------------------

    async def _http(self, request: web.Request) -> web.StreamResponse:
        try:
            answer = await self.handle(await request.read())
        except ConnectionResetError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        headers = {} if answer.retry_after is None else {"Retry-After": answer.retry_after}
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers=headers,
            content_type="text/html" if answer.body[:1] == b"<" else "application/json",
        )


class MemoryTransport:
    """Reaches a FakeNode without a socket."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    async def post(self, body: bytes, *, max_bytes: int) -> Answer:
        """As HttpTransport answers, its failures included."""
        host = host_of(self._node.url)
        try:
            answer = await self._node.handle(body)
        except ConnectionResetError:
            raise Refusal(f"{host}: ServerDisconnectedError", transient=True, host=host) from None
        if len(answer.body) > max_bytes:
            raise RangeTooWide(f"{host} answered with more than {max_bytes} bytes", host=host)
        return answer

    async def close(self) -> None:
        """Nothing to give back."""


def connect(*nodes: FakeNode) -> Callable[[str], MemoryTransport]:
    """What `ChainSource(connect=...)` takes, for nodes reached by their `url`."""
    by_url = {node.url: node for node in nodes}
    return lambda url: MemoryTransport(by_url[url])

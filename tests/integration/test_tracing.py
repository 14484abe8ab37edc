"""Traces: one from the request through its statement to the node, and nothing foreign in them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from renown.api.app import create_app
from renown.chain.tx.writer import writers_for
from renown.errors import BadSettings
from renown.obs.tracing import TRACES
from renown.settings import Settings
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.store.pool import connect_pool
from renown.store.standing import standings
from tests.fakes.chain import FakeChain
from tests.fakes.node import FakeNode
from tests.integration.api import SETTINGS

CANARY = "canary-of-the-tests"
CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector:
    """An OpenTelemetry collector: what it was sent, decoded."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.raw = b""
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ours.raw += body
                found = ExportTraceServiceRequest.FromString(body)
                for resource in found.resource_spans:
                    for scope in resource.scope_spans:
                        ours.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Be away from now on."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    TRACES.stop()
    one.close()


def named(collector: Collector, start: str) -> Any:
    found = [span for span in collector.spans if span.name.startswith(start)]
    assert found, [span.name for span in collector.spans]
    return found[0]


def said(span: Any) -> dict[str, Any]:
    """The attributes of a span."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@asynccontextmanager
async def traced(
    url: str, collector: Collector, **settings: Any
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """An API that traces every request."""
    pool = await connect_pool(url, min_size=1, max_size=2)
    given = SETTINGS | {"traces_url": collector.url, "traces_share": 1.0} | settings
    app = create_app(Settings(**given), pool=pool)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield app, client
    finally:
        await asyncio.to_thread(TRACES.stop)
        await pool.close()


async def test_trace__of_a_request__goes_through_its_statement_to_the_node(
    collector: Collector, database_url: str
) -> None:
    node = FakeNode(FakeChain(3))
    async with node.serve() as url, traced(database_url, collector) as (app, client):
        writer = writers_for({DEVNET_CHAIN_ID: [url]})[DEVNET_CHAIN_ID]

        @app.get("/heights/{chain}")
        async def height(chain: str) -> dict[str, str]:
            async with app.state.desk.reading() as conn:
                await standings(conn)
            return {"head": str(await writer.head())}

        answer = await client.get("/heights/devnet")
        await writer.close()

    assert answer.status_code == 200

    request = named(collector, "GET /heights/{chain}")
    statement = named(collector, "query: standing.standings")
    asked = named(collector, "node: ")
    assert {request.trace_id} == {statement.trace_id, asked.trace_id}
    assert {request.span_id} == {statement.parent_span_id, asked.parent_span_id}
    assert said(request)["http.response.status_code"] == 200
    assert said(asked)["renown.chain_id"] == DEVNET_CHAIN_ID
    assert said(asked)["server.address"].startswith("127.0.0.1:")
    for inner in (statement, asked):
        assert request.start_time_unix_nano <= inner.end_time_unix_nano
        assert inner.end_time_unix_nano <= request.end_time_unix_nano


async def test_trace__whatever_a_stranger_sends__is_not_in_it(
    collector: Collector, database_url: str
) -> None:
    async with traced(database_url, collector) as (_, client):
        bearer = {"Authorization": f"Bearer ak_live_{CANARY}", "User-Agent": CANARY}
        await client.get(f"/v1/agents/{CANARY}?{CANARY}={CANARY}", headers=bearer)
        await client.get("/v1/agents", params={"q": CANARY})
        await client.post("/v1/sessions", json={"message": CANARY, "signature": CANARY})
        await client.request(CANARY.upper(), f"/{CANARY}")

    assert len(collector.spans) >= 4
    assert CANARY.encode() not in collector.raw.lower()


@pytest.mark.parametrize(
    ("proxies", "is_believed"), [((), False), (("127.0.0.1",), True), (("10.0.0.1",), False)]
)
async def test_traceparent__of_a_proxy_that_is_trusted_alone__is_followed(
    collector: Collector, database_url: str, proxies: tuple[str, ...], is_believed: bool
) -> None:
    given = {"trusted_proxies": proxies}
    async with traced(database_url, collector, **given) as (_, client):
        await client.get("/healthz", headers={"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"})
        await client.get("/healthz", headers={"traceparent": "00-" + "z" * 90})

    traces = {span.trace_id.hex() for span in collector.spans}
    assert (CALLER in traces) == is_believed
    assert len(traces) == 2


async def test_trace__the_collector_is_away__disturbs_no_request(
    collector: Collector, database_url: str
) -> None:
    collector.close()
    async with traced(database_url, collector) as (_, client):
        answers = [await client.get("/v1/chains") for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}


def test_start__without_the_extra__says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(BadSettings, match="`tracing` extra"):
        TRACES.start("http://collector:4318", share=1.0)
    assert not TRACES.is_on


def test_start__no_url__is_refused_without_quoting_it() -> None:
    with pytest.raises(BadSettings) as refused:
        TRACES.start(f"collector/{CANARY}", share=1.0)
    assert CANARY not in str(refused.value)
    assert not TRACES.is_on

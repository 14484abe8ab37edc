"""A web that answers as told, a crawler on it, and what a database holds of both."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from renown.ingest.crawler import Crawler, Tally
from renown.offchain.fetched import Fetched
from renown.spec.uris import Uri
from renown.store.pool import Conn, connect
from tests.reading import reading

Answer = bytes | Fetched | Callable[[], Awaitable[Fetched]]
BEGINNING = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Call(msgspec.Struct, frozen=True):
    """One question to the web."""

    url: str
    etag: str | None
    last_modified: str | None


class Web:
    """The reader of a crawler: each URL has an answer; all others are 404.

    Bytes are served with an ETag, and with 304 to whoever has it.
    """

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = dict(answers)
        self.calls: list[Call] = []
        self.at_once: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.seconds = 0.0
        """What each answer takes."""

    def asked(self, url: str) -> int:
        """How often it was asked for."""
        return sum(call.url == url for call in self.calls)

    async def read(
        self, uri: Uri, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched:
        self.calls.append(Call(uri.text, etag, last_modified))
        for who in (uri.host, ""):
            self.at_once[who] += 1
            self.most_at_once[who] = max(self.most_at_once[who], self.at_once[who])
        try:
            await asyncio.sleep(self.seconds)
            return await self._answer(uri, etag)
        finally:
            for who in (uri.host, ""):
                self.at_once[who] -= 1

    async def _answer(self, uri: Uri, etag: str | None) -> Fetched:
        answer = self.answers.get(uri.text)
        if answer is None:
            return Fetched(outcome="http-error", status=404, body=b"nothing here")
        if isinstance(answer, Fetched):
            return answer
        if not isinstance(answer, bytes):
            return await answer()
        tag = f'"{hash(answer):x}"'
        if etag == tag:
            return Fetched(outcome="not-modified", status=304)
        return Fetched(outcome="ok", status=200, body=answer, headers={"etag": tag})


class Clock:
    """The time, which passes when told."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        """Let a `timedelta` pass."""
        self.now += timedelta(**span)


def registration(name: str = "Ada", **more: Any) -> bytes:
    """A registration file."""
    return json.dumps(
        {
            "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
            "name": name,
            "description": f"{name} does things.",
            "image": "https://img.example/a.png",
            "services": [{"name": "MCP", "endpoint": "https://mcp.example/", "version": "1"}],
            "registrations": [],
            **more,
        }
    ).encode()


async def crawl(url: str, web: Web, clock: Clock | None = None, **options: Any) -> Tally:
    """Crawl a database until nothing more is due."""
    if clock is not None:
        options["clock"] = clock
    crawler = Crawler(lambda: connect(url), web, **options)
    async with asyncio.timeout(30):
        return await crawler.run_until_idle()


async def rows(url: str, query: str, *args: Any) -> list[tuple[Any, ...]]:
    """What a query gives, as plain tuples."""
    async with reading(url) as conn:
        return [tuple(row) for row in await conn.fetch(query, *args)]


async def value(url: str, query: str, *args: Any) -> Any:
    """The first column of a query's first row."""
    found = await rows(url, query, *args)
    return found[0][0] if found else None


async def due_agents(conn: Conn) -> list[int]:
    """The agents whose rows are to be made anew."""
    return [r[0] for r in await conn.fetch("SELECT agent_id FROM profile_due ORDER BY 1")]


TABLES = {
    "uri": "SELECT hash, kind, host, fixed, stage, due_at IS NULL, attempts, failures, unchanged,"
    " outcome, reason, status, document_id IS NULL, verified FROM uri ORDER BY hash",
    "document": "SELECT sha256, raw, class, reading FROM document ORDER BY sha256",
    "resolution": "SELECT u.hash, r.outcome, r.reason, r.status, d.sha256 FROM resolution r"
    " JOIN uri u USING (uri_id) LEFT JOIN document d ON d.document_id = r.document_id"
    " ORDER BY 1, r.attempted_at",
    "attachment": "SELECT a.chain_id, a.block_number, a.log_index, a.role, a.agent_id, u.hash,"
    " a.content_hash, d.sha256, a.verdict, a.findings::text FROM attachment a"
    " JOIN uri u USING (uri_id) LEFT JOIN document d ON d.document_id = a.document_id"
    " ORDER BY 1, 2, 3",
    "host": "SELECT host, failures, reason FROM host ORDER BY host",
    "trail": "SELECT chain_id, position, block_number, block_hash FROM trail ORDER BY 1",
    "profile_due": "SELECT chain_id, agent_id FROM profile_due ORDER BY 1, 2",
}


async def held(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that a crawler keeps, without numbers and times that differ from run to run."""
    async with reading(url) as conn:
        return {
            name: [tuple(row) for row in await conn.fetch(query)] for name, query in TABLES.items()
        }

"""URIs of real agents and hostile ones: registered, indexed, served, byte by byte the same."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from renown.chain.devnet.seed import register_raw
from renown.ingest.repair import verify_state
from tests.e2e.devnet import devnet, index
from tests.factories import DEVNET
from tests.integration.api import api_on, get
from tests.reading import reading

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real" / "agent-uris.jsonl"
AT_ONCE = 8
PAST_SHARE = 10 * AT_ONCE
"""One agent in ten is asked for at a block too, and every hostile one."""
HOSTILE = (
    b"\x00",
    b"https://a.example/\x00hidden",
    b"\xff\xfe\x00",
    b"\xc3\x28",  # half a character
    b"\xe2\x82",  # a character cut short at the end
    b"\xed\xa0\x80",  # a surrogate
    b"\xc0\xaf",  # an overlong slash
    b"\xf4\x90\x80\x80",  # beyond Unicode
    b"\xef\xbb\xbfhttps://bom.example",
    b"x\r\nSet-Cookie: a=b\r\n\r\n",
    b"<script>alert(1)</script>",
    b'"},{"owner":"0x0',
    b"\\u0000 \\x00 \\N",  # what only looks like an escape
    b"\\x6162",  # what PostgreSQL might take for bytes in hex
    b"'; DROP TABLE agent; --",
    b"%00%ff%s{0}$1",
    b"null",
    b" ",
    b"\n",
    b"\x1b[2J\x1b]0;title\x07",
    "\u202egpj.exe\u2066\u2069\u200b\u2028".encode(),
    "\u2b50\U0001f916 caf\u0065\u0301".encode(),  # must not be normalised
    b"data:application/json;base64,e30=",
    *(bytes([65 + n % 26]) * n for n in (31, 32, 33, 63, 64, 65, 2_047, 2_048, 2_049)),
    "\u20ac".encode() * 700,  # longer than what is shown, the cut inside a character
    b"\xff" * 5_000,
    random.Random(8004).randbytes(60_000),
    random.Random(8004).randbytes(1_500_000),
    "\U0001f4a9".encode() * 375_000,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # The transaction with the longest URI is larger than aiohttp likes to send in one piece.
    pytest.mark.filterwarnings("ignore:Sending a large body directly"),
]


def real_uris() -> list[bytes]:
    if not REAL.is_file():
        return []
    with REAL.open() as lines:
        return [json.loads(line)["uri"].encode() for line in lines]


async def served(client: httpx.AsyncClient, agent_id: int, at: int | None) -> set[bytes]:
    """The URI of an agent as its endpoints give it; at a block too, if there is one."""
    one = f"/v1/agents/{DEVNET.chain_id}:{agent_id}"
    found = set()
    for moment in ({}, {"at": at}) if at else ({},):
        raw = await client.get(f"{one}/uri", params=moment)
        told = await get(client, one, full="true", **moment)
        assert (raw.status_code, "truncated" in told) == (200, False)
        found |= {raw.content, as_bytes(told)}
    return found


def as_bytes(answer: dict[str, Any]) -> bytes:
    """The bytes that the JSON field says: its text, or its hex where there is no such text."""
    if "uri_hex" in answer:
        return bytes.fromhex(answer["uri_hex"][2:])
    uri: str = answer["uri"]
    return uri.encode()


async def assert_listed(client: httpx.AsyncClient, uris: Sequence[bytes]) -> None:
    """In lists a long URI is cut, and says so; what is there is its beginning."""
    cursor: dict[str, str] = {}
    seen: set[int] = set()
    while True:
        page = await get(client, "/v1/agents", limit=100, **cursor)
        for item in page["items"]:
            agent_id = int(item["agent_id"])
            uri, shown = uris[agent_id], as_bytes(item)
            cut = item.get("truncated", {}).get("uri")
            assert (shown == uri) if cut is None else (uri.startswith(shown) and cut == len(uri))
            seen.add(agent_id)
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == set(range(len(uris)))


async def test_uris__of_real_agents_and_hostile_ones__come_back_byte_by_byte(
    fresh_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    real, began = real_uris(), time.monotonic()
    uris = [*real, *HOSTILE]
    async with devnet() as chain:
        assert await register_raw(chain.node, uris) == list(range(len(uris)))
        head = await chain.head()
        await index(fresh_database_url, DEVNET, chain.url, until=head)
    indexed = time.monotonic()

    async with api_on(fresh_database_url) as client:
        for first in range(0, len(uris), AT_ONCE):
            some = range(first, min(first + AT_ONCE, len(uris)))
            past = head if first % PAST_SHARE == 0 or first >= len(real) else None
            answers = await asyncio.gather(*(served(client, i, past) for i in some))
            for i, answer in zip(some, answers, strict=True):
                assert answer == {uris[i]}, (i, uris[i][:80])
        await assert_listed(client, uris)
    async with reading(fresh_database_url) as conn:
        assert (await verify_state(conn, DEVNET.chain_id)).equal
        strange = "(SELECT count(*) FROM quarantine) + (SELECT count(*) FROM unattached)"
        assert await conn.fetchval(f"SELECT {strange}") == 0

    with capsys.disabled():
        schemes = Counter(uri.partition(b":")[0][:12].decode(errors="replace") for uri in real)
        found = f"{len(real):,} real" if real else f"no real (there is no {REAL})"
        sys.stdout.write(
            f"\nURIs: {found} and {len(HOSTILE)} hostile, byte by byte the same in every answer;"
            f" {dict(schemes.most_common(3))}; {indexed - began:.1f} s to register and index,"
            f" {time.monotonic() - indexed:.1f} s to ask\n"
        )
    if not real:
        pytest.skip(f"no real agent URIs at {REAL}; the hostile ones came back")

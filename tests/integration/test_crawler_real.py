"""Real agents' URIs and documents, and hostile ones, through the whole crawl into the tables."""

from __future__ import annotations

import gzip
import json
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from eth_hash.auto import keccak

from renown.spec.uris import parse_uri, read_inline
from tests.crawling import Web, crawl, rows, value
from tests.factories import Story
from tests.integration.test_crawler import give, inline

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
HOSTILE = (
    b"",
    b"\x00",
    b"null",
    b'{"name": "\\u0000\\ud800 \xff"}',
    b'{"a": NaN, "b": Infinity, "c": -0.0, "d": 1e400, "e": 1e-400, "f": 18446744073709551616}',
    b"[" + b",".join([b"1e131071"] * 1_000) + b"]",
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"n": ' + b"9" * 100_000 + b"}",
    b'{"name": "' + b"x" * 300_000 + b'"}',
    json.dumps({"services": [{"name": f"s{n}", "endpoint": "https://x/"} for n in range(5_000)]})
    .encode(),
    json.dumps({f"key {n}": n for n in range(20_000)}).encode(),
    b'{"a": 1, "a": 2, "": 3, "__proto__": {}}',
    "\ufeff{}".encode(),
    "{}".encode("utf-16"),
    b"<!doctype html><script>alert(1)</script>",
    b"'; DROP TABLE document; --",
    b"\xff" * 100_000,
)  # fmt: skip
HOSTILE_URIS = (
    b"\x00",
    b"\xff\xfe",
    b"https://a.example/\x00hidden",
    b"https://good@127.0.0.1/",
    b"http://169.254.169.254/latest",
    b"ipfs://0x1234",
    b"data:;base64," + b64encode(gzip.compress(bytes(50 * 2**20))),
    b"data:application/json;enc=gzip;base64," + b64encode(gzip.compress(bytes(50 * 2**20))),
    b"data:application/json," + b"%" * 100_000,
    b"{" * 50_000,
    b"x" * 1_500_000,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def lines(name: str) -> list[dict[str, str]]:
    path = REAL / name
    if not path.is_file():
        return []
    with path.open() as found:
        return [json.loads(line) for line in found]


def served(record: dict[str, str]) -> bytes:
    """A document as its README says it was hashed."""
    if "document_text" in record:
        return record["document_text"].encode()
    return json.dumps(
        record["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


async def test_crawl__real_and_hostile_ones__all_land_byte_by_byte(
    fresh_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [line["uri"].encode() for line in lines("agent-uris.jsonl")]
    files = [served(record) for record in lines("registrations.jsonl")] + list(HOSTILE)
    web = Web(**{f"https://h{n % 300}.example/{n}": file for n, file in enumerate(files)})
    story = Story()
    uris = [*said, *HOSTILE_URIS, *(url.encode() for url in web.answers), *map(inline, HOSTILE)]
    for agent_id, uri in enumerate(uris):
        story.mint(agent_id, uri=uri)
        if agent_id % 50 == 0:
            story.next_block()
    for body in HOSTILE:
        give(story, inline(body), keccak(body))
    await story.write(fresh_database_url)

    tally = await crawl(fresh_database_url, web)

    assert tally.outcomes["broken"] == 0
    stored: set[bytes | None] = {None}
    stored |= {bytes(row[0]) for row in await rows(fresh_database_url, "SELECT raw FROM document")}
    assert stored >= set(files)
    for uri in (*said, *HOSTILE_URIS):
        if parse_uri(uri).kind in ("data", "json"):
            assert read_inline(uri).body in stored
    known = await value(fresh_database_url, "SELECT count(*) FROM uri")
    assert known == len({uri for uri in uris if uri} | {inline(body) for body in HOSTILE})
    untold = "SELECT count(*) FROM uri WHERE outcome IS NULL"
    assert await value(fresh_database_url, untold) == 0
    verdicts = "SELECT verdict, count(*) FROM attachment GROUP BY 1"
    assert await rows(fresh_database_url, verdicts) == [("bytes", len(HOSTILE))]
    # What anybody may ask for can be read back.
    readable = "SELECT count(content::text || coalesce(registration::text, '')) FROM document"
    assert await value(fresh_database_url, readable) > 0

    with capsys.disabled():
        readings = await rows(
            fresh_database_url, "SELECT reading, count(*) FROM document GROUP BY 1 ORDER BY 1"
        )
        sys.stdout.write(
            f"\ncrawled {known:,} URIs: {dict(tally.outcomes)}; documents {dict(readings)}\n"
        )
    if not said:
        pytest.skip(f"no real agent URIs in {REAL}; the hostile ones were crawled")

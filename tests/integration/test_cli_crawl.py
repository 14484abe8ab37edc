"""`renown crawl`: what it prints, and how it leaves."""

from __future__ import annotations

import asyncio
import json

from tests.command import renown
from tests.crawling import registration, value
from tests.integration.test_crawler import inline, put


def test_crawl__once__prints_what_it_did(fresh_database_url: str) -> None:
    asyncio.run(
        put(fresh_database_url, inline(registration(services=[])), b"data:;base64,!", b"{}", b"")
    )

    done = renown("crawl", "--once", "--json", DATABASE_URL=fresh_database_url)

    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told.pop("agents") >= 4
    assert told == {"attempts": 3, "outcomes": {"ok": 2, "undecodable": 1}, "new_documents": 2}
    assert "3 attempts, 2 good" in done.err
    states = "SELECT string_agg(state, ' ' ORDER BY agent_id) FROM agent_profile"
    assert asyncio.run(value(fresh_database_url, states)).split()[3] == "none"

    again = renown("crawl", "--once", DATABASE_URL=fresh_database_url)
    assert (again.code, again.out) == (0, "")
    assert "0 attempts" in again.err


def test_crawl__a_database_without_a_schema__says_so(empty_database_url: str) -> None:
    failed = renown("crawl", "--once", DATABASE_URL=empty_database_url)

    assert (failed.code, failed.out) == (78, "")
    assert "renown db migrate" in failed.err

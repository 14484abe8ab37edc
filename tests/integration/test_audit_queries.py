"""Pages of the audit log walk indexes, whatever is asked for, and leave out old partitions."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from renown.store.audit_reading import After, Wanted, statement_of
from renown.store.pool import Conn, connect
from tests.audit_log import partition

ROWS = 30_000
START = datetime(2021, 1, 1, tzinfo=UTC)
FILL = f"""
INSERT INTO audit_log (at, action, subject, subject_key, request_id, account_id, key_id, status)
SELECT '2021-01-01Z'::timestamptz + n * interval '4 minutes',
       CASE WHEN n % 1000 = 7 THEN 'update' WHEN n % 10 = 0 THEN 'request' ELSE 'read' END,
       CASE WHEN n % 1000 = 7 THEN 'api_key' ELSE '/v1/agents' END,
       CASE WHEN n % 1000 = 7 THEN 'key' || n END,
       CASE WHEN n % 10 = 0 THEN lpad(to_hex(n), 32, '0')::uuid END,
       n % 300, 'key' || n % 600, CASE WHEN n % 500 = 0 THEN 500 ELSE 200 END
  FROM generate_series(1, {ROWS}) n
"""
LEAVES = """
INSERT INTO audit_leaf (seq, entry_id, at, rule, leaf_hash, link_hash)
SELECT row_number() OVER (ORDER BY entry_id) - 1, entry_id, at,
       CASE WHEN action = 'update' THEN 'key-changed' END, sha256(''), sha256('')
  FROM audit_log
"""
LATE = START + timedelta(days=70)
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "by_time|at_entry_id"),
    ({"account_id": 7}, "by_account|account_id_at"),
    ({"account_id": 7, "action": "request"}, "by_account|account_id_at"),
    ({"key_id": "key3"}, "by_key|key_id_at"),
    ({"action": "update"}, "by_action|action_at"),
    ({"subject": "api_key"}, "by_subject|subject_at|action_at"),
    ({"subject": "api_key", "subject_key": "key1007"}, "subject_key_at"),
    ({"status_least": 500, "status_most": 599}, "by_failure|at_entry_id"),
    ({"request_id": UUID(int=100)}, "by_request|request_id"),
    ({"since": LATE}, "by_time|at_entry_id"),
    ({"until": LATE, "account_id": 7}, "by_account|account_id_at"),
    ({"review": "open"}, "audit_leaf_to_review"),
    ({"review": "open", "rule": "key-changed", "since": LATE}, "audit_leaf_to_review"),
    ({"rule": "key-changed"}, "audit_leaf_to_review"),
    ({"review": "not-needed"}, "by_time|at_entry_id"),
    ({"review": "pending"}, "audit_pending|audit_log"),
]


@pytest.fixture(scope="module", autouse=True)
def _filled(database_url: str) -> None:
    asyncio.run(_fill(database_url))


async def _fill(database_url: str) -> None:
    conn = await connect(database_url)
    for month in (1, 2, 3):
        await partition(conn, START.replace(month=month))
    await conn.execute(FILL)
    await conn.execute(LEAVES)
    await conn.execute("DELETE FROM audit_pending")
    await conn.execute("ANALYZE audit_log, audit_leaf, audit_pending, audit_review")
    await conn.close()


@pytest.mark.parametrize("kind", ["force_custom_plan", "force_generic_plan"])
async def test_page__every_filter__walks_an_index_and_stops_early(conn: Conn, kind: str) -> None:
    await conn.execute(f"SET plan_cache_mode = {kind}")
    for given, index in FILTERS:
        for after in (None, After(START + timedelta(days=75), 10**9)):
            plan, seen = await _explained(conn, Wanted(**given), after)
            named = " ".join(re.findall(r'"Index Name": "([^"]+)"', plan))
            assert re.search(index, named) or "audit_log" in index, (given, plan[:3000])
            scans = re.findall(r'"Node Type": "Seq Scan"[^}]*?"Relation Name": "([^"]+)"', plan)
            scans = [one for one in scans if not _is_small(one)]
            assert not scans, (given, after, scans)
            assert seen < ROWS / 8, (given, after, seen)


async def test_page__since_a_time__touches_no_older_partition(conn: Conn) -> None:
    await conn.execute("SET plan_cache_mode = force_custom_plan")
    plan, _ = await _explained(conn, Wanted(since=LATE), None)
    assert "audit_log_2021_01" not in plan
    assert "audit_log_2021_02" not in plan
    plan, _ = await _explained(conn, Wanted(), After(START + timedelta(days=20), 10**9))
    assert "audit_log_2021_03" not in plan


def _is_small(relation: str) -> bool:
    return not relation.startswith(("audit_log_2021", "audit_leaf"))


async def _explained(conn: Conn, wanted: Wanted, after: After | None) -> tuple[str, float]:
    """The plan as it ran, and the most rows that one of its scans of the log read."""
    statement, args = statement_of(wanted, after=after, limit=51)
    # Prepared by name: of a statement with parameters EXPLAIN would plan for their values.
    await conn.execute(f"PREPARE page AS {statement}")
    given = ", ".join(f"'{arg}'" for arg in args)
    plan = await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT json) EXECUTE page ({given})")
    await conn.execute("DEALLOCATE page")
    return plan, max(_read(node) for node in _nodes(msgspec.json.decode(plan)[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(one for child in node.get("Plans", ()) for one in _nodes(child))]


def _read(node: dict[str, Any]) -> float:
    removed = node.get("Rows Removed by Filter", 0)
    return float(node["Actual Loops"] * (node["Actual Rows"] + removed))

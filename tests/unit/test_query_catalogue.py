"""The catalogue of queries tells of every statement, and judges plans as it says."""

from __future__ import annotations

from typing import Any

import pytest
from bench.queries import CATALOGUE, PARTS, Query, statements
from bench.queries.plans import Plan, Tables, faults
from tools import indexes
from tools import queries as page

TABLES = Tables(
    rows={"big": 1e6, "big_p1": 5e5, "small": 100.0},
    root={"big": "big", "big_p1": "big", "small": "small", "big_p1_key": "big_key"},
    table={"big_p1_key": "big_p1"},
)
QUERY = Query("a.b", "api", "For a test.", "one row")


def plan(kind: str, *parts: dict[str, Any], **said: Any) -> dict[str, Any]:
    words = {name.replace("_", " ").title(): value for name, value in said.items()}
    return {"Node Type": kind, "Plan Rows": 1, "Plans": list(parts), **words}


def test_catalogue__of_statements__names_every_one_and_no_other() -> None:
    sent_whole = set(statements()) - PARTS
    built = {name for name, query in CATALOGUE.items() if query.build is not None}

    assert sent_whole - set(CATALOGUE) == set()
    assert set(CATALOGUE) - built - sent_whole == set()
    assert set(statements()) >= PARTS


def test_catalogue__of_names__matches_the_page() -> None:
    assert page.check(page.PAGE.read_text()) == []


def test_catalogue__of_texts__says_what_for_and_how_much() -> None:
    for query in CATALOGUE.values():
        assert query.purpose.endswith("."), query.name
        assert query.bound.strip(". ") == query.bound != "", query.name


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (plan("Seq Scan", relation_name="big_p1"), "reads big_p1 whole (500,000 rows)"),
        (plan("Seq Scan", relation_name="small"), ""),
        (plan("Seq Scan", relation_name="big", actual_loops=0), ""),
        (plan("Result", temp_written_blocks=3), "writes 3 pages of temporary files"),
        (
            plan("Index Scan", index_name="big_p1_key", actual_rows=500, actual_loops=1),
            "expects 1 rows of Index Scan on big_p1_key, which gives 500",
        ),
        (plan("Index Scan", index_name="big_p1_key", actual_rows=99, actual_loops=1), ""),
        (
            plan("Result", plan_rows=100, actual_rows=0, actual_loops=1),
            "expects 100 rows of Result, which gives 0",
        ),
    ],
)
def test_faults__of_one_step__are_told(found: dict[str, Any], wrong: str) -> None:
    assert faults(QUERY, Plan(found), TABLES) == ([wrong] if wrong else [])


def test_faults__of_a_step_that_may_stop_early__are_those_of_too_few_rows() -> None:
    scan = plan("Seq Scan", plan_rows=10_000, actual_rows=1, actual_loops=1)
    few = plan("Seq Scan", plan_rows=1, actual_rows=1_000, actual_loops=1)

    assert faults(QUERY, Plan(plan("Limit", scan)), TABLES) == []
    assert len(faults(QUERY, Plan(plan("Sort", scan)), TABLES)) == 1
    assert len(faults(QUERY, Plan(plan("Limit", few)), TABLES)) == 1


def test_faults__of_what_a_query_allows__are_none() -> None:
    found = Plan(plan("Seq Scan", relation_name="big", plan_rows=9_000, actual_loops=1))
    allowed = Query("a.b", "api", "For a test.", "all", scans={"big": "why"}, rough={"*": "why"})

    assert len(faults(QUERY, found, TABLES)) == 1
    assert faults(allowed, found, TABLES) == []


def test_faults__of_named_indexes__are_those_not_used() -> None:
    query = Query("a.b", "api", "For a test.", "one row", indexes=("big_key", "other"))
    found = Plan(plan("Index Scan", index_name="big_p1_key"))

    assert faults(query, found, TABLES) == ["does not use other"]
    assert faults(query, found, TABLES, whole=False) == []


def test_faults__of_pages__are_those_above_the_bound() -> None:
    query = Query("a.b", "api", "For a test.", "one row", most_buffers=10)
    found = Plan(plan("Result", shared_hit_blocks=8, shared_read_blocks=3))

    assert faults(query, found, TABLES) == ["touches 11 pages, more than 10"]


def test_indexes__on_their_page__say_who_uses_them() -> None:
    found = [
        indexes.Index("agent", 200_000, "agent_by_owner", 2**20, "btree", False),
        indexes.Index("agent", 200_000, "agent_by_nobody", 2**20, "brin", False),
    ]

    shown = indexes.table(found)

    assert "2 indexes," in shown
    assert "`agents.of_owner`" in shown
    assert "| `agent_by_nobody` (brin) | 1.0 | 5.2 | **idle** |" in shown

"""Rules that every statement of the store must keep, held against the migrated schema."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import msgspec
import pytest

from renown import store
from renown.store import (
    agents,
    chains,
    feedback,
    leaderboards,
    network,
    read_attachments,
    read_findings,
    read_payments,
    read_stats,
    read_versions,
    reads,
    reads_reputation,
    reads_responses,
    reads_stream,
    validations,
)
from renown.store.pool import Conn

STATEMENT = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
QUERIES = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(store.__path__)
    if not module.name.startswith("world")  # their tables are made by whoever makes a world
    for name, value in vars(importlib.import_module(f"renown.store.{module.name}")).items()
    if name.isupper()
    and not name.startswith("_")
    and isinstance(value, str)
    and STATEMENT.match(value)
    and "{" not in value
}
"""Every statement by its name. Fragments begin with an underscore; templates have braces."""


def test_queries__are_found() -> None:
    assert len(QUERIES) > 30
    assert "agents.ONE" in QUERIES


@pytest.mark.parametrize("name", QUERIES)
async def test_query__on_the_migrated_schema__plans(conn: Conn, name: str) -> None:
    if name == "report_queries.STATEMENTS":  # of what an installation need not have
        await conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    await conn.prepare(QUERIES[name])


H = reads.HEAD_COLUMNS
ROWS: list[tuple[str, int, type[msgspec.Struct]]] = [
    (agents.ONE, 1, agents.AgentRow),
    (agents.ONE_BY_UUID, 1, agents.AgentRow),
    (agents.METADATA, 3, agents.EntryRow),
    (feedback.OF_AGENT, 3, feedback.FeedbackRow),
    (feedback.OF_AGENT_BY_UUID, 3, feedback.FeedbackRow),
    (feedback.OF_AGENT_BY_CLIENT, 3, feedback.FeedbackRow),
    (feedback.RECORD, 3, feedback.FeedbackRow),
    (feedback.ACROSS, H, feedback.AcrossRow),
    (feedback.ACROSS, H + 4, feedback.FeedbackRow),
    (reads_responses.RESPONSES, 4, reads_responses.ResponseRow),
    (validations.OF_AGENT, 3, validations.ValidationRow),
    (reads_reputation.KEPT, 9, reads_reputation.TagsRow),
    (read_versions.VERSIONS, 3, read_versions.VersionRow),
    (read_versions.ATTEMPTS, 3, read_versions.AttemptRow),
    (read_attachments.OF_FEEDBACK, 3, read_attachments.AttachmentRow),
    (read_attachments.OF_REQUESTS, 2, read_attachments.AttachmentRow),
    (read_payments.OF_AGENT, 3, read_payments.PaymentRow),
    (read_payments.CLAIMS_OF_AGENT, 3, read_payments.ClaimRow),
    (read_payments.CLAIM, H, read_payments.ClaimRow),
    (read_attachments.OF_FEEDBACK, 10, read_payments.FeedbackClaim),
    (read_stats.STATS, H - 1, read_stats.StatsRow),
    (leaderboards.PAID, 0, leaderboards.PlaceRow),
    (read_findings.COUNTS, 0, read_findings.TermRow),
    (read_findings.HEADS, 0, reads.Head),
    (reads_stream.OUTBOX, H + 2, reads_stream.OutboxRow),
    (reads_stream.QUARANTINE, H, reads_stream.QuarantineRow),
    (network.NETWORK, 0, network.NetworkRow),
    (chains.CHAINS, H - 1, chains.ChainRow),
    (chains.STATUS, H - 1, chains.StatusRow),
]
RENAMED = {
    "registry": "identity",
    "requested_at": "time",
    "response_hash": "content_hash",
    "response_count": None,
    "writer_alive": None,
    "head": None,
    "attached": None,
    "feedback": None,
    "document_class": "class",
}
"""Fields whose column has another name; None where it has none to compare."""
IN_THE_HEAD = {(agents.AgentRow, "registry")}
"""Fields that have no column: what the chain's head says."""


@pytest.mark.parametrize(("query", "first", "row"), ROWS)
async def test_query__columns__stand_in_the_order_of_their_row(
    conn: Conn, query: str, first: int, row: type[msgspec.Struct]
) -> None:
    columns = [a.name for a in (await conn.prepare(query)).get_attributes()][first:]
    unnamed = {
        "substring",
        "octet_length",
        "case",
        "coalesce",
        "exists",
        "count",
        "now",
        "?column?",
    }
    states: dict[str, Any] = {"coverage_state": "state", "coverage_block": "checked_block"}
    states["coverage_checked_at"] = "checked_at"

    fields = [name for name in row.__struct_fields__ if (row, name) not in IN_THE_HEAD]
    for field, column in zip(fields, columns, strict=False):
        expected = RENAMED.get(field, states.get(field, field))
        assert column in unnamed or expected is None or column == expected, (field, column)
    assert len(columns) >= len(fields)

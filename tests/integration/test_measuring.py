"""Gauges and counters that alerts stand on: what they count, and above all what they do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from renown.chain.source import ChainSource
from renown.cli.measured import folders_of
from renown.decode import Decoder
from renown.ingest import measured
from renown.ingest.indexer import Indexer, Limits
from renown.ingest.measuring import measure, measure_disks
from renown.ingest.upkeep import REFRESH
from renown.obs import metrics
from renown.settings import Settings
from renown.store.lease import acquire
from renown.store.pool import connect
from renown.store.standing import standings
from renown.store.writer import Writer
from tests.activity import DEVNET, Activity
from tests.encode import log_of
from tests.fakes.chain import FakeChain
from tests.fakes.node import FakeNode
from tests.fakes.world import source_of

HEAD, FINAL = 60, 52
SLUG = DEVNET.slug


@pytest.fixture
def chain() -> FakeChain:
    """Activity in every block, final up to FINAL."""
    activity, chain = Activity(8), FakeChain(8)
    for number in range(1, HEAD + 1):
        _, facts = activity.block(number, bytes(32), facts=3)
        chain.append([log_of(fact) for fact in facts])
    return chain


@pytest.fixture
async def writer(fresh_database_url: str) -> AsyncIterator[Writer]:
    conn = await connect(fresh_database_url)
    yield await acquire(conn, DEVNET, start_block=0, genesis_hash=None, name="test")
    await conn.close()


def indexer(source: ChainSource, writer: Writer) -> Indexer:
    decoder = Decoder(DEVNET.identity, DEVNET.reputation, DEVNET.validation)
    return Indexer(source, writer, decoder, Limits(64, poll_seconds=0.001, batch_events=30))


def total(name: str, **labels: str) -> float:
    """The sum of the series of `name` that have these labels."""
    return sum(
        sample.value
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def stored() -> float:
    return total("renown_events_stored_total", chain=SLUG)


def followed() -> float:
    return total("renown_followed_facts_total", chain=SLUG)


@pytest.mark.parametrize("late", ["now", "partly ten minutes ago", "an hour ago"])
async def test_followed_facts__backfill_then_the_head__counts_what_happens_now_alone(
    chain: FakeChain, writer: Writer, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    async with source_of(FakeNode(chain)) as source:
        head, middle = await source.blocks([HEAD, (FINAL + HEAD) // 2])
        assert head is not None
        assert middle is not None
        now = {
            "now": head.time_seconds + 5,
            "partly ten minutes ago": middle.time_seconds + 600,
            "an hour ago": head.time_seconds + 3_600,
        }[late]
        monkeypatch.setattr(measured, "time", SimpleNamespace(time=lambda: now))
        begun_stored, begun_followed = stored(), followed()

        await indexer(source, writer).run(until=FINAL)
        assert stored() > begun_stored
        assert followed() == begun_followed  # what is final is caught up with, however young

        caught_up = stored()
        await indexer(source, writer).run(until=HEAD)

    new = stored() - caught_up
    assert new > 0
    counted = followed() - begun_followed
    if late == "partly ten minutes ago":
        assert 0 < counted < new
    else:
        assert counted == (new if late == "now" else 0)


async def test_node_gauges__of_the_head__name_the_node_and_what_it_said(
    chain: FakeChain, writer: Writer
) -> None:
    async with source_of(FakeNode(chain)) as source:
        await indexer(source, writer).run(until=HEAD)

    assert total("renown_node_head_block", chain=SLUG) >= HEAD
    assert total("renown_indexer_height_block", chain=SLUG) == HEAD


@pytest.mark.parametrize(
    ("outcome", "is_up", "failed"),
    [("ok", 1, 0), ("reverted", 1, 0), ("refused", 1, 1), ("limited", 0, 1), ("failed", 0, 1)],
)
def test_node_up__by_outcome__is_0_while_the_node_is_set_aside(
    outcome: str, is_up: int, failed: int
) -> None:
    host = f"{outcome}.test"
    measured.NodeMeter().node_asked(DEVNET.chain_id, host, "the head", outcome, 0.1)

    assert total("renown_node_up", host=host) == is_up
    assert total("renown_rpc_errors_total", host=host) == failed
    assert total("renown_rpc_requests_total", host=host) == 1


async def test_measure__of_an_index__tells_what_no_process_knows_of_itself(
    chain: FakeChain, writer: Writer, fresh_database_url: str
) -> None:
    async with source_of(FakeNode(chain)) as source:
        await indexer(source, writer).run(until=HEAD)
    own = await connect(fresh_database_url)
    try:
        await measure(own)
        assert total("renown_coverage", chain=SLUG, state="unknown") == 1
        await own.execute(REFRESH, "network")
        await own.execute(
            "INSERT INTO coverage (chain_id, state, checked_block, checked_at, agents_held)"
            " VALUES ($1, 'gap', 1, now(), 1)",
            DEVNET.chain_id,
        )
        await own.execute("INSERT INTO audit_pending VALUES (1000000, now() - interval '1 h')")
        await own.execute("DELETE FROM audit_pending WHERE entry_id < 1000000")
        await measure(own)
    finally:
        await own.close()

    assert total("renown_coverage", chain=SLUG, state="gap") == 1
    assert total("renown_coverage", chain=SLUG) == 1
    assert total("renown_audit_pending_entries") == 1
    assert 3_600 <= total("renown_audit_pending_oldest_seconds") < 4_000
    assert total("renown_db_size_bytes") > 1_000_000
    assert 1 <= total("renown_db_connections") <= total("renown_db_connections_limit")
    assert 0 <= total("renown_view_age_seconds", view="network") < 60
    assert metrics.REGISTRY.get_sample_value("renown_quarantined_logs", {"chain": SLUG}) == 0


async def test_measure__work_that_nobody_does__is_told_by_how_long_it_waits(
    writer: Writer, fresh_database_url: str
) -> None:
    """No watcher, payment worker or crawler runs: they are who would not tell."""
    own = await connect(fresh_database_url)
    try:
        await measure(own)
        assert total("renown_operations_oldest_due_seconds") == 0
        assert total("renown_payment_claims_oldest_seconds") == 0
        assert total("renown_crawl_oldest_due_seconds") == 0
        await own.execute("SET session_replication_role = replica")  # no rows of others are needed
        await own.execute(
            """
            WITH operations AS (
                INSERT INTO operation (account_id, chain_id, kind, mode, sender, request, state,
                                       due_at)
                VALUES (1, $1, 'register', 'client', $2, '{}', 'submitted', now() - interval '1 h')
            ), claims AS (
                INSERT INTO payment_claim (chain_id, agent_id, pay_chain_id, tx_hash, account_id,
                                           created_at)
                VALUES ($1, 1, $1, sha256('tx'), 1, now() - interval '1 h')
            )
            INSERT INTO uri (hash, uri, kind, host, fixed, stage, due_at)
            VALUES (sha256('uri'), 'https://host.test/', 'https', 'host.test', false, 0,
                    now() - interval '1 h')
            """,
            *(DEVNET.chain_id, b"s" * 20),
        )
        await measure(own)
    finally:
        await own.close()

    assert total("renown_operations_watched", chain=SLUG) == 1
    assert total("renown_payment_claims_pending") == 1
    assert total("renown_crawl_backlog_uris") == 1
    for name in ("operations_oldest_due", "payment_claims_oldest", "crawl_oldest_due"):
        assert total(f"renown_{name}_seconds") >= 3_600


async def test_measure__one_part_fails__the_others_are_measured_and_its_time_stands_still(
    writer: Writer, fresh_database_url: str
) -> None:
    def measured_at(part: str) -> float:
        return total("renown_measured_timestamp_seconds", part=part)

    own = await connect(fresh_database_url)
    try:
        await measure(own)
        views, audit = measured_at("views"), measured_at("audit")
        assert min(views, audit) > 1_600_000_000
        await own.execute("ALTER VIEW v_view_age RENAME TO gone")
        await measure(own)
    finally:
        await own.close()

    assert measured_at("views") == views
    assert measured_at("audit") > audit


def test_folders__by_part__are_those_that_the_process_writes_to(tmp_path: Path) -> None:
    def folders(*parts: str, url: str | None = "postgresql://u@h/d") -> set[str]:
        settings = Settings(data_dir=tmp_path, database_url=SecretStr(url) if url else None)
        return set(folders_of(settings, *parts))

    assert folders("notary", "audit") == {"audit"}
    assert folders("crawler") == set()
    assert folders("up") == {"data", "exports", "audit"}
    assert folders("indexer", url=None) == {"data", "exports", "audit"}


def test_measure_disks__folder_that_is_not_there__is_left_out(tmp_path: Path) -> None:
    measure_disks({"data": tmp_path, "exports": tmp_path / "nowhere"})

    assert total("renown_disk_free_bytes", place="data") > 0
    assert total("renown_disk_free_bytes") < total("renown_disk_size_bytes", place="data")
    assert total("renown_disk_size_bytes", place="exports") == 0


async def test_standing__head_stored_or_not__tells_the_lag_by_block_time_and_by_the_last_look(
    writer: Writer, fresh_database_url: str
) -> None:
    own = await connect(fresh_database_url)

    async def lag_seconds(block: int, head: int, block_age: int, seen_ago: int) -> float | None:
        await own.execute(
            "UPDATE checkpoint SET block_number = $1, head_block = $2, block_hash = $5,"
            " block_time = now() - make_interval(secs => $3),"
            " head_seen_at = now() - make_interval(secs => $4)",
            *(block, head, block_age, seen_ago, bytes(32)),
        )
        return (await standings(own))[0].lag_seconds

    try:
        assert (await standings(own))[0].lag_seconds is None
        at_the_head_of_a_quiet_chain = await lag_seconds(10, 10, 5_000, 1)
        behind = await lag_seconds(10, 12, 500, 1)
        nodes_away = await lag_seconds(10, 10, 20, 900)
    finally:
        await own.close()

    assert at_the_head_of_a_quiet_chain == 0
    assert behind is not None
    assert 500 <= behind < 560
    assert nodes_away is not None
    assert 900 <= nodes_away < 960

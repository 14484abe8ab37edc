"""The notary: one order whatever happens, no fork, no gap, nothing signed that contradicts."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from renown.audit.checkpoint import read_note
from renown.ingest.notary import CheckpointFolder, looking_back, measured
from renown.ingest.notary import notary as notaries
from renown.ingest.notary.proving import prove_consistency, prove_inclusion
from renown.obs.metrics import REGISTRY
from renown.store import vitals
from renown.store.audit_entries import append
from renown.store.audit_retention import plan, remove
from renown.store.audit_review import review
from renown.store.pool import transaction
from tests.auditing import OLD, SIGNER, checked_at, notary, opened, request, written

POINTS = ("read", "hashed", "written", "committed", "signed", "exported", "kept")


@pytest.fixture(autouse=True)
def _mended() -> Iterator[None]:
    """What is broken here is no other test's."""
    yield
    measured.broken(False)


class Died(BaseException):
    """As a process that is killed: nothing catches it."""


def dying_at(place: str, times: int):
    """A point that kills the `times`th time somebody comes to `place`."""
    seen: Counter[str] = Counter()

    def point(name: str) -> None:
        seen[name] += 1
        if name == place and seen[name] == times:
            raise Died

    return point


async def sequence(url: str) -> list[tuple[int, int]]:
    async with opened(url) as conn:
        rows = await conn.fetch("SELECT seq, entry_id FROM audit_leaf ORDER BY seq")
        waiting = await conn.fetchval("SELECT count(*) FROM audit_pending")
    assert waiting == 0
    return [(row[0], row[1]) for row in rows]


async def test_death__at_every_place_and_time__leaves_no_fork_and_no_gap(
    fresh_database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, deaths, total = fresh_database_url, 0, 0
    for place in POINTS:
        for times in (1, 2):
            await written(url, [request(n) for n in range(7)])
            total += 7
            try:
                await notary(url, tmp_path, batch=3, point=dying_at(place, times)).run_until_idle()
            except Died:
                deaths += 1
            await notary(url, tmp_path, batch=3).run_until_idle()

    assert [seq for seq, _ in await sequence(url)] == list(range(total))
    found = await checked_at(url, tmp_path)
    assert found.is_whole, found.findings
    assert found.covered == total
    # Nothing was signed twice differently, and each checkpoint continues the one before.
    sizes = [read_note(note).size for note in CheckpointFolder(tmp_path).notes()]
    assert sizes == sorted(sizes)
    assert deaths >= len(POINTS) + 4
    with capsys.disabled():
        sys.stdout.write(f"\nnotary killed {deaths} times, at {len(POINTS)} places\n")


async def test_connection__cut_again_and_again__all_is_numbered_once(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database_url
    for name in ("FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS", "STANDBY_SECONDS"):
        monkeypatch.setattr(notaries, name, 0.05)
    monkeypatch.setattr(notaries, "IDLE_SECONDS", 0.01)
    working = asyncio.create_task(notary(url, tmp_path, batch=5, checkpoint_seconds=0.05).run())
    async with opened(url) as conn:
        for n in range(30):
            await append(conn, [request(n)] * 3)
            if n % 3 == 0:
                await conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await asyncio.sleep(0.01)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await notary(url, tmp_path).run_until_idle()

    assert [seq for seq, _ in await sequence(url)] == list(range(90))
    assert (await checked_at(url, tmp_path)).is_whole


async def test_looking_back__at_a_log_of_nothing__finds_nothing(fresh_database_url: str) -> None:
    async with opened(fresh_database_url) as conn:
        assert await conn.fetchval("SELECT count(*) FROM audit_leaf") == 0
        assert await looking_back.LookingBack().look(conn) is None


async def test_writers__that_commit_out_of_order_and_roll_back__are_all_numbered_once(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, dice = fresh_database_url, random.Random(5)
    monkeypatch.setattr(notaries, "IDLE_SECONDS", 0.005)
    working = asyncio.create_task(notary(url, tmp_path, batch=4).run())
    kept = 0

    async def write(seconds: list[float]) -> None:
        nonlocal kept
        async with opened(url) as conn:
            for n, pause in enumerate(seconds):
                work = conn.transaction()
                await work.start()
                await append(conn, [request(n)])
                await asyncio.sleep(pause)
                if n % 5 == 4:
                    await work.rollback()
                else:
                    await append(conn, [request(n)])
                    await work.commit()
                    kept += 2

    async with asyncio.timeout(40), opened(url) as early:
        work = early.transaction()
        await work.start()
        await append(early, [request(1)])  # the first id, and the last to be committed
        await asyncio.gather(*(write([dice.random() / 50 for _ in range(15)]) for _ in range(6)))
        while True:
            if await numbered(url):
                break
            await asyncio.sleep(0.01)
        await work.commit()
        kept += 1
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await notary(url, tmp_path).run_until_idle()  # what was left, if it was stopped in a batch

    order = await sequence(url)
    assert [seq for seq, _ in order] == list(range(kept))
    assert order[0] != (0, 1)
    assert 1 in {entry_id for _, entry_id in order}
    found = await checked_at(url, tmp_path)
    assert found.is_whole, found.findings
    assert found.covered == kept


async def test_two_notaries__of_one_database__work_one_after_the_other(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database_url
    monkeypatch.setattr(notaries, "IDLE_SECONDS", 0.005)
    monkeypatch.setattr(notaries, "STANDBY_SECONDS", 0.02)
    first, second = (asyncio.create_task(notary(url, tmp_path, batch=2).run()) for _ in range(2))
    for n in range(10):
        await written(url, [request(n)] * 2)
        if n == 4:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await notary(url, tmp_path).run_until_idle()

    assert [seq for seq, _ in await sequence(url)] == list(range(20))
    assert (await checked_at(url, tmp_path)).is_whole


async def test_database__restored_from_an_older_copy__is_not_signed_and_said_to_be_broken(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database_url
    monkeypatch.setattr(notaries, "IDLE_SECONDS", 0.01)
    await written(url, [request(n) for n in range(20)])
    await notary(url, tmp_path).run_until_idle()
    async with opened(url) as conn, transaction(conn) as tx:  # as it was with 12 entries
        await tx.execute("SET LOCAL session_replication_role = replica")
        for table in ("audit_log", "audit_leaf"):
            await tx.execute(f"DELETE FROM {table} WHERE entry_id > 12")
        await tx.execute("DELETE FROM audit_node WHERE (index + 1) << level::int > 12")
        await tx.execute("DELETE FROM audit_checkpoint WHERE size > 12")

    with capture_logs() as logs:
        working = asyncio.create_task(notary(url, tmp_path, checkpoint_seconds=0.02).run())
        await written(url, [request(n) for n in range(30)])
        async with asyncio.timeout(20):
            while True:  # it goes on to number
                said = any(entry["event"] == "audit_broken" for entry in logs)
                if said and len(await numbered(url)) == 42:
                    break
                await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    assert REGISTRY.get_sample_value("renown_audit_broken") == 1
    assert [read_note(note).size for note in CheckpointFolder(tmp_path).notes()] == [20]
    found = await checked_at(url, tmp_path)
    assert [one.kind for one in found.findings] == ["checkpoint-differs"]
    # What an operator does who knows why: give the newer checkpoints up, and go on.
    CheckpointFolder(tmp_path).set_aside()
    note = await notary(url, tmp_path).run_until_idle()
    assert note is not None
    assert read_note(note).size == 42
    assert (await checked_at(url, tmp_path)).is_whole
    assert CheckpointFolder(tmp_path).given_up()


async def numbered(url: str) -> list[int]:
    async with opened(url) as conn:
        return [row[0] for row in await conn.fetch("SELECT seq FROM audit_leaf")]


async def test_leaves__cut_off_while_it_runs__are_missed_at_the_next_batch(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url = fresh_database_url
    work = notary(url, tmp_path)
    await written(url, [request(n) for n in range(5)])
    await work.run_until_idle()
    async with opened(url) as conn, transaction(conn) as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute("DELETE FROM audit_leaf WHERE seq = 4")
        await tx.execute("DELETE FROM audit_checkpoint")
    CheckpointFolder(tmp_path).set_aside()
    await written(url, [request(5)])

    with capture_logs() as logs:
        await work.run_until_idle()

    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["audit_broken"]


async def test_rules__decided_when_an_entry_is_taken__are_part_of_what_is_hashed(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url = fresh_database_url
    async with opened(url) as conn:
        await conn.execute("INSERT INTO policy (name, value) VALUES ('review', '[\"not one\"]')")
    await written(url, [request(1)])
    with capture_logs() as logs:
        await notary(url, tmp_path).run_until_idle()

    assert next(entry["event"] for entry in logs) == "review_policy_unreadable"
    async with opened(url) as conn:
        rows = await conn.fetch("SELECT rule FROM audit_leaf ORDER BY seq")
        assert [row[0] for row in rows] == ["by-hand", None]
        async with transaction(conn, "repeatable_read") as tx:
            found = await prove_inclusion(tx, 1, SIGNER.verifier)
    assert found.payload is not None
    assert found.payload.endswith('"by-hand"]')


async def test_proofs__of_a_large_log__take_few_rows(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url, size = fresh_database_url, 3_000
    await written(url, [request(n, detail=None) for n in range(size)])
    await notary(url, tmp_path).run_until_idle()

    async with opened(url) as conn, transaction(conn, "repeatable_read") as tx:
        before = await rows_read(tx)
        found = await prove_inclusion(tx, 1_234, SIGNER.verifier)
        after = await rows_read(tx)
        for old in (0, 1, 1_000, 2_048, size):
            await prove_consistency(tx, old, size)
    assert len(found.proof) == 12
    # Nodes and leaves: those of the proof, and the leaf itself.
    assert 0 < after - before <= 2 * 12 + 1


async def rows_read(tx) -> int:
    rows: int = await tx.fetchval(
        "SELECT sum(pg_stat_get_xact_tuples_fetched(c)) FROM unnest(ARRAY["
        "'audit_node_pkey', 'audit_leaf_pkey', 'audit_leaf_entry_id_key']::regclass[]) AS c"
    )
    scanned: int = await tx.fetchval(
        "SELECT sum(pg_stat_get_xact_tuples_returned(c)) FROM unnest("
        "ARRAY['audit_node', 'audit_leaf']::regclass[]) AS c"
    )
    return rows + scanned


TAMPERINGS = [
    ("UPDATE audit_log SET account_id = 8 WHERE entry_id = 5", "entry 5 (number 4) is not what"),
    ("DELETE FROM audit_log WHERE entry_id = 5", "entry 5 (number 4) is gone"),
    ("UPDATE audit_leaf SET link_hash = sha256('x') WHERE seq = 4", "entry 5 (number 4) does not"),
    ("DELETE FROM audit_leaf WHERE seq = 4", "leaf 4 is missing"),
    (
        "INSERT INTO audit_log (entry_id, action, subject) VALUES (0, 'request', 'forged')",
        "entry 0 is in the log, but has no number",
    ),
    (
        "INSERT INTO audit_log (action, subject, at) VALUES ('request', 'x', '2026-03-01Z')",
        "entry 21 is in the log, but has no number",
    ),
    ("ALTER TABLE api_key DISABLE TRIGGER audit_change", "audit_change of api_key is disabled"),
]


@pytest.mark.parametrize(("statement", "said"), TAMPERINGS, ids=[said for _, said in TAMPERINGS])
async def test_tampering__while_it_runs__is_found_without_anybody_asking(
    fresh_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    said: str,
) -> None:
    url = fresh_database_url
    for name in ("LOOK_SECONDS", "TRIGGERS_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(notaries, name, 0.02)
    await written(url, [request(n) for n in range(20)])
    with capture_logs() as logs:
        working = asyncio.create_task(notary(url, tmp_path, checkpoint_seconds=0.05).run())
        async with asyncio.timeout(30), opened(url) as conn:
            while True:
                if CheckpointFolder(tmp_path).latest():
                    break
                await asyncio.sleep(0.01)
            assert "audit_broken" not in {entry["event"] for entry in logs}
            await conn.execute("SET session_replication_role = replica")
            await conn.execute(statement)
            while True:
                if any(entry["event"] == "audit_broken" for entry in logs):
                    break
                await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    assert any(said in str(entry.get("reason")) for entry in logs), logs
    assert REGISTRY.get_sample_value("renown_audit_broken") == 1


async def test_looking_back__goes_through_a_log_of_many_slices_again_and_again(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database_url
    monkeypatch.setattr(looking_back, "LEAST", 7)
    monkeypatch.setattr(looking_back, "NEWEST", 3)
    await written(url, [request(n) for n in range(50)])
    await notary(url, tmp_path).run_until_idle()
    looking = looking_back.LookingBack()
    async with opened(url) as conn:
        for _ in range(30):
            assert await looking.look(conn) is None
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("UPDATE audit_log SET status = 500 WHERE entry_id = 31")

        found = [await looking.look(conn) for _ in range(9)]

    assert {one for one in found if one} == {"entry 31 (number 30) is not what was hashed"}


async def test_looking_back__where_retention_was__finds_what_it_did_not_remove(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url = fresh_database_url
    await written(url, [request(n, at=OLD) for n in range(20)])
    await notary(url, tmp_path).run_until_idle()
    async with opened(url) as conn:
        for month in await plan(conn, OLD + timedelta(days=30)):
            await remove(conn, month)
        assert await looking_back.LookingBack().look(conn) is None
        await notary(url, tmp_path).run_until_idle()
        assert await looking_back.LookingBack().look(conn) is None
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("UPDATE audit_log SET detail = NULL WHERE action = 'retention'")
        said = await looking_back.LookingBack().look(conn)
    assert said is not None


async def test_open_reviews__are_counted_without_looking_through_all_leaves(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url = fresh_database_url
    async with opened(url) as conn:
        await conn.execute("INSERT INTO policy (name, value) VALUES ('review', '{}')")
        await conn.execute("UPDATE policy SET value = '{\"repair\": false}'")
        await notary(url, tmp_path).run_until_idle()
        assert (await vitals.audit(conn)).reviews_open == 2
        async with transaction(conn) as tx:
            await review(tx, 1, account_id=None, reviewer="Rita", note="planned")

        await notary(url, tmp_path).run_until_idle()

        rows = await conn.fetch("SELECT entry_id FROM audit_review_open ORDER BY 1")
        assert [row[0] for row in rows] == [2, 3]  # the review came by hand, so it wants one, too
        assert (await vitals.audit(conn)).reviews_open == 2

"""The chain's facts under the log: one entry a commit, reorganisations and repairs as they happen,
and whatever is changed behind the indexer's back is found."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from renown.obs.acting import ACTING, Acting
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.spec.events import KINDS, Fact, FeedbackRevoked, Quarantined
from renown.store.audit_facts import check_facts
from renown.store.audit_retention import plan, remove
from renown.store.forget import forget
from renown.store.lease import acquire
from renown.store.pool import Conn, connect
from renown.store.writer import Extension, Writer
from renown.types import BlockRef
from tests.activity import DEVNET, Activity
from tests.audit_log import take_all
from tests.factories import ALICE, BOB, Story

GENESIS = bytes(32)


async def writer_on(url: str) -> Writer:
    conn = await connect(url)
    return await acquire(conn, DEVNET, start_block=1, genesis_hash=GENESIS, name="test")


@pytest.fixture
async def reader(fresh_database_url: str) -> AsyncIterator[Conn]:
    conn = await connect(fresh_database_url)
    yield conn
    await conn.close()


async def told(conn: Conn, *actions: str) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        "SELECT action, detail::text AS detail FROM audit_log WHERE action = ANY($1)"
        " AND subject = $2 ORDER BY entry_id",
        *(list(actions or ("commit", "retract", "repair")), f"chain:{DEVNET_CHAIN_ID}"),
    )
    return [{"action": row["action"], **json.loads(row["detail"])} for row in rows]


async def foreign(conn: Conn) -> list[str]:
    rows = await conn.fetch(
        "SELECT DISTINCT subject FROM audit_log WHERE action = 'foreign-write' ORDER BY subject"
    )
    return [row["subject"] for row in rows]


def stretch(blocks: list[tuple[BlockRef, list[Fact]]]) -> Extension:
    found = [fact for _, facts in blocks for fact in facts]
    return Extension(
        last=blocks[-1][0],
        facts=[fact for fact in found if not isinstance(fact, Quarantined)],
        quarantined=[fact for fact in found if isinstance(fact, Quarantined)],
        blocks=[ref for ref, _ in blocks],
    )


@pytest.mark.parametrize("seed", range(3))
async def test_log__through_commits_reorganisations_and_restarts__tells_of_every_fact(
    fresh_database_url: str, reader: Conn, seed: int
) -> None:
    dice, activity = random.Random(seed), Activity(seed)
    writer = await writer_on(fresh_database_url)
    stored: list[tuple[BlockRef, list[Fact]]] = []
    for _ in range(25):
        act = dice.choice(("extend", "extend", "extend", "retract", "restart", "refold"))
        if act == "extend" or not stored:
            new: list[tuple[BlockRef, list[Fact]]] = []
            for _ in range(dice.randint(1, 4)):
                parent = (stored + new)[-1][0].hash if stored or new else GENESIS
                number = len(stored) + len(new) + 1
                new.append(activity.block(number, parent, facts=dice.choice((0, 0, 1, 5))))
            await writer.extend(stretch(new))
            stored += new
        elif act == "retract":
            keep = dice.randint(max(0, len(stored) - 6), len(stored) - 1)
            to = stored[keep - 1][0] if keep else None
            await writer.retract(to, keep, even_final=dice.random() < 0.3)
            del stored[keep:]
        elif act == "restart":
            await writer.close()
            writer = await writer_on(fresh_database_url)
        else:
            await writer.refold([1, 2, 3])
    await writer.close()

    verdict = await check_facts(reader, DEVNET_CHAIN_ID)
    assert verdict.equal, verdict
    assert (verdict.before, verdict.logs) == (0, sum(len(facts) for _, facts in stored))
    assert await foreign(reader) == []


async def test_commits__without_logs__are_covered_by_the_next_one(
    fresh_database_url: str, reader: Conn
) -> None:
    activity = Activity(1)
    writer = await writer_on(fresh_database_url)
    parent = GENESIS
    for number, facts in enumerate((2, 0, 0, 3, 0), start=1):
        block = activity.block(number, parent, facts=facts)
        parent = block[0].hash
        await writer.extend(stretch([block]))
    await writer.close()

    commits = await told(reader)
    assert [(c["from_block"], c["to_block"]) for c in commits] == [(1, 1), (2, 4)]
    assert all(c["facts"] + c["quarantined"] > 0 for c in commits)
    assert commits[1]["block_hash"] == "0x" + (await _hash_of(reader, 4))


async def test_commit__of_what_people_do__tells_it_by_kind_and_finds_each_that_is_touched(
    fresh_database_url: str, reader: Conn
) -> None:
    story = Story()
    story.mint(7, ALICE).next_block().say_uri(7, b"ipfs://new")
    story.next_block().give(7, BOB, 1).next_block().revoke(7, BOB, 1)
    for block in range(1, 5):
        await story.write(fresh_database_url, upto=block)
    by_kind = [commit["by_kind"] for commit in await told(reader)]
    assert by_kind[0] == {"agent_transferred": 1, "agent_registered": 1, "metadata_set": 1}
    assert by_kind[1:] == [{"uri_updated": 1}, {"feedback_given": 1}, {"feedback_revoked": 1}]

    stranger = await connect(fresh_database_url, application_name="psql")
    for block, statement in enumerate(
        (
            "UPDATE agent_registered SET owner = sha256('x'::bytea)",
            "UPDATE uri_updated SET uri = 'ipfs://other'",
            "UPDATE feedback_given SET value = 100",
            "DELETE FROM feedback_revoked",
        ),
        start=1,
    ):
        await stranger.execute(statement)
        wrong = [one.from_block for one in (await check_facts(reader, DEVNET_CHAIN_ID)).wrong]
        assert wrong == list(range(1, block + 1)), statement
    await stranger.close()

    assert await foreign(reader) == [
        *("agent_registered", "feedback_given", "feedback_revoked", "uri_updated")
    ]
    told_of = await reader.fetchrow(
        "SELECT program, db_user, detail::text FROM audit_log"
        " WHERE action = 'foreign-write' AND subject = 'feedback_given'"
    )
    assert told_of is not None
    assert told_of["program"] == "psql"
    assert "SET value = 100" in told_of["detail"]


async def test_facts__that_nobody_stored__are_found_also_where_no_commit_had_any(
    fresh_database_url: str, reader: Conn
) -> None:
    story = Story()
    story.mint(7, ALICE).next_block(5).mint(8, ALICE)
    await story.write(fresh_database_url, upto=1)
    await story.write(fresh_database_url, upto=9)
    forged = (
        "INSERT INTO feedback_revoked (chain_id, block_number, log_index, tx_hash, agent_id,"
        " client, feedback_index) VALUES (31337, $1, 0, '\\x00', 7, $2, 1)"
    )
    await reader.execute("SELECT set_config('renown.indexer', 'on', false)")  # who means harm lies
    await reader.execute(forged, 3, BOB)
    verdict = await check_facts(reader, DEVNET_CHAIN_ID)
    assert [(one.from_block, one.to_block) for one in verdict.wrong] == [(2, 9)]

    writer = await writer_on(fresh_database_url)
    await writer.extend(
        Extension(last=story.ref(12), facts=[], quarantined=[], blocks=[story.ref(12)])
    )
    await writer.close()
    await reader.execute(forged, 11, BOB)
    assert (await check_facts(reader, DEVNET_CHAIN_ID)).untold == [11]


async def test_reorganisation__within_a_commit__hashes_what_stays_of_it_anew(
    fresh_database_url: str, reader: Conn
) -> None:
    story = Story()
    story.mint(1).next_block().mint(2).next_block().mint(3)
    await story.write(fresh_database_url)
    writer = await writer_on(fresh_database_url)
    dropped = await writer.retract(story.ref(2), 2)
    await writer.close()

    [commit, retract] = await told(reader)
    assert retract["action"] == "retract"
    assert (retract["from_block"], retract["to_block"], retract["dropped"]) == (3, 2, dropped)
    assert retract["ranges"][0]["to_block"] == 2
    assert retract["ranges"][0]["facts_sha256"] != commit["facts_sha256"]
    assert (await check_facts(reader, DEVNET_CHAIN_ID)).equal
    await reader.execute("DELETE FROM metadata_set WHERE block_number = 2")
    assert [one.to_block for one in (await check_facts(reader, DEVNET_CHAIN_ID)).wrong] == [2]


async def test_replay__of_quarantined_logs__is_a_repair_and_leaves_the_facts_told(
    fresh_database_url: str, reader: Conn
) -> None:
    story = Story()
    story.mint(7).next_block().give(7, BOB, 1).next_block()
    unread = story.add(
        *(Quarantined, story.deployment.reputation),
        reason="unknown-topic",
        event=None,
        topics=(bytes(32),),
        payload=b"\0",
    )
    await story.write(fresh_database_url)
    learnt = FeedbackRevoked(
        *(unread.block_number, unread.log_index, unread.tx_hash, story.deployment.reputation),
        agent_id=7,
        client=BOB,
        feedback_index=1,
    )
    acting = ACTING.set(Acting(command="renown quarantine replay", person="ann"))
    writer = await writer_on(fresh_database_url)
    await writer.refold([7], [learnt])
    await writer.close()
    ACTING.reset(acting)

    repair = (await told(reader, "repair"))[0]
    assert (repair["what"], repair["learnt"], repair["agents"]) == ("replay", 1, 1)
    assert (repair["command"], repair["person"]) == ("renown quarantine replay", "ann")
    assert (await check_facts(reader, DEVNET_CHAIN_ID)).equal
    assert await foreign(reader) == []


async def test_forget__is_a_repair_of_its_own__and_the_chain_begins_anew(
    fresh_database_url: str, reader: Conn
) -> None:
    story = Story()
    story.mint(7).next_block(3).mint(8)
    await story.write(fresh_database_url)
    await forget(reader, DEVNET_CHAIN_ID)
    again = Story()
    again.mint(9).next_block(3)
    await again.write(fresh_database_url)

    actions = [(one["action"], one.get("what")) for one in await told(reader)]
    assert actions == [("commit", None), ("repair", "forget"), ("commit", None)]
    assert (await check_facts(reader, DEVNET_CHAIN_ID)).equal
    assert await foreign(reader) == []


async def test_commit__that_is_rolled_back__is_not_told_of(
    fresh_database_url: str, reader: Conn
) -> None:
    story = Story()
    story.mint(7)
    writer = await writer_on(fresh_database_url)
    twice = [*story.facts, story.facts[0]]
    with pytest.raises(Exception, match=r"duplicate|exists"):
        await writer.extend(Extension(story.ref(1), twice, [], [story.ref(1)]))
    assert await told(reader) == []
    await writer.extend(Extension(story.ref(1), story.facts, [], [story.ref(1)]))
    await writer.close()
    assert len(await told(reader)) == 1


async def _hash_of(conn: Conn, number: int) -> str:
    block_hash: bytes = await conn.fetchval("SELECT hash FROM block WHERE number = $1", number)
    return block_hash.hex()


async def test_facts__after_ordinary_retention__are_those_before_and_later_ones_are_compared(
    fresh_database_url: str, reader: Conn
) -> None:
    activity, parent = Activity(3), GENESIS
    writer = await writer_on(fresh_database_url)
    for number in range(1, 25):
        block = activity.block(number, parent, facts=4)
        parent = block[0].hash
        await writer.extend(stretch([block]))
    await reader.execute("SET session_replication_role = replica")  # as if that had been years ago
    for table in ("audit_pending", "audit_log"):
        await reader.execute(f"UPDATE {table} SET at = at - interval '3 years'")
    await reader.execute("SET session_replication_role = origin")
    await take_all(reader)
    stay = await reader.fetchval("SELECT count(*) FROM audit_leaf WHERE rule IS NOT NULL")
    assert 0 < stay < 24  # some commits are among those that stay until a person looked
    for month in await plan(reader, datetime.now(UTC) - timedelta(days=730)):
        await remove(reader, month)

    found = await check_facts(reader, DEVNET_CHAIN_ID)

    assert found.equal, found
    assert found.before >= 4 * 20
    await writer.close()
    writer = await writer_on(fresh_database_url)
    block = activity.block(25, parent, facts=4)
    await writer.extend(stretch([block]))
    await writer.close()
    assert (await told(reader, "commit"))[-1]["from_block"] == 25
    assert (await check_facts(reader, DEVNET_CHAIN_ID)).equal
    table = "quarantine" if isinstance(block[1][0], Quarantined) else KINDS[type(block[1][0])]
    await reader.execute(f"DELETE FROM {table} WHERE block_number = 25")
    assert [one.to_block for one in (await check_facts(reader, DEVNET_CHAIN_ID)).wrong] == [25]


async def test_reorganisation__after_the_clock_was_set_back__tells_the_cut_commit_anew(
    fresh_database_url: str, reader: Conn
) -> None:
    activity, parent, blocks = Activity(5), GENESIS, []
    for number in range(1, 7):
        blocks.append(activity.block(number, parent, facts=3))
        parent = blocks[-1][0].hash
    writer = await writer_on(fresh_database_url)
    await writer.extend(stretch(blocks[:3]))
    await reader.execute("SET session_replication_role = replica")
    await reader.execute("UPDATE audit_log SET at = at + interval '1 hour'")
    await reader.execute("SET session_replication_role = origin")
    await writer.extend(stretch(blocks[3:]))

    await writer.retract(blocks[4][0], 5)

    await writer.close()
    found = await check_facts(reader, DEVNET_CHAIN_ID)
    assert (found.equal, found.commits) == (True, 2), found

"""Which agents a stretch of the outbox touched: never one too few, and all where it is unknown."""

from __future__ import annotations

import pytest

from renown.store import changes, outbox_touched
from renown.store.outbox_touched import since
from renown.store.pool import Conn, connect
from renown.store.reads import Head
from tests.activity import DEVNET
from tests.integration.cached import until
from tests.integration.test_outbox import CHAIN, Primary, writing


@pytest.mark.parametrize("seed", range(3))
async def test_touched__between_any_two_positions__has_every_agent_whose_state_differs(
    fresh_database_url: str, seed: int
) -> None:
    async with writing(fresh_database_url, "primary") as writer:
        primary = Primary(writer, seed)
        before: list[tuple[Head, dict[int, str]]] = []
        reader = await connect(fresh_database_url)
        exact = 0
        for _ in range(20):
            await primary.act()
            (head,) = await outbox_touched.heads(reader)
            now = await states(reader)
            for known, then in before[-4:]:
                found = await since(reader, known)
                assert found is not None
                assert found.head == head
                changed = {a for a in now.keys() | then.keys() if now.get(a) != then.get(a)}
                if found.agents is not None:
                    assert changed <= found.agents
                    exact += 1
            before.append((head, now))
        await reader.close()
        assert exact > 10


async def states(conn: Conn) -> dict[int, str]:
    """All that is said of each agent, as text."""
    rows = await conn.fetch(
        "SELECT a.agent_id, concat(a, s, (SELECT json_agg(m ORDER BY m.key_hash) FROM"
        " agent_metadata m WHERE m.chain_id = a.chain_id AND m.agent_id = a.agent_id),"
        " (SELECT json_agg(t ORDER BY t.tags_hash) FROM agent_tag_stats t"
        " WHERE t.chain_id = a.chain_id AND t.agent_id = a.agent_id))"
        " FROM agent a LEFT JOIN agent_stats s USING (chain_id, agent_id)"
    )
    return {row[0]: row[1] for row in rows}


async def test_touched__where_nothing_is_new__is_nobody(fresh_database_url: str) -> None:
    async with writing(fresh_database_url, "primary") as writer:
        await Primary(writer, 1).act()
        (head,) = await outbox_touched.heads(writer._conn)

        found = await since(writer._conn, head)

        assert found is not None
        assert found.agents == frozenset()


async def test_touched__where_it_cannot_be_known__is_everybody(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with writing(fresh_database_url, "primary") as writer:
        conn, primary = writer._conn, Primary(writer, 1)
        for _ in range(6):
            await primary.act()
        (head,) = await outbox_touched.heads(conn)

        async def agents(known: Head) -> frozenset[int] | None:
            found = await since(conn, known)
            assert found is not None
            return found.agents

        from msgspec.structs import replace

        assert await agents(replace(head, position=head.position - 1)) is not None
        # A position that is not the index's, another life of the chain, an outbox cut off.
        assert await agents(replace(head, position=head.position + 1)) is None
        assert await agents(replace(head, epoch=head.epoch + 1)) is None
        await conn.execute("DELETE FROM outbox WHERE position <= 2")
        assert await agents(replace(head, position=1)) is None
        assert await agents(replace(head, position=2)) is not None
        await writer.refold([0])
        assert await agents(head) is None
        assert await since(conn, replace(head, chain_id=DEVNET.chain_id + 1)) is None
        await conn.execute(
            "INSERT INTO outbox (chain_id, position, kind, from_block, to_block, fact_count)"
            " SELECT $1, position + 1, 'extend', block_number + 1, block_number + 1, $2"
            "   FROM checkpoint",
            *(CHAIN, outbox_touched.MOST_FACTS + 1),
        )
        (head,) = await outbox_touched.heads(conn)
        await conn.execute("UPDATE checkpoint SET position = position + 1")
        assert await agents(head) is None


async def test_word__of_more_agents_than_fit__names_the_chain(fresh_database_url: str) -> None:
    conn, other = await connect(fresh_database_url), await connect(fresh_database_url)
    heard: list[str] = []
    await conn.add_listener(changes.CHANGE_CHANNEL, lambda *said: heard.append(str(said[-1])))

    await changes.announce_agents(other, 1, [7, 3, 7])
    await changes.announce_agents(other, 1, [])
    await changes.announce_agents(other, 1, range(10**6, 10**6 + 900))
    await changes.announce_agents(other, 1, range(10**6, 10**6 + 1_000))
    await until(lambda: len(heard) == 3)

    assert (heard[0], heard[1].count(","), heard[2]) == ("1:3,7", 899, "1:*")
    await conn.close()
    await other.close()

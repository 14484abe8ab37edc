"""Names found by misspelt words, and the words that are kept for it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from renown.spec.spelling import meant_by, mistakes, mistakes_forgiven, words_of
from renown.store import names
from renown.store.pool import Conn

KEPT = "SELECT word, name_count FROM agent_name_word ORDER BY word"
COUNTED = """
SELECT w.word, count(*)
  FROM agent_name n CROSS JOIN LATERAL unnest(name_words(n.name_key)) AS w (word)
 GROUP BY w.word ORDER BY w.word
"""
NAMES = (
    *("weather oracle", "weather oracle 7", "storm watch", "langchain", "gpt trader", "oracle"),
    *("crème brûlée", "天气预报", "trading bot", "trading floor", "weather station"),
)


@pytest.fixture
async def named(conn: Conn) -> AsyncIterator[Conn]:
    """A connection on an index with nothing but these names."""
    await conn.execute("TRUNCATE agent_name")
    await conn.executemany("INSERT INTO agent_name VALUES ($1, 1)", [(name,) for name in NAMES])
    yield conn
    await conn.execute("TRUNCATE agent_name")


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("wether oracel", "weather oracle"),
        ("wether oracel 7", "weather oracle 7"),
        ("langchian", "langchain"),
        ("lang chain", "langchain"),
        ("weatheroracle", "weather oracle"),
        ("gtp trader", "gpt trader"),
        ("天气予报", "天气预报"),
        ("stormwacth", None),
        ("tradng bto", "trading bot"),
        ("stron watch", "storm watch"),
    ],
)
async def test_alike__misspelt__gives_what_was_meant_first(named, typed, first) -> None:
    found = await names.alike(named, typed, limit=5)

    assert found is not None
    assert (found[0] if found else None) == first


async def test_alike__no_name_has_all_words__gives_those_that_lack_one(named) -> None:
    assert await names.alike(named, "wether oracel trading", limit=1) == ["weather oracle"]


@pytest.mark.parametrize("typed", ["zzz", "1234", "%%%", "w" * 81, "we", "a b c d e f g h i j"])
async def test_alike__like_nothing__is_empty(named, typed) -> None:
    assert await names.alike(named, typed, limit=5) == []


async def test_alike__itself__is_left_out(named) -> None:
    assert "oracle" not in (await names.alike(named, "oracle", limit=9) or [])


async def test_near__any_words__are_all_that_are_near_enough(conn) -> None:
    chance = random.Random(7)

    def word(most: int) -> str:
        return "".join(chance.choice("abcde") for _ in range(chance.randint(1, most)))

    known = sorted({word(10) for _ in range(250)})
    typed = sorted({word(10) for _ in range(150)} - set(known))
    await conn.execute("TRUNCATE agent_name")
    await conn.executemany("INSERT INTO agent_name VALUES ($1, 1)", [(one,) for one in known])

    rows = await conn.fetch(names.NEAR, typed, [])

    for one in typed:
        near = [(row[1], row[2]) for row in rows if row[0] == one]
        forgiven = mistakes_forgiven(one)
        meant = {other for other in known if mistakes(one, other, forgiven) <= forgiven}
        assert set(meant_by(one, near, 1_000)) == meant


async def test_words__of_any_name__are_cut_alike_here_and_there(conn) -> None:
    chance = random.Random(8)
    letters = "aé天中 -_'’\"#[]\\^{}~0123456789/.,\u0301Ω"
    texts = ["".join(chance.choice(letters) for _ in range(12)) for _ in range(300)]

    rows = await conn.fetch("SELECT t, name_words(t) FROM unnest($1::text[]) AS t", texts)

    for text, words in rows:
        assert set(words_of(text)) <= set(words)
        assert len(words_of(text)) in (len(words), 6)


async def test_word_counts__names_come_and_go__follow(named) -> None:
    upsert = """INSERT INTO agent_name AS n VALUES ('oracle', 2), ('storm oracle', 1)
        ON CONFLICT (name_key) DO UPDATE SET agent_count = n.agent_count + excluded.agent_count"""
    for statement in (
        upsert,
        "DELETE FROM agent_name WHERE name_key LIKE 'weather%'",
        "UPDATE agent_name SET agent_count = 5",
        upsert,
    ):
        await named.execute(statement)
        assert await named.fetch(KEPT) == await named.fetch(COUNTED) != []
    await named.execute("TRUNCATE agent_name")
    assert await named.fetch(KEPT) == []

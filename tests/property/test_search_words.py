"""Whatever strangers write and whatever is typed: PostgreSQL takes it, and it finds itself."""

from __future__ import annotations

from contextlib import suppress
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from renown.derive.filters import condition, expression
from renown.errors import BadParameter
from renown.spec import highlights
from renown.spec.highlights import fragments, lexemes_of
from renown.spec.words import prepared, query_text
from renown.store.pool import Conn

odd = st.text(alphabet=st.characters(), max_size=60) | st.text(
    alphabet="aB1 _-./\\'\"&|!()<>:*~@#天気ก\u200b\u202e\x00\ud800", max_size=60
)


@given(odd)
def test_prepared__any_text__is_words_with_single_spaces(text) -> None:
    words = prepared(text, 1000)

    assert words == " ".join(words.split())
    words.encode()
    assert not set(words) & set("'\"&|!()<>:*\\\x00")


@given(odd, st.sets(st.text(alphabet="abæ天'", min_size=1, max_size=4)))
def test_fragments__any_text__put_together_are_the_text(text, lexemes) -> None:
    found = fragments(text, lexemes)

    assert found is None or "".join(one.text for one in found) == text


_pieces = st.lists(
    st.sampled_from(
        ("weather", "Weather", "ing", "s", "get", "A", "K", "_-", " ", "éİſ", "天気\u0301")
    ),
    min_size=1,
    max_size=8,
).map("".join)
_lexemes = st.sets(
    st.sampled_from(("weather", "weatheri", "get", "a", "天気", "é", "i", "s-")), min_size=1
)


@example("Weathers, getWeather", {"weatheri"})
@example("a天気Ｋweathering", {"get", "天気", "k"})
@given(_pieces, _lexemes)
def test_fragments__any_text__are_those_of_a_look_at_each_word(text, lexemes) -> None:
    found = fragments(text, lexemes)

    with patch.object(highlights, "_candidates", lambda text, _: highlights._WORD.finditer(text)):
        assert fragments(text, lexemes) == found


@given(odd)
def test_expression__any_text__is_a_query_or_a_refusal(text) -> None:
    with suppress(BadParameter):
        expression(text)


async def test_queries__any_text__are_taken_by_the_database(conn: Conn) -> None:
    texts: list[str] = []

    @settings(max_examples=300)
    @given(odd)
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    for text in texts:
        said = await conn.fetchval(
            "SELECT websearch_to_tsquery('renown', $1)::text", query_text(text)
        )
        lexemes_of(said)
        if text.strip():
            await conn.fetchval("SELECT $1::text::tsquery", condition("tag", text))


async def test_queries__words_of_a_text__find_it(conn: Conn) -> None:
    texts: list[str] = []

    @settings(max_examples=300)
    @given(st.text(alphabet="abcXYZ12 _-./天気ก", min_size=1, max_size=30))
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    for text in texts:
        query = query_text(text.replace("-", " "))
        found = await conn.fetchval(
            "SELECT numnode(q) = 0 OR to_tsvector('renown', $1) @@ q"
            "  FROM websearch_to_tsquery('renown', $2) q",
            *(prepared(text, 1000), query),
        )
        assert found, (text, query, prepared(text, 1000))

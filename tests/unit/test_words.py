"""Texts and queries made ready for the search, and what is marked in what was found."""

from __future__ import annotations

import time

import pytest

from renown.spec.documents.model import Registration, Service
from renown.spec.highlights import Fragment, fragments, lexemes_of
from renown.spec.words import MOST_QUERY_WORDS, prepared, query_text, texts_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("getWeather", "get weather getweather"),
        ("get_weather", "get weather getweather"),
        ("a/b.c", "a b c abc"),
        ("MCPServer", "mcp server mcpserver"),
        ("gpt-4o", "gpt 4o gpt4o"),
        ("天气预报", "天气 气预 预报 天 气 预 报"),
        ("AI天气", "ai 天气 天 气"),
        ("天", "天"),
        ("ＡＩ ﬁne", "ai fine"),
        ("<b>x & y</b>", "b x y b"),
        ("pay\u202epal a\u200bb\x00c\ud800d", "paypal ab c d"),
        ("हिन्दी", "हिन्दी"),
        ("🦀 !!! ---", ""),
        ("x" * 200, "x" * 80),
        ("", ""),
    ],
)
def test_prepared__texts_as_strangers_write_them__become_plain_words(text, words) -> None:
    assert prepared(text, 1000) == words


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("Weather Oracle", "weather oracle"),
        ("get-weather", '"get weather"'),
        ("a OR b", "a or b"),
        ("or a or or b or", "a or b"),
        ('"or"', '"or"'),
        ('-"x y" z', '-"x y" z'),
        ("“typographic quotes”", '"typographic quotes"'),
        ('"never closed', '"never closed"'),
        ("-", ""),
        ("--x", "-x"),
        ("getWeather", 'getweather or "get weather"'),
        ("OpenAI agents", "openai agents"),
        ("天气预报", '"天气 气预 预报"'),
        ("a & b | !c <-> (d:*)", "a b c d"),
        ("';DROP TABLE agent", '"drop" table agent'.replace('"drop"', "drop")),
    ],
)
def test_query_text__as_people_type__is_what_the_parser_understands(query, meant) -> None:
    assert query_text(query) == meant


def test_query_text__very_many_words__keeps_the_first() -> None:
    assert len(query_text(" ".join(f"w{n}" for n in range(5000))).split()) == MOST_QUERY_WORDS


def test_texts_of__registration__sorts_its_words_by_weight() -> None:
    said = Registration(
        name="Weather Oracle",
        description="Tells.",
        tags=("Sky",),
        services=(
            Service(
                position=0,
                kind="mcp",
                name="MCP",
                endpoint="https://user@mcp.example.com:8080/path",
                skills=("nlp/translation",),
                tools=("getForecast",),
                description="Serves.",
            ),
            Service(position=1, kind="ens", name="ENS", endpoint="oracle.eth"),
        ),
    )

    texts = texts_of(said, ["live_tool"])

    assert texts.name == "weather oracle"
    assert texts.tags == "sky"
    assert texts.description == "tells serves"
    assert {
        "live",
        "tool",
        "mcp",
        "example",
        "com",
        "nlp",
        "translation",
        "forecast",
        "oracle",
    } <= {*texts.offers.split()}
    assert not {"user", "path", "https"} & {*texts.offers.split()}


@pytest.mark.parametrize(
    "text", ["天" * 10**6, "aB" * 10**6, "ﷺ" * 10**6, "a." * 10**6, "\u0300" * 10**6]
)
def test_texts_of__enormous_texts__are_bounded(text) -> None:
    service = Service(position=0, kind="other", name=text, tools=(text,) * 1000, description=text)
    said = Registration(
        name=text, description=text, tags=(text,) * 1000, services=(service,) * 1000
    )

    start = time.perf_counter()
    texts = texts_of(said, (text for _ in range(10**9)))

    assert sum(map(len, (texts.name, texts.offers, texts.tags, texts.description))) < 200_000
    assert time.perf_counter() - start < 2


def test_lexemes_of__query_of_the_database__leaves_out_what_is_negated() -> None:
    said = "'weather' & !'rain' & !( 'a' <-> 'b' ) | ( 'it''s' & 'c\\\\d' )"

    assert lexemes_of(said) == {"weather", "it's", "c\\d"}


def test_fragments__put_together__are_the_text() -> None:
    text = "The getWeather tool: weathers 天气预报, running café <b>Weathered</b>"

    found = fragments(text, {"weather", "天气", "run", "cafe"})

    assert found is not None
    assert "".join(one.text for one in found) == text
    assert [one.text for one in found if one.hit] == [
        *("Weather", "weathers", "天气", "running", "café", "Weathered")
    ]


def test_fragments__no_hit__is_none() -> None:
    assert fragments("nothing here", {"weather"}) is None
    assert fragments("", {"weather"}) is None
    assert fragments("weather", {"weather"}) == [Fragment("weather", True)]

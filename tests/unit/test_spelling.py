"""What was meant by a misspelt name."""

from __future__ import annotations

import pytest

from renown.spec.spelling import cuts_and_joins, meant_by, mistakes, words_of


@pytest.mark.parametrize(
    ("name_key", "expected"),
    [
        ("weather oracle", ["weather", "oracle"]),
        ("o'reilly_bot/gpt4-turbo", ["o", "reilly", "bot", "gpt", "turbo"]),
        ("agent #1234", ["agent"]),
        ("bot bot bot", ["bot"]),
        ("天气预报 crème", ["天气预报", "crème"]),
        ("x" * 60, ["x" * 40]),
        ("a b c d e f g h", ["a", "b", "c", "d", "e", "f"]),
        ("123 !!! ’", []),
    ],
)
def test_words__of_a_name__are_what_stands_between_marks_and_digits(name_key, expected) -> None:
    assert words_of(name_key) == expected


@pytest.mark.parametrize(
    ("said", "meant", "expected"),
    [
        ("oracle", "oracle", 0),
        ("oracel", "oracle", 1),
        ("wether", "weather", 1),
        ("weatther", "weather", 1),
        ("weither", "weather", 1),
        ("lnagchian", "langchain", 2),
        ("storm", "oracle", 3),
        ("a", "abcd", 3),
    ],
)
def test_mistakes__are_letters_too_many_missing_other_or_swapped(said, meant, expected) -> None:
    assert mistakes(said, meant) == mistakes(meant, said) == expected


def test_meant__by_a_word__likest_first_then_of_most_names() -> None:
    known = [("oracles", 9), ("oracle", 2), ("orated", 90), ("coracle", 50), ("miracle", 99)]

    assert meant_by("oracle", known, 3) == ["oracle", "coracle", "oracles"]
    assert meant_by("cat", [("at", 1), ("t", 5), ("cut", 2)], 9) == ["cut", "at"]
    assert meant_by("ai", [("ai", 1), ("ax", 5)], 9) == ["ai"]


def test_spaces__too_many_or_missing__are_tried_one_at_a_time() -> None:
    assert cuts_and_joins(["lang", "chain"]) == [("langchain",)]
    assert cuts_and_joins(["gptbot"]) == [("gpt", "bot")]
    assert cuts_and_joins(["short"]) == []

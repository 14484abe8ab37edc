"""Names compared as people type them, and as eyes mistake them (C3)."""

from __future__ import annotations

import pytest

from renown.spec.names import LONGEST_NAME, name_key, skeleton


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Uniswap", "uniswap"),
        ("  Uni \n swap ", "uni swap"),
        ("Ｕｎｉｓｗａｐ", "uniswap"),
        ("Straße", "STRASSE"),
        ("Uni\u200bswap", "Uniswap"),
        ("Cafe\u0301", "CAFÉ"),
        ("①", "1"),
    ],
)
def test_name_key__names_that_read_the_same__have_one(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_name_key__names_that_read_otherwise__have_others() -> None:
    assert len({name_key(name) for name in ("Uniswap", "Unlswap", "Uni swap", "Unіswap")}) == 4
    assert name_key("\u200b\u2060") == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Uniswap", "Unіswаp"),  # Cyrillic і and а
        ("Uniswap", "UNISWAP"),
        ("Uniswap", "Uni\u200bswap"),
        ("Uniswap", "𝐔𝐧𝐢𝐬𝐰𝐚𝐩"),
        ("Uniswap", "Ｕｎｉｓｗａｐ"),
        ("Paypal", "PaypaI"),
        ("Paypal", "Раураl"),  # Cyrillic Р, а, у
        ("modern", "rnodern"),
        ("0x Agent", "Ox Agent"),
        ("Google", "Gοοgle"),  # Greek ο
        ("IBM", "ibm"),
        ("Iris", "lris"),
        ("Agent 1", "Agent l"),
        ("é", "e\u0301"),
    ],
)
def test_c3_skeleton__names_that_eyes_confuse__have_one(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


def test_c3_skeleton__names_that_eyes_tell_apart__have_others() -> None:
    names = ("Uniswap", "Sushiswap", "Uni swap", "Юнисвап", "ユニスワップ", "Ünıswap")
    assert len({skeleton(name) for name in names}) == len(names)


@pytest.mark.parametrize("make", [name_key, skeleton])
@pytest.mark.parametrize("unit", ["x", "\ufdfa", "m", "e\u0301\u0302", "👩‍🚀", "\u0345", "ΐ"])
def test_names__however_long__are_bounded(make: object, unit: str) -> None:
    assert callable(make)
    assert len(make(unit * 100_000)) <= 2 * LONGEST_NAME


@pytest.mark.parametrize("make", [name_key, skeleton])
def test_names__keys_of_keys__are_the_same(make: object) -> None:
    assert callable(make)
    for name in ("Uniswap", "Unіswаp", "Straße", "IBM", "rnodern"):
        assert make(make(name)) == make(name)

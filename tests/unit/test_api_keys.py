"""E1: how keys are written, read and hashed."""

from __future__ import annotations

import hashlib
import hmac
import re
import time

import pytest

from renown.spec.api_keys import (
    RANDOM_BYTES,
    Peppers,
    fingerprint,
    hash_secret,
    new_key,
    read_key,
)

KEY = new_key("live", bytes(range(RANDOM_BYTES)))


def test_new_key__from_random_bytes__is_of_the_form_and_holds_all_of_them():
    assert re.fullmatch(
        r"ak_live_[0-9a-hjkmnp-tv-z]{8}_[0-9a-hjkmnp-tv-z]{32}_[0-9a-f]{8}", KEY.text
    )
    assert read_key(KEY.text) == (KEY.key_id, KEY.secret)
    assert KEY.text == "ak_live_000g40r4_0m30e209185gr38e1w8124gk2gahc5rr_" + KEY.text[-8:]
    every_bit = {new_key("dev", (1 << n).to_bytes(RANDOM_BYTES)).text for n in range(200)}
    assert len(every_bit) == 200


@pytest.mark.parametrize("size", [0, 24, 26])
def test_new_key__from_another_amount_of_randomness__is_an_error(size: int):
    with pytest.raises(ValueError):
        new_key("live", bytes(size))


def test_read_key__with_any_one_character_changed__is_none():
    for place, before in enumerate(KEY.text):
        for other in "0az_A\n":
            if other != before:
                assert read_key(KEY.text[:place] + other + KEY.text[place + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "ak", KEY.text[:-1], KEY.text + "0", KEY.text + "\n", " " + KEY.text),
        *(KEY.text.upper(), KEY.text.replace("live", "prod"), "ak_live___", KEY.text * 2),
        KEY.text.replace("0", "٠"),
    ],
)
def test_read_key__of_what_is_none__is_none(text: str):
    assert read_key(text) is None


def test_hash__of_a_secret__is_hmac_sha256_under_the_pepper():
    expected = hmac.new(b"pepper", KEY.secret.encode(), hashlib.sha256).digest()
    assert hash_secret(b"pepper", KEY.secret) == expected


def test_key__when_shown_by_mistake__does_not_show_its_secret():
    assert KEY.secret not in repr(KEY)
    assert "0123456789abcdef" not in repr(Peppers.from_setting("0123456789abcdef"))


def test_peppers__when_one_replaces_another__open_keys_of_both():
    old = Peppers.from_setting("an old pepper of sixteen")
    stored = old.hash_new(KEY.secret)
    both = Peppers.from_setting("2:a new pepper of sixteen,1:an old pepper of sixteen")

    assert both.opens(old.newest, KEY.secret, stored)
    assert both.newest == "2"
    assert both.opens("2", KEY.secret, both.hash_new(KEY.secret))
    assert not both.opens("2", KEY.secret, stored)
    assert not both.opens("3", KEY.secret, stored)


def test_peppers__when_the_old_one_is_gone__do_not_open_its_keys():
    stored = hash_secret(b"an old pepper of sixteen", KEY.secret)
    new = Peppers.from_setting("a new pepper of sixteen")

    assert not new.opens(fingerprint(b"an old pepper of sixteen"), KEY.secret, stored)
    assert not new.knows(fingerprint(b"an old pepper of sixteen"))


@pytest.mark.parametrize("text", ["", ",", "short", "1:short", "1:" + "x" * 16 + ",1:" + "y" * 16])
def test_peppers__that_cannot_be_used__are_an_error_that_does_not_show_them(text: str):
    with pytest.raises(ValueError) as caught:
        Peppers.from_setting(text)
    assert "short" not in str(caught.value).replace("shorter", "")


def test_opening__with_a_version_that_is_unknown__takes_as_long_as_with_a_known_one():
    peppers = Peppers.from_setting("a pepper of sixteen characters")
    took = {}
    for version in (peppers.newest, "unknown"):
        began = time.process_time()
        for _ in range(20_000):
            peppers.opens(version, KEY.secret, bytes(32))
        took[version] = time.process_time() - began
    slow, quick = max(took.values()), min(took.values())
    assert slow < 2 * quick  # one HMAC more or less would double it

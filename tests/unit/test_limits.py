"""What is counted for a request, and what settings may say about it."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from renown.errors import BadSettings
from renown.settings import load_settings
from renown.spec.limits import (
    COST_CLASSES,
    DEFAULTS,
    MOST_PER_MINUTE,
    OF_ACCOUNT,
    OF_ADDRESS,
    TIERS,
    CostClass,
    counted,
    read_limits,
)

WALLET = b"\x01" * 20


def test_defaults__each_tier__allows_more_than_the_one_below():
    for lower, upper in pairwise(TIERS):
        for cost in COST_CLASSES:
            assert DEFAULTS[lower][cost] < DEFAULTS[upper][cost]


def test_counted__without_a_key__only_the_address():
    (limit,) = counted(DEFAULTS, tier="anonymous", cost="read", address="192.0.2.1")

    assert (limit.policy, limit.most) == ("address", DEFAULTS["anonymous"]["read"])


def test_counted__with_a_key__the_key_its_account_and_a_ceiling_for_the_address():
    limits = counted(
        DEFAULTS, tier="pro", cost="read", address="192.0.2.1", key_id="k1", account_id=7
    )
    most = DEFAULTS["pro"]["read"]

    assert [(limit.policy, limit.most) for limit in limits] == [
        ("key", most),
        ("account", most * OF_ACCOUNT),
        ("address", most * OF_ADDRESS),
    ]


def test_counted__keys_accounts_tiers_and_classes__do_not_share_a_counter():
    def counters(**asked: Any) -> set[str]:
        usual: dict[str, Any] = {
            "tier": "free",
            "cost": "write",
            "address": "a",
            "key_id": "k",
            "account_id": 1,
            "wallets": [WALLET],
        }
        return {limit.counter for limit in counted(DEFAULTS, **(usual | asked))}

    usual = counters()
    assert len(usual) == 4
    assert not usual & counters(cost="auth")
    assert len(usual & counters(key_id="k2")) == 3
    assert len(usual & counters(address="b")) == 3
    assert len(usual & counters(tier="pro")) == 3  # one network's tiers do not starve each other
    assert len(usual & counters(key_id="k2", account_id=2)) == 1
    assert not usual & counters(key_id=None, account_id=None)


@pytest.mark.parametrize("cost", ["write", "auth"])
def test_counted__a_wallet_named_twice__counts_once(cost: CostClass):
    limits = counted(
        DEFAULTS, tier="anonymous", cost=cost, address="a", wallets=[WALLET, WALLET, b"\x02" * 20]
    )

    assert [limit.policy for limit in limits] == ["address", "wallet", "wallet"]


def test_counted__somebody_elses_wallet__is_not_locked_out_by_naming_it():
    mine = counted(
        DEFAULTS,
        tier="free",
        cost="write",
        address="a",
        key_id="k",
        account_id=1,
        wallets=[WALLET],
    )
    theirs = counted(
        DEFAULTS,
        tier="free",
        cost="write",
        address="b",
        key_id="l",
        account_id=2,
        wallets=[WALLET],
    )
    sign_in = counted(DEFAULTS, tier="anonymous", cost="auth", address="a", wallets=[WALLET])

    assert {limit.counter for limit in mine}.isdisjoint(limit.counter for limit in theirs)
    address, wallet = sign_in
    assert wallet.most > 5 * address.most


def test_read__some_limits__leave_the_others_as_they_are():
    limits = read_limits('{"free": {"read": 1}, "pro": {}}')

    assert limits["free"]["read"] == 1
    assert limits["free"]["search"] == DEFAULTS["free"]["search"]
    assert limits["pro"] == DEFAULTS["pro"]
    assert DEFAULTS["free"]["read"] == 600


def test_docs__the_table_of_limits__is_that_of_the_code():
    page = (Path(__file__).parents[2] / "docs/reference/limits.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d, |]+) \|$", page, re.MULTILINE)
    documented = {
        tier: [int(number.replace(",", "")) for number in numbers.split(" | ")]
        for tier, numbers in rows
    }

    assert documented == {
        tier: [DEFAULTS[tier][cost] for cost in ("read", "search", "write", "auth")]
        for tier in TIERS
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "write a JSON object"),
        ("600", "write a JSON object"),
        ("{", "write a JSON object"),
        ("[" * 100_000, "write a JSON object"),
        ('{"free": 600}', "write a JSON object"),
        ('{"gold": {"read": 1}}', "no tier is called 'gold'"),
        ('{"free": {"reads": 1}}', "no class is called 'reads'; there are read, search"),
        ('{"free": {"read": 0}}', "free.read: a whole number from 1"),
        ('{"free": {"read": -5}}', "free.read: a whole number from 1"),
        ('{"free": {"read": 1.5}}', "free.read: a whole number from 1"),
        ('{"free": {"read": true}}', "free.read: a whole number from 1"),
        ('{"free": {"read": "9"}}', "free.read: a whole number from 1"),
        ('{"free": {"read": null}}', "free.read: a whole number from 1"),
        ('{"free": {"read": 1e400}}', "free.read: a whole number from 1"),
        (json.dumps({"free": {"read": MOST_PER_MINUTE + 1}}), "free.read: a whole number from 1"),
    ],
)
def test_settings__limits_that_cannot_be__stop_the_start(
    monkeypatch: pytest.MonkeyPatch, text: str, says: str
):
    monkeypatch.setenv("RENOWN_LIMITS", text)

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert caught.value.detail.startswith("RENOWN_LIMITS: ")
    assert says in caught.value.detail


def test_settings__a_proxy_or_redis_that_cannot_be__stops_the_start_without_the_secret(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("RENOWN_TRUSTED_PROXIES", "10.0.0.0/8,*")
    monkeypatch.setenv("REDIS_URL", "http://:canary@redis.example")

    with pytest.raises(BadSettings) as caught:
        load_settings()

    assert "RENOWN_TRUSTED_PROXIES: '*' is no address" in caught.value.detail
    assert "REDIS_URL: write redis://" in caught.value.detail
    assert "canary" not in str(caught.value)

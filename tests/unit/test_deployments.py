from __future__ import annotations

import pytest

from renown.chain.transport import host_of
from renown.errors import ChainNotFound
from renown.spec.deployments import (
    DEPLOYMENTS,
    DEVNET_CHAIN_ID,
    DEVNET_FINAL_BLOCKS,
    FinalityPolicy,
    endpoints,
    find,
)

MAINNET_IDENTITY = bytes.fromhex("8004a169fb4a3325136eb29fa0ceb6d2e539a432")
TESTNET_IDENTITY = bytes.fromhex("8004a818bfb912233c491871b3d84c89a494bd9e")


def test_deployments__all__are_the_fifty_and_the_devnet():
    official = [d for d in DEPLOYMENTS.values() if d.slug != "devnet"]

    assert len(official) == 50
    assert sum(d.testnet for d in official) == 25
    assert len({d.slug for d in DEPLOYMENTS.values()}) == 51


def test_deployments__addresses__are_one_set_a_kind():
    for deployment in DEPLOYMENTS.values():
        wanted = TESTNET_IDENTITY if deployment.testnet else MAINNET_IDENTITY
        assert deployment.identity == wanted
        assert [len(address) for address in deployment.contracts] == [20, 20, 20]
        assert len(set(deployment.contracts)) == 3


def test_deployments__start_blocks__are_carried_over_with_their_doubts():
    known = [d for d in DEPLOYMENTS.values() if d.start_block is not None and d.chain_id != 31337]

    assert len(known) == 27
    assert find("ethereum").start_block == 24339871
    assert {d.slug for d in known if d.start_block_unsure} == {
        "sepolia",
        "base-sepolia",
        "avalanche",
        "bsc-testnet",
        "skale-base-sepolia",
    }
    assert find("arc-testnet").start_block is None


@pytest.mark.parametrize(
    "text", ["base", "BASE", "8453", "eip155:8453", " Base Mainnet ", "base mainnet"]
)
def test_find__any_name__finds_the_chain(text):
    assert find(text).chain_id == 8453


@pytest.mark.parametrize(
    ("text", "near"), [("bsae", "base"), ("ethereun", "ethereum"), ("base-sepola", "base-sepolia")]
)
def test_find__a_misspelt_name__names_what_comes_close(text, near):
    with pytest.raises(ChainNotFound) as caught:
        find(text)

    assert near in caught.value.detail


@pytest.mark.parametrize("text", ["", "99999", "eip155:", "eip155:x", "9" * 30, "\x1b[31m", "١"])
def test_find__nonsense__is_not_found(text):
    with pytest.raises(ChainNotFound) as caught:
        find(text)

    assert "\x1b" not in caught.value.detail


def test_policies__every_chain__follows_reorgs_at_least_as_deep_as_it_waits():
    for deployment in DEPLOYMENTS.values():
        policy = deployment.finality
        least = DEVNET_FINAL_BLOCKS if deployment.chain_id == DEVNET_CHAIN_ID else 64
        assert least <= policy.depth_blocks < policy.reorg_limit_blocks
        assert policy.block_seconds > 0


def test_policy__of_an_unknown_chain__is_sane():
    policy = FinalityPolicy.usual(block_seconds=0.25)

    assert policy.depth_blocks == 480
    assert policy.reorg_limit_blocks == 7_200


def test_endpoints__all__are_https_without_a_key_and_of_known_chains():
    for chain_id in DEPLOYMENTS:
        for url in endpoints(chain_id):
            assert url.startswith("https://") or chain_id == 31337
            assert host_of(url)
    assert endpoints(99999) == ()

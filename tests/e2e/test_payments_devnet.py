"""Payments on a real chain: the seeded world's proofs, EIP-3009, and a reorganisation."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from renown.chain.devnet import dollars
from renown.chain.devnet.addresses import DOLLAR, IDENTITY
from renown.chain.devnet.blocks import mining
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.seed import seed_world
from renown.chain.devnet.wallets import devnet_wallet
from renown.chain.tx.writer import ChainWriter, writers_for
from renown.ingest.payments import PaymentWorker
from renown.spec import calls
from renown.spec.tokens import KNOWN_TOKENS
from renown.store.pool import connect
from renown.store.wallets import add_wallet
from tests.access import acting_api, give_account
from tests.crawling import Web, crawl, rows
from tests.e2e.devnet import devnet, index
from tests.factories import DEVNET
from tests.integration.api import get

CHAIN = DEVNET.chain_id


def worker(url: str, writer: ChainWriter, *, ahead: timedelta = timedelta()) -> PaymentWorker:
    return PaymentWorker(
        lambda: connect(url),
        {CHAIN: writer},
        tokens=KNOWN_TOKENS,
        clock=lambda: datetime.now(UTC) + ahead,
    )


@pytest.mark.slow
async def test_seeded_world__every_proof_of_payment__is_told_true_from_false(
    fresh_database_url: str,
) -> None:
    url = fresh_database_url
    async with devnet() as net:
        await seed_world(net.node, 1, agents=12)
        await index(url, DEVNET, net.url, until=await net.head())
        await crawl(url, Web())
        writer = writers_for({CHAIN: (net.url,)})[CHAIN]
        try:
            await worker(url, writer, ahead=timedelta(seconds=1)).run_until_idle()
        finally:
            await writer.close()
    named = await rows(
        url, "SELECT state, reason FROM payment_claim WHERE pay_chain_id = $1", CHAIN
    )
    told = Counter(state if reason is None else reason for state, reason in named)
    good = told["included"] + told["confirmed"]
    assert good >= 9, told
    assert told["used-by-other-feedback"] == 1, told
    assert told["wrong-receiver"] == 1, told
    assert told["wrong-payer"] + told["claimed-otherwise"] == 2, told
    assert told["pending"] >= 2, "two name a transaction that nobody has sent"
    moved = await rows(url, "SELECT count(*), count(DISTINCT (tx_hash, log_index)) FROM payment")
    assert moved == [(good, good)]
    assert {row[0] for row in await rows(url, "SELECT payee_basis FROM payment")} == {"wallet"}


async def test_link__on_anvil__paid_by_signature_then_reorganised_away_and_paid_again(
    fresh_database_url: str,
) -> None:
    url, payer, relayer = fresh_database_url, devnet_wallet(1), devnet_wallet(2)
    agent = devnet_wallet(3).address
    signed = dollars.transfer_with_authorization(
        payer.private_key, payer.address, agent, 2_500_000, b"\5" * 32
    )
    async with devnet() as net:
        await place_registries(net.node)
        writer = writers_for({CHAIN: (net.url,)})[CHAIN]
        async with mining(net.node) as miner:
            await miner.send(agent, IDENTITY, calls.register())
            await index(url, DEVNET, net.url, until=await miner.mine())
            before = await net.node.call("evm_snapshot", [], str)
            paid = await miner.send(relayer.address, DOLLAR, signed)
            await index(url, DEVNET, net.url, until=await miner.mine())
        async with acting_api(url) as api:
            api.app.state.desk.writers = {CHAIN: writer}
            holder = await give_account(api.pool)
            async with api.pool.transaction() as tx:
                payer_id = holder.account.account_id
                await add_wallet(tx, payer_id, payer.address, 0, "signature")
            path = f"/v1/agents/{CHAIN}:0/payments"
            answer = await api.client.post(
                path, json={"tx_hash": f"0x{paid.hex()}"}, headers=holder.headers
            )
            assert answer.status_code == 202, answer.text
            assert answer.json()["claim"]["state"] == "included"
            assert answer.json()["payments"][0]["amount"] == "2500000"

            await net.node.call("evm_revert", [before], bool)
            minute = timedelta(minutes=1)
            await worker(url, writer, ahead=minute).run_until_idle()
            assert (await get(api.client, path))["items"] == []

            async with mining(net.node) as miner:
                again = await miner.send(relayer.address, DOLLAR, signed)
                for _ in range(DEVNET.finality.depth_blocks + 2):
                    head = await miner.mine()
                await index(url, DEVNET, net.url, until=head)
            assert again == paid, "the same bytes"
            await worker(url, writer, ahead=60 * minute).run_until_idle()
            (one,) = (await get(api.client, path))["items"]
            assert (one["payer"].lower(), one["payee_basis"]) == (
                f"0x{payer.address.hex()}",
                "wallet",
            )
        await writer.close()

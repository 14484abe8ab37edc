"""The writes on a real chain: prepared over HTTP, signed, watched, and read back from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from eth_abi.abi import decode

from renown.chain.devnet.addresses import CHAIN_ID, IDENTITY, REPUTATION
from renown.ingest.operations.watcher import Watcher
from renown.spec import calls
from renown.spec.deployments import DEVNET_FINAL_BLOCKS, find
from renown.spec.inline import read_inline
from renown.store.pool import connect
from renown.store.wallets import add_wallet
from renown.types import checksum_address
from tests.access import Holder, acting_api, give_account
from tests.acting import Acting, acting, node_url
from tests.e2e.devnet import index
from tests.fakes.writing import from_json
from tests.integration.test_writes import FILE

DEVNET = find(str(CHAIN_ID))
SECONDS = 30


class Place:
    """The API, a watcher, and a chain; the account has the devnet's first two wallets."""

    def __init__(self, chain: Acting, url: str, client: httpx.AsyncClient, me: Holder) -> None:
        self.chain, self.url, self.client, self.me = chain, url, client, me
        self.owner, self.rater, self.payee = (checksum_address(w) for w in chain.wallets[:3])

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        headers = self.me.headers
        if isinstance(body, dict) and body.get("mode") == "managed":
            headers = headers | {"Idempotency-Key": str(uuid4())}
        answer = await self.client.request(method, path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def signed(self, operation: Any) -> Any:
        """Every transaction that can be signed now, handed over."""
        raws = [
            "0x" + (await self.chain.signer.sign(from_json(one["unsigned"]))).hex()
            for one in operation["transactions"]
            if one["unsigned"] is not None
        ]
        path = f"/v1/operations/{operation['id']}/transactions"
        return await self.send("POST", path, {"transactions": raws})

    async def until(self, operation: Any, *states: str) -> Any:
        """The operation once it is in one of these states."""
        async with asyncio.timeout(SECONDS):
            while operation["state"] not in states:
                await asyncio.sleep(0.05)
                operation = await self.send("GET", f"/v1/operations/{operation['id']}")
        return operation

    async def indexed(self) -> None:
        head = await self.chain.writer.head()
        await index(self.url, DEVNET, node_url(self.chain.node), until=head)

    async def ask(self, contract: bytes, kind: str, signature: str, *arguments: Any) -> Any:
        call = calls.encode_call(signature, *arguments)
        return decode([kind], await self.chain.writer.call(contract, call))[0]


@pytest.fixture
async def place(fresh_database_url: str) -> AsyncIterator[Place]:
    async with acting() as chain, acting_api(fresh_database_url) as api:
        api.app.state.desk.writers = {CHAIN_ID: chain.writer}
        api.app.state.desk.signer = chain.signer
        me = await give_account(api.pool)
        async with api.pool.transaction() as tx:
            for wallet in chain.wallets[:2]:
                await add_wallet(tx, me.account.account_id, wallet, 0, "signature")
        watcher = Watcher(
            lambda: connect(fresh_database_url),
            {CHAIN_ID: chain.writer},
            chain.signer,
            signer_is_open=True,
        )
        watching = asyncio.create_task(watcher.run())
        made = Place(chain, fresh_database_url, api.client, me)
        await made.indexed()
        yield made
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def test_agents_life__when_lived_over_http__then_the_contracts_say_the_same(
    place: Place,
) -> None:
    body = {"chain": "devnet", "from": place.owner, "file": FILE, "names_itself": True}
    made = await place.send("POST", "/v1/agents", body | {"metadata": {"a": "b"}})
    made = await place.signed(made)
    async with asyncio.timeout(SECONDS):
        while made["transactions"][1]["unsigned"] is None:  # a moment after the block was seen
            assert made["next"] == "wait"
            await asyncio.sleep(0.05)
            made = await place.send("GET", f"/v1/operations/{made['id']}")
    assert made["next"] == "sign"
    assert (made["state"], made["left"]) == ("partly_applied", [2])
    assert made["agent"]["key"].endswith(":0")
    await place.signed(made)
    made = await place.until(made, "included", "final")
    uri = await place.ask(IDENTITY, "bytes", "tokenURI(uint256)", 0)
    assert msgspec.json.decode(read_inline(uri).body or b"")["registrations"][0]["agentId"] == 0

    await place.indexed()
    agent = "/v1/agents/31337:0"
    body = {"from": place.owner, "uri": "ipfs://x", "metadata": {"k": "v", "l": "w", "a": None}}
    update = await place.signed(await place.send("PATCH", agent, body))
    update = await place.until(update, "included", "final")
    assert [one["state"] in ("included", "final") for one in update["transactions"]] == [True] * 4
    assert await place.ask(IDENTITY, "bytes", "tokenURI(uint256)", 0) == b"ipfs://x"
    for key, value in ((b"k", b"v"), (b"a", b"")):
        assert await place.ask(IDENTITY, "bytes", "getMetadata(uint256,string)", 0, key) == value

    refused = await place.client.post(
        f"{agent}/feedback", json={"from": place.owner, "value": 1}, headers=place.me.headers
    )
    assert (refused.status_code, refused.json()["reason"]) == (422, "Self-feedback not allowed")
    rate = {"from": place.rater, "value": "99.7", "tag1": "uptime"}
    rated = await place.signed(await place.send("POST", f"{agent}/feedback", rate))
    await place.until(rated, "included", "final")
    await place.indexed()
    path = f"{agent}/feedback/{place.rater}/1"
    answered = await place.send(
        "POST", f"{path}/responses", {"from": place.owner, "uri": "ipfs://y"}
    )
    await place.until(await place.signed(answered), "included", "final")
    revoked = await place.signed(await place.send("DELETE", path))
    await place.until(revoked, "included", "final")
    last = "getLastIndex(uint256,address)"
    assert await place.ask(REPUTATION, "uint64", last, 0, place.chain.wallets[1]) == 1

    asked = {"from": place.owner, "validator": place.rater, "file": {"work": "done"}}
    asked = await place.signed(await place.send("POST", f"{agent}/validations", asked))
    await place.until(asked, "included", "final")
    await place.indexed()
    listed = (await place.send("GET", f"{agent}/validations"))["items"]
    path = f"/v1/validations/{listed[0]['request_hash']}/response"
    answered = await place.send("POST", path, {"from": place.rater, "response": 90, "tag": "hard"})
    await place.until(await place.signed(answered), "included", "final")
    await place.indexed()
    listed = (await place.send("GET", f"{agent}/validations"))["items"]
    assert (listed[0]["response"], listed[0]["tag"]) == (90, "hard")


async def test_wallet__when_the_chain_was_idle__then_the_new_one_signs_for_the_next_block(
    place: Place,
) -> None:
    await place.chain.act(place.chain.wallets[0], IDENTITY, calls.register(b"ipfs://x"))
    await place.indexed()
    await place.chain.node.call("evm_increaseTime", [3_600], object)
    path = "/v1/agents/31337:0/wallet"
    made = await place.send("POST", path, {"from": place.owner, "wallet": place.payee})
    signature = await place.chain.signer.sign_typed_data(place.chain.wallets[2], made["typed_data"])
    body = {"signature": "0x" + signature.hex()}
    made = await place.send("POST", f"/v1/operations/{made['id']}/signature", body)
    await place.until(await place.signed(made), "included", "final")
    wallet = await place.ask(IDENTITY, "address", "getAgentWallet(uint256)", 0)
    assert wallet == place.payee.lower()
    late = await place.send("POST", path, {"from": place.owner, "wallet": place.rater})
    await place.chain.node.call("evm_increaseTime", [301], object)
    refused = await place.client.post(
        f"/v1/operations/{late['id']}/signature", json=body, headers=place.me.headers
    )
    assert refused.status_code == 409, refused.text
    again = await place.send("POST", f"/v1/operations/{late['id']}/resume")
    assert again["typed_data"] != late["typed_data"]
    assert again["next"] == "sign-typed-data"


async def test_resume__after_a_failure_in_a_block__then_it_says_when_and_then_it_works(
    place: Place,
) -> None:
    body = {"chain": "devnet", "from": place.owner, "uri": "ipfs://x"}
    made = await place.send("POST", "/v1/agents", body)
    wanted = msgspec.structs.replace(from_json(made["transactions"][0]["unsigned"]), gas=60_000)
    raw = "0x" + (await place.chain.signer.sign(wanted)).hex()
    path = f"/v1/operations/{made['id']}"
    await place.send("POST", f"{path}/transactions", {"transactions": [raw]})
    failed = await place.until(made, "failed")
    assert failed["next"] == "resume"
    block = failed["transactions"][0]["block_number"]
    refused = await place.client.post(f"{path}/resume", headers=place.me.headers)
    assert refused.status_code == 409, refused.text
    problem = refused.json()
    assert f"resume it when block {block} is final" in problem["detail"]
    assert problem["block"] == block > problem["final_block"]

    await place.chain.node.call("anvil_mine", [hex(2 * DEVNET_FINAL_BLOCKS)], object)
    await place.indexed()
    async with asyncio.timeout(SECONDS):
        while refused.status_code == 409:
            await asyncio.sleep(0.1)
            refused = await place.client.post(f"{path}/resume", headers=place.me.headers)
    again = refused.json()
    assert (again["state"], again["next"]) == ("prepared", "sign")
    again = await place.until(await place.signed(again), "included", "final")
    assert again["transactions"][0]["nonce"] == wanted.nonce + 1


async def test_managed__when_it_names_itself_and_is_hosted__then_all_is_done_without_the_client(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"chain": "devnet", "mode": "managed", "file": FILE, "names_itself": True}
    headers = place.me.headers | {"Idempotency-Key": "k"}
    forbidden = await place.client.post("/v1/agents", json=body, headers=headers)
    assert forbidden.status_code == 403
    transport: Any = place.client._transport
    transport.app.state.desk.signer_is_open = True
    made = await place.send("POST", "/v1/agents", body | {"store": "hosted"})
    made = await place.until(made, "included", "final")
    uri = (await place.ask(IDENTITY, "bytes", "tokenURI(uint256)", 0)).decode()
    served = await place.client.get(uri.removeprefix("https://renown.example"))
    assert served.json()["registrations"][0]["agentId"] == 0
    await place.indexed()
    wallet = {"mode": "managed", "from": made["sender"], "wallet": place.payee}
    changed = await place.send("POST", "/v1/agents/31337:0/wallet", wallet)
    await place.until(changed, "included", "final")
    found = await place.ask(IDENTITY, "address", "getAgentWallet(uint256)", 0)
    assert found == place.payee.lower()

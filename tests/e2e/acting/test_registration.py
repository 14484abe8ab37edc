"""Registering an agent, and changing it: prepared, relayed directly, and by the server's signer."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from eth_abi.abi import decode

from renown.chain.devnet.addresses import IDENTITY
from renown.spec import calls
from renown.spec.inline import read_inline
from tests.e2e.acting.stack import Stack, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

FILE = {
    "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
    "name": "Weather",
    "description": "Tells the weather of tomorrow.",
    "image": "https://weather.example/logo.png",
    "services": [{"name": "MCP", "endpoint": "https://weather.example/mcp"}],
}


async def on_chain(stack: Stack, key: str, kind: str, function: str, *more: object) -> object:
    call = calls.encode_call(function, int(key.rpartition(":")[2]), *more)
    return decode([kind], await stack.writer.call(IDENTITY, call))[0]


async def test_registration__when_prepared_and_signed__then_it_has_its_uuid_and_is_indexed(
    stack: Stack,
) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "file": FILE, "metadata": {"team": "north"}}
    made = await caller.done("POST", "/v1/agents", body)
    assert (made["state"], made["next"], made["agent"]) == ("prepared", "sign", None)
    made = await caller.until(await caller.sign(made), "included", "final")
    await stack.indexed()
    agent = await stack.get(f"/v1/agents/{made['agent']['uuid']}")
    assert (agent["key"], agent["owner"]) == (made["agent"]["key"], caller.me)
    metadata = await stack.get(f"/v1/agents/{agent['key']}/metadata")
    assert [(one["key"], one["value_text"]) for one in metadata["items"]] == [("team", "north")]
    await stack.finalise()
    assert (await caller.until(made, "final"))["next"] is None


async def test_registration__when_relayed_directly__then_the_calldata_says_what_is_done(
    stack: Stack,
) -> None:
    caller = await stack.account()
    call = await stack.call(caller.wallet.raw, IDENTITY, calls.register(b"ipfs://x"))
    raw = await caller.wallet.sign_call(call)
    body = {"chain": "devnet", "mode": "relay", "transactions": [raw]}
    made = await caller.done("POST", "/v1/agents", body)
    assert (made["sender"], made["next"]) == (caller.me, "wait")
    made = await caller.until(made, "included", "final")
    assert await on_chain(stack, made["agent"]["key"], "bytes", "tokenURI(uint256)") == b"ipfs://x"


async def test_registration__when_managed_and_it_names_itself__then_all_is_done_by_the_server(
    stack: Stack,
) -> None:
    wallet = stack.server_wallet()
    caller, sender = await stack.account(0, signer_wallets=[wallet]), "0x" + wallet.hex()
    file = {"file": FILE, "store": "hosted", "names_itself": True}
    body = {"chain": "devnet", "mode": "managed", "from": sender}
    made = await caller.done("POST", "/v1/agents", {**body, **file})
    made = await caller.until(made, "included", "final")
    assert [one["state"] for one in made["transactions"]] in (["included"] * 2, ["final"] * 2)
    uri = await on_chain(stack, made["agent"]["key"], "bytes", "tokenURI(uint256)")
    assert isinstance(uri, bytes)
    served = await stack.client.get(uri.decode())
    assert uri.decode() == f"{stack.base}/v1/files/0x{hashlib.sha256(served.content).hexdigest()}"
    named = served.json()["registrations"]
    assert [str(one["agentId"]) for one in named] == [made["agent"]["agent_id"]]


@pytest.mark.parametrize("address", ["0x1234", "0x" + "g" * 40, "vitalik.eth", "", 7])
async def test_registration__when_the_address_is_none__then_400_and_nothing_stored(
    stack: Stack, address: object
) -> None:
    caller = await stack.account()
    before = await stack.count("operation")
    body = {"chain": "devnet", "from": address, "uri": "ipfs://x"}
    problem = await caller.refused(400, "bad-body", "POST", "/v1/agents", body)
    assert "from" in problem["detail"]
    assert await stack.count("operation") == before


async def test_registration__without_a_key_or_with_a_false_one__then_401(stack: Stack) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://x"}
    wrong: list[dict[str, str]] = [{}, {"Authorization": f"Bearer {caller.holder.key[:-1]}"}]
    for headers in wrong:
        answer = await stack.client.post("/v1/agents", json=body, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    reader = await stack.account(scopes=("read",))
    await reader.refused(403, "scope-missing", "POST", "/v1/agents", body | {"from": reader.me})


async def test_registration__for_a_wallet_of_another_account__then_403(stack: Stack) -> None:
    caller, other = await stack.account(), await stack.account()
    body = {"chain": "devnet", "from": other.me, "uri": "ipfs://x"}
    await caller.refused(403, "wallet-not-proved", "POST", "/v1/agents", body)
    raw = await other.wallet.sign_call(
        await stack.call(other.wallet.raw, IDENTITY, calls.register())
    )
    relayed = {"chain": "devnet", "mode": "relay", "transactions": [raw]}
    await caller.refused(403, "wallet-not-proved", "POST", "/v1/agents", relayed)
    managed = {"chain": "devnet", "mode": "managed", "uri": "ipfs://x"}
    await caller.refused(403, "signer-not-allowed", "POST", "/v1/agents", managed)


async def test_update__when_uri_and_keys_change__then_a_transaction_each_in_nonce_order(
    stack: Stack,
) -> None:
    caller = await stack.account()
    key = await stack.agent(caller.wallet)
    metadata = {"a": "1", "b": {"hex": "0x02"}}
    body = {"from": caller.me, "uri": "ipfs://y", "metadata": metadata}
    made = await caller.done("PATCH", f"/v1/agents/{key}", body)
    nonces = [int(one["unsigned"]["nonce"], 16) for one in made["transactions"]]
    assert nonces == list(range(nonces[0], nonces[0] + 3))
    await caller.until(await caller.sign(made), "included", "final")
    await stack.indexed()
    agent = await stack.get(f"/v1/agents/{key}")
    assert agent["uri"] == "ipfs://y"
    for name, value in ((b"a", b"1"), (b"b", b"\2")):
        found = await on_chain(stack, key, "bytes", "getMetadata(uint256,string)", name)
        assert found == value


async def test_update__when_a_file_comes__then_it_stands_in_the_uri_and_is_found_by_search(
    stack: Stack,
) -> None:
    caller = await stack.account()
    key = await stack.agent(caller.wallet)
    file = FILE | {"name": "Zephyrometer"}
    await caller.act("PATCH", f"/v1/agents/{key}", {"from": caller.me, "file": file})
    uri = await on_chain(stack, key, "bytes", "tokenURI(uint256)")
    assert isinstance(uri, bytes)
    written = msgspec.json.decode(read_inline(uri).body or b"")
    assert written["registrations"][0]["agentId"] == int(key.rpartition(":")[2])

    async def found() -> bool:
        page = await stack.get("/v1/agents", q="zephyrometer", chain="devnet")
        return [one["agent_id"] for one in page["items"]] == [key.rpartition(":")[2]]

    await until(found)


async def test_update__by_somebody_else__then_the_chains_own_reason(stack: Stack) -> None:
    caller, other = await stack.account(), await stack.account()
    key = await stack.agent(caller.wallet)
    body = {"from": other.me, "uri": "ipfs://mine"}
    problem = await other.refused(422, "call-would-fail", "PATCH", f"/v1/agents/{key}", body)
    assert problem["reason"]


async def test_wallet__when_the_new_one_consents__then_it_is_the_agents(stack: Stack) -> None:
    caller, new = await stack.account(), await stack.wallet()
    key = await stack.agent(caller.wallet)
    path = f"/v1/agents/{key}/wallet"
    made = await caller.done("POST", path, {"from": caller.me, "wallet": new.address})
    assert (made["next"], made["typed_data"]["primaryType"]) == (
        "sign-typed-data",
        "AgentWalletSet",
    )
    body = {"signature": await new.consent(made["typed_data"])}
    made = await caller.done("POST", f"/v1/operations/{made['id']}/signature", body)
    await caller.until(await caller.sign(made), "included", "final")
    found = await on_chain(stack, key, "address", "getAgentWallet(uint256)")
    assert found == new.address.lower()
    await stack.indexed()
    stats = await stack.get(f"/v1/agents/{key}/stats")
    assert stats["identity"]["wallet"] == new.address
    assert stats["identity"]["wallet_state"] == "proved"


async def test_wallet__when_somebody_else_consents__then_refused(stack: Stack) -> None:
    caller, new = await stack.account(), await stack.wallet()
    key = await stack.agent(caller.wallet)
    body = {"from": caller.me, "wallet": new.address}
    made = await caller.done("POST", f"/v1/agents/{key}/wallet", body)
    forged = {"signature": await caller.wallet.consent(made["typed_data"])}
    path = f"/v1/operations/{made['id']}/signature"
    await caller.refused(422, "call-would-fail", "POST", path, forged)
    assert (await caller.now(made))["next"] == "sign-typed-data"


async def test_wallet__when_the_chains_clock_passed_the_deadline__then_resume_gives_another(
    stack: Stack,
) -> None:
    caller, new = await stack.account(), await stack.wallet()
    key = await stack.agent(caller.wallet)
    body = {"from": caller.me, "wallet": new.address}
    made = await caller.done("POST", f"/v1/agents/{key}/wallet", body)
    late = {"signature": await new.consent(made["typed_data"])}
    await stack.node.call("evm_increaseTime", [301], object)
    await stack.mine()
    path = f"/v1/operations/{made['id']}"
    await caller.refused(409, "operation-conflict", "POST", f"{path}/signature", late)
    again = await caller.done("POST", f"{path}/resume")
    assert again["typed_data"]["message"]["deadline"] != made["typed_data"]["message"]["deadline"]
    body = {"signature": await new.consent(again["typed_data"])}
    again = await caller.done("POST", f"{path}/signature", body)
    await caller.until(await caller.sign(again), "included", "final")
    found = await on_chain(stack, key, "address", "getAgentWallet(uint256)")
    assert found == new.address.lower()

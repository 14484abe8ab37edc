"""A writer over anvil: reasons of every refusal, fates of every odd transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from renown.chain.devnet.addresses import CHAIN_ID, IDENTITY, REPUTATION, VALIDATION
from renown.chain.rpc import CallReverted
from renown.errors import BeyondHead, CallWouldFail
from renown.spec import calls
from renown.spec.typed_data import agent_wallet_set
from renown.types import ZERO_ADDRESS
from tests.acting import Acting, acting


@pytest.fixture
async def chain() -> AsyncIterator[Acting]:
    async with acting() as running:
        yield running


MISSING = "no agent has this id"
HASH, OTHER = bytes(range(32)), b"\1" * 32
FAR = 2**40


async def test_estimate__every_refusal_of_the_registries__is_told_in_their_words(chain):
    owner, client, validator, stranger = chain.wallets[:4]
    await chain.act(owner, IDENTITY, calls.register(b"ipfs://x"))
    await chain.act(client, REPUTATION, calls.give_feedback(0, 5))
    await chain.act(client, REPUTATION, calls.revoke_feedback(0, 1))
    await chain.act(owner, VALIDATION, calls.validation_request(validator, 0, b"", HASH))
    now = await chain.writer.chain_time()
    give, respond = calls.give_feedback, calls.append_response
    wallet, ask = calls.set_agent_wallet, calls.validation_request
    refusals = [
        (owner, IDENTITY, calls.register(b"", [(b"agentWallet", b"x")]), "reserved key"),
        (REPUTATION, IDENTITY, calls.register(), "ERC721InvalidReceiver"),
        (owner, IDENTITY, calls.set_agent_uri(9, b""), MISSING),
        (stranger, IDENTITY, calls.set_agent_uri(0, b""), "Not authorized"),
        (stranger, IDENTITY, calls.set_metadata(0, b"k", b""), "Not authorized"),
        (owner, IDENTITY, calls.set_metadata(0, b"agentWallet", b""), "reserved key"),
        (owner, IDENTITY, calls.set_metadata(9, b"k", b""), MISSING),
        (stranger, IDENTITY, wallet(0, client, now, b""), "Not authorized"),
        (owner, IDENTITY, wallet(0, ZERO_ADDRESS, now, b""), "bad wallet"),
        (owner, IDENTITY, wallet(0, client, now - 60, b""), "expired"),
        (owner, IDENTITY, wallet(0, client, now + FAR, b""), "deadline too far"),
        (owner, IDENTITY, wallet(0, client, now + 60, bytes(65)), "invalid wallet sig"),
        (stranger, IDENTITY, calls.unset_agent_wallet(0), "Not authorized"),
        (client, REPUTATION, give(0, 1, 19), "too many decimals"),
        (client, REPUTATION, give(0, 10**38 + 1), "value too large"),
        (client, REPUTATION, give(9, 1), MISSING),
        (owner, REPUTATION, give(0, 1), "Self-feedback not allowed"),
        (client, REPUTATION, calls.revoke_feedback(0, 0), "index must be > 0"),
        (client, REPUTATION, calls.revoke_feedback(0, 2), "index out of bounds"),
        (client, REPUTATION, calls.revoke_feedback(0, 1), "Already revoked"),
        (owner, REPUTATION, respond(0, client, 0, b"u"), "index must be > 0"),
        (owner, REPUTATION, respond(0, client, 1, b""), "Empty URI"),
        (owner, REPUTATION, respond(0, client, 2, b"u"), "index out of bounds"),
        (owner, VALIDATION, ask(ZERO_ADDRESS, 0, b"", OTHER), "bad validator"),
        (owner, VALIDATION, ask(validator, 0, b"", HASH), "exists"),
        (owner, VALIDATION, ask(validator, 9, b"", OTHER), MISSING),
        (stranger, VALIDATION, ask(validator, 0, b"", OTHER), "Not authorized"),
        (validator, VALIDATION, calls.validation_response(OTHER, 1), "unknown"),
        (stranger, VALIDATION, calls.validation_response(HASH, 1), "not validator"),
        (validator, VALIDATION, calls.validation_response(HASH, 101), "resp>100"),
    ]

    for sender, contract, calldata, said in refusals:
        with pytest.raises(CallWouldFail) as caught:
            await chain.writer.estimate(sender, contract, calldata)
        assert said in caught.value.context["reason"], calls.read_call(calldata)


async def test_estimate__enough_and_not_much_more__for_what_then_happens(chain):
    owner = chain.wallets[0]
    calldata = calls.register(b"ipfs://" + b"x" * 200, [(b"key", b"value" * 20)])

    gas = await chain.writer.estimate(owner, IDENTITY, calldata)
    signed = await chain.sign(owner, IDENTITY, calldata, gas=gas)
    said = await chain.writer.send(signed.raw)
    receipt = await chain.included(signed)

    assert said.verdict == "taken"
    assert receipt.succeeded
    assert (receipt.sender, receipt.to) == (owner, IDENTITY)
    assert receipt.gas_used <= gas <= receipt.gas_used * 2


async def test_send__odd_transactions__are_told_apart(chain):
    me, writer = chain.wallets[0], chain.writer
    call = (me, IDENTITY, calls.register(b"ipfs://x"))
    await chain.act(*call)
    await chain.mine_by_hand()
    waiting = await chain.sign(*call)

    assert (await writer.send(waiting.raw)).verdict == "taken"
    assert (await writer.send(waiting.raw)).verdict == "known"
    assert await writer.known(waiting.tx_hash)
    assert await writer.receipt(waiting.tx_hash) is None
    assert (await writer.nonce(me, "latest"), await writer.nonce(me, "pending")) == (1, 2)

    same = waiting.max_fee_wei  # others want a tenth more at the same nonce, anvil a wei
    odd: list[tuple[str, dict[str, Any]]] = [
        ("nonce-low", {"nonce": 0, "value_wei": 1}),
        ("underpriced", {"nonce": 1, "max_fee_wei": same, "value_wei": 1}),
        ("underpriced", {"nonce": 2, "max_fee_wei": 1, "priority_fee_wei": 1}),
        ("gas", {"nonce": 2, "gas": 10**12}),
        ("funds", {"nonce": 2, "value_wei": 10**24}),
        ("chain", {"nonce": 2, "chain_id": 1}),
    ]
    for code, changed in odd:
        said = await writer.send((await chain.sign(*call, **changed)).raw)
        assert (said.verdict, said.code) == ("refused", code), said
    assert (await writer.send(b"\x02\x01")).code == "invalid"
    poor = await chain.sign(chain.pauper, IDENTITY, calls.register())
    assert (await writer.send(poor.raw)).code == "funds"
    assert not await writer.known(poor.tx_hash)

    dearer = 2 * waiting.max_fee_wei
    replacing = await chain.sign(
        *call, nonce=1, max_fee_wei=dearer, priority_fee_wei=2 * waiting.priority_fee_wei
    )
    assert (await writer.send(replacing.raw)).verdict == "taken"
    await chain.mine()
    assert [r is not None for r in await writer.receipts([waiting.tx_hash, replacing.tx_hash])] == [
        False,
        True,
    ]
    assert (await writer.send(replacing.raw)).verdict == "known"  # in a block
    late = await writer.send(waiting.raw)
    assert (late.verdict, late.code) == ("refused", "nonce-low")


async def test_send__too_little_gas__is_a_receipt_of_failure_and_the_reason_can_be_asked(chain):
    owner, client = chain.wallets[:2]
    await chain.act(owner, IDENTITY, calls.register())
    starved = await chain.sign(client, REPUTATION, calls.give_feedback(0, 1), gas=60_000)
    refused = await chain.sign(owner, REPUTATION, calls.give_feedback(0, 1))

    for signed in (starved, refused):
        assert (await chain.writer.send(signed.raw)).verdict == "taken"
        receipt = await chain.included(signed)
        assert not receipt.succeeded

    before = receipt.block_number - 1
    with pytest.raises(CallReverted) as caught:
        await chain.writer.call(
            REPUTATION, refused.calldata, block=before, sender=owner, gas=refused.gas
        )
    assert b"Self-feedback not allowed" in caught.value.revert_data
    with pytest.raises(CallReverted):
        await chain.writer.call(
            REPUTATION, starved.calldata, block=before, sender=client, gas=starved.gas
        )


async def test_wallet__signed_by_the_signer__is_taken_by_the_registry(chain):
    owner, wallet = chain.wallets[:2]
    await chain.act(owner, IDENTITY, calls.register())
    deadline = await chain.writer.next_time() + 200
    typed_data = agent_wallet_set(CHAIN_ID, IDENTITY, 0, wallet, owner, deadline)

    signature = await chain.signer.sign_typed_data(wallet, typed_data)
    await chain.act(owner, IDENTITY, calls.set_agent_wallet(0, wallet, deadline, signature))

    question = calls.encode_call("getAgentWallet(uint256)", 0)
    assert (await chain.writer.call(IDENTITY, question))[12:] == wallet


async def test_writer__on_anvil__knows_blocks_time_code_and_fees(chain):
    head = await chain.writer.head()

    assert await chain.writer.block_hash(head + 1) is None
    assert len(await chain.writer.block_hash(head) or b"") == 32
    assert await chain.writer.block_time(head) == await chain.writer.chain_time()
    with pytest.raises(BeyondHead):
        await chain.writer.block_time(head + 1)
    assert await chain.writer.code(IDENTITY)
    assert await chain.writer.code(chain.wallets[0]) == b""
    assert await chain.writer.balance(chain.pauper) == 0
    fees = await chain.writer.fees()
    assert fees.max_fee_wei >= fees.base_fee_wei + fees.priority_fee_wei > 0

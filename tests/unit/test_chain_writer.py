"""Broadcasts over several nodes that disagree, fail or lie; fees and receipts of odd nodes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from eth_hash.auto import keccak

from renown.chain.nodes import Patience
from renown.chain.refusals import Refusal
from renown.chain.transport import Answer
from renown.chain.tx.fees import Fees
from renown.chain.tx.writer import ChainWriter, writers_for
from renown.errors import CallWouldFail, NodeError, NodeInconsistent
from renown.spec.contracts import selector
from renown.spec.transactions import Sent

RAW = b"\x02 signed bytes"
HASH = f"0x{keccak(RAW).hex()}"
SENDER, CONTRACT = b"\x11" * 20, b"\x22" * 20

Reply = Any
LOST = Refusal("n.test: ServerDisconnectedError", transient=True)


class Says(Exception):
    """A JSON-RPC error."""

    def __init__(self, message: str, code: int = -32000, data: str | None = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "data": data}


class FakeNode:
    """Answers by method; what it was asked is kept. Values may be functions of the parameters."""

    def __init__(self, **answers: Reply) -> None:
        self.answers: dict[str, Reply] = {"eth_chainId": "0x7a69", **answers}
        self.asked: list[str] = []

    async def post(self, body: bytes, *, max_bytes: int) -> Answer:
        request = msgspec.json.decode(body)
        if isinstance(request, list):
            return Answer(200, msgspec.json.encode([self._reply(item) for item in request]))
        return Answer(200, msgspec.json.encode(self._reply(request)))

    def _reply(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request["method"])
        answer = self.answers.get(request["method"], Says("the method does not exist", -32601))
        if callable(answer):
            answer = answer(*request["params"])
        if isinstance(answer, Refusal):
            raise answer
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        if isinstance(answer, Says):
            return {**reply, "error": answer.error}
        return {**reply, "result": answer}

    async def close(self) -> None: ...


def writer(*nodes: FakeNode) -> ChainWriter:
    urls = [f"http://n{number}.test" for number in range(len(nodes))]
    found = dict(zip(urls, nodes, strict=True))
    quick = Patience(attempts=4, backoff_seconds=0.001, deadline_seconds=1.0)
    return writers_for({31337: urls}, patience=quick, connect=found.__getitem__)[31337]


def taking(answer: Reply, **more: Reply) -> FakeNode:
    return FakeNode(eth_sendRawTransaction=answer, **more)


REFUSES = Says("insufficient funds for gas * price + value")


@pytest.mark.parametrize(
    ("answers", "sent"),
    [
        ([HASH], Sent("taken")),
        ([HASH, HASH], Sent("taken")),
        ([LOST, HASH], Sent("taken")),
        ([REFUSES, HASH], Sent("taken")),
        ([Says("already known")], Sent("known", "already known")),
        ([LOST, Says("already known")], Sent("known", "already known")),
        ([REFUSES], Sent("refused", str(REFUSES), "funds")),
        ([REFUSES, REFUSES], Sent("refused", str(REFUSES), "funds")),
        ([REFUSES, Says("nonce too high")], Sent("refused", str(REFUSES), "funds")),
        ([Says("who knows")], Sent("unsure", "who knows")),
        ([Says("who knows"), REFUSES], Sent("unsure", "who knows")),
        ([LOST, REFUSES], Sent("unsure", LOST.detail)),
        ([REFUSES, LOST], Sent("unsure", LOST.detail)),
        ([LOST, LOST], Sent("unsure", LOST.detail)),
        ([HASH.upper().replace("X", "x")], Sent("taken")),
    ],
)
async def test_send__several_nodes__is_as_sure_as_they_let_us_be(answers, sent):
    assert await writer(*map(taking, answers)).send(RAW) == sent


@pytest.mark.parametrize("answer", [f"0x{bytes(32).hex()}", None, 7, "", {"hash": HASH}])
async def test_send__another_hash_or_none__may_or_may_not_be_there(answer):
    said = await writer(taking(answer)).send(RAW)

    assert said.verdict == "unsure"


async def test_send__too_many_requests__the_next_node_is_asked_and_the_verdict_stays_open():
    limited = taking(Says("rate limit exceeded", -32005))

    assert (await writer(limited).send(RAW)).verdict == "unsure"
    assert (await writer(limited, taking(HASH)).send(RAW)).verdict == "taken"


async def test_send__node_of_another_chain__is_never_given_the_bytes():
    foreign = taking(HASH, eth_chainId="0x1")

    said = await writer(foreign).send(RAW)

    assert said.verdict == "unsure"
    assert "eth_sendRawTransaction" not in foreign.asked


async def test_send__first_node_takes_it__nobody_else_is_bothered():
    first, second = taking(HASH), taking(HASH)

    await writer(first, second).send(RAW)

    assert second.asked == []


def receipt(tx_hash: str = HASH, **changed: Any) -> dict[str, Any]:
    return {
        "transactionHash": tx_hash,
        "blockHash": f"0x{b'b'.hex() * 32}",
        "blockNumber": "0x10",
        "status": "0x1",
        "gasUsed": "0x5208",
        "from": f"0x{SENDER.hex()}",
        "to": f"0x{CONTRACT.hex()}",
        "logs": [
            {
                "address": f"0x{CONTRACT.hex()}",
                "topics": [f"0x{bytes(32).hex()}"],
                "data": "0x01",
                "logIndex": "0x3",
            }
        ],
        **changed,
    }


async def test_send__nonce_too_low_because_it_is_in_a_block__is_known():
    late = taking(Says("nonce too low"), eth_getTransactionReceipt=receipt())
    never = taking(Says("nonce too low"), eth_getTransactionReceipt=None)

    assert (await writer(late).send(RAW)).verdict == "known"
    assert await writer(never).send(RAW) == Sent("refused", "nonce too low", "nonce-low")


async def test_receipt__of_a_block__is_ours():
    found = await writer(FakeNode(eth_getTransactionReceipt=receipt())).receipt(keccak(RAW))

    assert found is not None
    assert (found.block_number, found.succeeded, found.gas_used) == (16, True, 21_000)
    assert (found.logs[0].payload, found.logs[0].log_index) == (b"\x01", 3)


async def test_receipt__some_nodes_lag_or_fail__all_are_asked():
    answers = (None, LOST, None, receipt())
    nodes = [FakeNode(eth_getTransactionReceipt=answer) for answer in answers]

    assert await writer(*nodes).receipt(keccak(RAW)) is not None
    assert await writer(*nodes[:3]).receipt(keccak(RAW)) is None
    with pytest.raises(NodeError):
        await writer(nodes[1]).receipt(keccak(RAW))


@pytest.mark.parametrize(
    "changed",
    [
        {"transactionHash": f"0x{bytes(32).hex()}"},
        {"blockNumber": "0x-1"},
        {"blockHash": "0x12"},
        {"status": None},
        {"from": "0x"},
        {"logs": [{"address": "0x", "topics": [], "data": "0x", "logIndex": "0x0"}]},
    ],
)
async def test_receipt__of_something_else_or_misshapen__is_not_believed(changed):
    node = FakeNode(eth_getTransactionReceipt=receipt(**changed))

    with pytest.raises(NodeInconsistent):
        await writer(node).receipt(keccak(RAW))


async def test_receipts__many__come_in_order_with_gaps():
    hashes = [bytes([number]) * 32 for number in range(3)]

    def answer(tx_hash: str) -> Any:
        return None if tx_hash == f"0x{hashes[1].hex()}" else receipt(tx_hash)

    found = await writer(FakeNode(eth_getTransactionReceipt=answer)).receipts(hashes)

    assert [item and item.tx_hash for item in found] == [hashes[0], None, hashes[2]]
    assert await writer(FakeNode()).receipts([]) == []


async def test_known__any_node_has_it__says_yes_and_never_no_in_ignorance():
    has, lacks = (
        FakeNode(eth_getTransactionByHash={"hash": HASH}),
        FakeNode(eth_getTransactionByHash=None),
    )
    lost = FakeNode(eth_getTransactionByHash=LOST)

    assert await writer(lacks, has).known(keccak(RAW))
    assert await writer(lost, has).known(keccak(RAW))
    assert not await writer(lacks, lacks).known(keccak(RAW))
    with pytest.raises(NodeError):
        await writer(lacks, lost).known(keccak(RAW))


async def test_fees__no_fee_history__the_gas_price_stands_in_for_it():
    old = FakeNode(eth_gasPrice="0x7")
    flat = FakeNode(
        eth_feeHistory={"baseFeePerGas": ["0x0"] * 2, "gasUsedRatio": [0.5], "reward": [["0x1"]]},
        eth_gasPrice="0x7",
    )

    for node in (old, flat):
        assert await writer(node).fees() == Fees(max_fee_wei=7, priority_fee_wei=7, base_fee_wei=0)


async def test_fees__quiet_chain__asks_what_is_usual():
    quiet = FakeNode(
        eth_feeHistory={"baseFeePerGas": ["0xa"] * 2, "gasUsedRatio": [0], "reward": [["0x0"] * 2]},
        eth_maxPriorityFeePerGas="0x3",
    )

    assert await writer(quiet).fees() == Fees(max_fee_wei=23, priority_fee_wei=3, base_fee_wei=10)
    assert (await writer(quiet).fees(cap_wei=11)).max_fee_wei == 11


async def test_estimate__reverted__the_reason_comes_from_either_method():
    data = f"0x{(selector('ERC721NonexistentToken(uint256)') + (7).to_bytes(32)).hex()}"
    tells = FakeNode(eth_estimateGas=Says("execution reverted", 3, data))
    keeps = FakeNode(
        eth_estimateGas=Says("execution reverted"), eth_call=Says("execution reverted", 3, data)
    )

    for node in (tells, keeps):
        with pytest.raises(CallWouldFail, match="no agent has this id") as caught:
            await writer(node).estimate(SENDER, CONTRACT, b"")
        assert "tokenId: 7" in caught.value.context["reason"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Says("insufficient funds for transfer"), "cannot pay"),
        (Says("gas required exceeds allowance (30000000)"), "more gas than"),
        (Says("execution reverted"), "without a reason"),
        (Says("something new"), "cannot estimate its gas: something new"),
    ],
)
async def test_estimate__refused_without_data__says_what_is_known(answer, said):
    node = FakeNode(eth_estimateGas=answer, eth_call="0x")

    with pytest.raises(CallWouldFail, match=said):
        await writer(node).estimate(SENDER, CONTRACT, b"")
    assert node.asked.count("eth_estimateGas") == 1  # the same question again says nothing new


async def test_estimate__allows_a_fifth_more():
    assert await writer(FakeNode(eth_estimateGas="0x64")).estimate(SENDER, CONTRACT, b"") == 120


async def test_estimate__node_trouble__is_not_the_calls_fault():
    busy = FakeNode(eth_estimateGas=Says("rate limit exceeded", -32005))

    assert (
        await writer(busy, FakeNode(eth_estimateGas="0x64")).estimate(SENDER, CONTRACT, b"") == 120
    )
    with pytest.raises(NodeError):
        await writer(FakeNode(eth_estimateGas=LOST)).estimate(SENDER, CONTRACT, b"")


async def test_final_block__as_the_tag_says__or_none_yet():
    block = {"number": "0x10", "hash": f"0x{bytes(32).hex()}", "timestamp": "0x1"}

    assert await writer(FakeNode(eth_getBlockByNumber=block)).final_block() == 16
    assert await writer(FakeNode(eth_getBlockByNumber=None)).final_block() == -1


@pytest.mark.parametrize(
    ("pending", "seconds"),
    [
        ({"timestamp": "0x20"}, 32),
        ({"timestamp": "0x1"}, 16),
        (None, 16),
        (Says("no such tag"), 16),
    ],
)
async def test_next_time__as_the_pending_block_says__and_never_before_the_newest(pending, seconds):
    newest = {"number": "0x1", "hash": f"0x{bytes(32).hex()}", "timestamp": "0x10"}

    def block(tag: str, _: bool) -> Any:
        return pending if tag == "pending" else newest

    assert await writer(FakeNode(eth_getBlockByNumber=block)).next_time() == seconds


def test_writers_for__chains_without_nodes__are_left_out():
    assert writers_for({1: [], 8453: ["https://node.test"]}).keys() == {8453}

from __future__ import annotations

import pytest

from renown.chain.tx.verdicts import execution_failed, verdict

SAID = [
    # geth, op-geth, reth, erigon
    ("already known", "known", ""),
    ("ALREADY_EXISTS: already known", "known", ""),
    ("nonce too low: next nonce 7, tx nonce 3", "refused", "nonce-low"),
    ("nonce too low", "refused", "nonce-low"),
    ("replacement transaction underpriced", "refused", "underpriced"),
    ("transaction underpriced: gas tip cap 1, minimum needed 1000000", "refused", "underpriced"),
    (
        "max fee per gas less than block base fee: address 0xab, maxFeePerGas: 1 baseFee: 7",
        "refused",
        "underpriced",
    ),
    ("txpool is full", "refused", "underpriced"),
    (
        "insufficient funds for gas * price + value: balance 0, tx cost 21, overshot 21",
        "refused",
        "funds",
    ),
    ("intrinsic gas too low: gas 21000, minimum needed 53000", "refused", "gas"),
    ("insufficient gas for floor data gas cost: gas 21000, minimum needed 40000", "refused", "gas"),
    ("exceeds block gas limit", "refused", "gas"),
    ("transaction gas limit too high (cap: 16777216, tx: 20000000)", "refused", "gas"),
    ("invalid chain id for signer: have 1 want 8453", "refused", "chain"),
    ("only replay-protected (EIP-155) transactions allowed over RPC", "refused", "chain"),
    ("invalid sender", "refused", "invalid"),
    ("oversized data: transaction size 140000, limit 131072", "refused", "invalid"),
    ("rlp: expected input list for types.DynamicFeeTx", "refused", "invalid"),
    ("transaction type not supported", "refused", "invalid"),
    ("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", "refused", "other"),
    ("gapped-nonce tx from delegated accounts", "refused", "nonce-high"),
    ("could not replace existing tx", "refused", "underpriced"),
    # nethermind
    ("AlreadyKnown", "known", ""),
    ("OldNonce, Current nonce: 5, nonce of rejected tx: 3", "refused", "nonce-low"),
    ("NonceGap, Future nonce. Expected nonce: 5", "refused", "nonce-high"),
    ("InsufficientFunds, Account balance: 0, cumulative cost: 21", "refused", "funds"),
    ("ReplacementNotAllowed", "refused", "underpriced"),
    ("FeeTooLowToCompete", "refused", "underpriced"),
    ("GasLimitExceeded, Gas limit: 30000000", "refused", "gas"),
    # besu
    ("Known transaction", "known", ""),
    ("Nonce too low", "refused", "nonce-low"),
    ("Upfront cost exceeds account balance", "refused", "funds"),
    ("Intrinsic gas exceeds gas limit", "refused", "gas"),
    ("Gas price below configured minimum gas price", "refused", "underpriced"),
    ("Transaction nonce is too far in the future", "refused", "nonce-high"),
    # anvil
    ("transaction already imported", "known", ""),
    ("Insufficient funds for gas * price + value", "refused", "funds"),
    ("max fee per gas less than block base fee", "refused", "underpriced"),
    ("max priority fee per gas higher than max fee per gas", "refused", "invalid"),
    ("intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", "refused", "gas"),
    ("Failed to decode transaction", "refused", "invalid"),
    # whatever
    ("the flux capacitor is charging", "unsure", ""),
    ("", "unsure", ""),
    ("internal error", "unsure", ""),
    ("Transaction rejected", "refused", "other"),
]


@pytest.mark.parametrize(("said", "wanted", "code"), SAID, ids=[row[0][:40] for row in SAID])
def test_verdict__words_of_a_client__say_what_it_means(said, wanted, code):
    found = verdict(said)

    assert (found.verdict, found.code) == (wanted, code)
    assert found.reason == said


def test_verdict__very_long_answer__is_read_in_part():
    assert verdict("x" * 10_000_000).verdict == "unsure"


@pytest.mark.parametrize(
    "said",
    [
        "out of gas",
        "EVM error OutOfGas",
        "EVM error InvalidFEOpcode",
        "EVM error MemoryOOG",
        "invalid opcode: INVALID",
        "stack underflow (0 <=> 2)",
        "execution aborted (timeout = 5s)",
        "gas uint64 overflow",
        "VM execution error.",
    ],
)
def test_execution_failed__words_of_a_client__blames_the_code(said):
    assert execution_failed(said)


@pytest.mark.parametrize("said", ["header not found", "rate limit exceeded", "", "internal error"])
def test_execution_failed__trouble_of_the_node__does_not(said):
    assert not execution_failed(said)

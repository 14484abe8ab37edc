"""What a node's answer to `eth_sendRawTransaction` means. Pure.

JSON-RPC has no codes for this: every client has its own words, and providers pass them on. Known
are those of geth (and op-geth, bor, bsc, coreth), erigon, nethermind, besu, reth, anvil and
arbitrum; each is looked for in lower case, the first that is found counts. Words that nobody here
knows say that nothing is known: `unsure`.
"""

from __future__ import annotations

from collections.abc import Mapping

from renown.spec.transactions import Sent

_KNOWN = (
    "already known",  # geth, erigon, reth, op-geth
    "already_exists",  # erigon
    "alreadyknown",  # nethermind
    "known transaction",  # besu, older geth
    "transaction already imported",  # anvil
    "already imported",  # openethereum and kin
    "already in mempool",
    "already in the mempool",
    "already exists in mempool",
    "already in cache",
    "tx already exists",
)

_REFUSED: Mapping[str, tuple[str, ...]] = {
    "underpriced": (
        "replacementnotallowed",  # nethermind
        "replacement not allowed",
        "replacement fee too low",
        "could not replace existing",  # erigon
        "underpriced",  # geth, reth, besu, anvil: also "replacement transaction underpriced"
        "feetoolow",  # nethermind
        "fee too low",  # nethermind, erigon: FeeTooLow, FeeTooLowToCompete
        "gas price is below configured minimum",  # besu
        "gas price below configured minimum",
        "gas price too low",
        "gasprice too low",
        "effective priority fee per gas is below",  # besu
        "tip too low",
        "max fee per gas is less than",  # anvil
        "feecap is less than",
        "fee cap less than base fee",  # erigon
        "less than block base fee",  # geth, anvil, arbitrum
        "maxfeepergas too low",
        "pool is full",  # whoever offers more finds room
        "txpool overflow",
    ),
    "nonce-low": (
        "nonce too low",  # geth, erigon, besu, reth, anvil
        "nonce_too_low",
        "oldnonce",  # nethermind
        "old nonce",
        "nonce is too low",
        "nonce already used",
        "nonce has already been used",
    ),
    "nonce-high": (
        "nonce too high",
        "nonce_too_high",
        "too far in the future",  # besu, op-geth
        "nonce too distant",
        "noncegap",  # nethermind
        "nonce gap",
        "nonce too far",
        "gapped nonce",  # geth, for delegated accounts
        "gapped-nonce",
        "exceeds the maximum number of future",
    ),
    "funds": (
        "insufficient funds",  # geth, erigon, reth, anvil
        "insufficientfunds",  # nethermind
        "insufficient balance",
        "upfront cost exceeds account balance",  # besu
        "upfront_cost_exceeds_balance",
        "overshot",  # geth: those queued before it take the balance
        "doesn't have enough funds",
        "does not have enough funds",
        "balance too low",
        "sender balance",
    ),
    "gas": (
        "intrinsic gas too low",  # geth, reth, anvil
        "intrinsic gas exceeds",  # besu
        "intrinsic_gas_exceeds",
        "intrinsic gas too high",  # anvil
        "gas limit too low",
        "gaslimittoolow",
        "gas too low",
        "floor data gas",  # EIP-7623
        "exceeds block gas limit",  # geth, erigon
        "exceeds_block_gas_limit",
        "gaslimitexceeded",  # nethermind
        "gas limit exceed",
        "gas limit is too high",
        "exceeds maximum gas limit",
        "gas limit too high",  # EIP-7825
        "exceeds transaction gas limit",
        "exceeds max transaction gas",
        "exceeds block limit",
    ),
    "chain": (
        "chain id",
        "chainid",
        "wrong chain",
        "replay-protected",
        "replay protected",
        "replay_protected",
    ),
    "invalid": (
        "invalid sender",
        "invalid signature",
        "invalidsignature",
        "invalid transaction v, r, s",
        "rlp",
        "decode transaction",
        "decode signed",
        "empty transaction",
        "malformed",
        "invalid transaction envelope",
        "invalid_transaction",
        "type not supported",
        "unsupported transaction type",
        "oversized data",
        "tx_max_size",
        "max tx size",
        "exceeds the configured maximum size",
        "transaction too large",
        "priority fee per gas higher than max fee",
        "tip above fee cap",
        "sender not an eoa",
        "sender is a contract",
        "rejected by policy",
        "sender is blocked",
    ),
    "other": ("rejected",),
}
"""Words of refusals by `Sent.code`, more telling ones first."""

_FEE_CAP = ("tx fee (", "fee exceeds the configured cap", "exceeds the configured cap (")


def verdict(message: str) -> Sent:
    """What an error of a broadcast says. `message` is kept as the reason.

    Never `taken`. Of an error that nobody here has seen, only that: whoever asks goes on looking.
    """
    text = " ".join(message[:1_000].lower().split())
    if any(part in text for part in _KNOWN):
        return Sent("known", message)
    if any(part in text for part in _FEE_CAP):
        # geth's own guard against typing errors: this node will not, another may
        return Sent("refused", message, "other")
    for code, parts in _REFUSED.items():
        if any(part in text for part in parts):
            return Sent("refused", message, code)  # type: ignore[arg-type]
    return Sent("unsure", message)


_EXECUTION = (
    "out of gas",
    "outofgas",
    "out_of_gas",
    "memoryoog",
    "gas uint64 overflow",
    "invalid opcode",
    "invalidopcode",
    "invalidfeopcode",
    "bad instruction",
    "opcode not found",
    "opcodenotfound",
    "invalid jump",
    "invalidjump",
    "bad jump",
    "stack underflow",
    "stackunderflow",
    "stack limit reached",
    "stack overflow",
    "stackoverflow",
    "return data out of bounds",
    "outofoffset",
    "write protection",
    "statechangeduringstaticcall",
    "max call depth",
    "calltoodeep",
    "execution aborted",
    "execution timeout",
    "evm error",
    "evm timeout",
    "vm execution error",
    "max code size exceeded",
    "invalid code",
    "must not begin with 0xef",
)


def execution_failed(message: str) -> bool:
    """Whether an error of `eth_call` says that the code it ran failed, other than by a revert."""
    text = " ".join(message[:1_000].lower().split())
    return any(part in text for part in _EXECUTION)

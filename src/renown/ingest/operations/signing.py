"""Signing for the server's own wallets: which nonce, at what fees, and never two that could both
take effect."""

from __future__ import annotations

import msgspec

from renown.chain.tx.fees import Fees
from renown.chain.tx.signed import read_signed
from renown.chain.tx.signer import Signer
from renown.errors import SignerError
from renown.ingest.operations.judging import open_ones
from renown.ingest.operations.seen_chain import Chain
from renown.spec.allowance import Allowance, excess
from renown.spec.transactions import SignedTransaction, UnsignedTransaction
from renown.store.operation_nonces import HeldNonce, next_free
from renown.store.operations import OperationRow, SignedRow, StepRow
from renown.store.pool import Tx
from renown.store.signer_grants import before_signing

BUMP_PERCENT = 113
"""Nodes replace a transaction for fees that are higher by a tenth or an eighth; rounding counts."""


class NotNow(Exception):
    """It cannot be signed now; the text says what it waits for."""


class Rules(msgspec.Struct, frozen=True):
    """Whom the server signs for, and for how much.

    Attributes:
        is_open: for every account, as every wallet, without a bound on what it spends.
    """

    allowance: Allowance = Allowance()
    is_open: bool = False


class Terms(msgspec.Struct, frozen=True):
    """What a transaction takes besides its nonce."""

    gas: int
    max_fee_wei: int
    priority_fee_wei: int


def choose_nonce(count: int, held: list[HeldNonce], operation: OperationRow, step: StepRow) -> int:
    """The nonce to sign this step with: that of what was signed for it before, as long as that
    could take effect; else the least from `count` on that nothing of ours has.

    The hazard: of two transactions of one step with different nonces both may be mined, even if one
    was refused, dropped or reverted before, because a reorganisation can bring it back. So the old
    nonce is kept while it is unused, and must be used for good before another is taken.

    Args:
        count: transactions of the sender in blocks.
        held: nonces from there on that signed transactions of ours have.

    Raises:
        NotNow: an earlier transaction is not known for good; or one of the sender with a lower
            nonce was not taken by any node yet, and this one could be left behind a gap.
    """
    require_settled(step)
    before = open_ones(step)
    place = (operation.operation_id, step.step)
    others = [one for one in held if (one.operation_id, one.step) != place]
    taken = {one.nonce for one in others}
    if before:
        nonce = before[-1].nonce
        if nonce < count:
            raise NotNow(f"its nonce {nonce} was just used: waiting to see what used it")
        if nonce in taken:
            raise NotNow(f"another operation has the nonce {nonce}: waiting until it is used")
        return nonce
    nonce = next_free(count, taken)
    if any(one.is_waiting and one.nonce < nonce for one in others):
        raise NotNow("an earlier transaction of this wallet has not been taken by a node yet")
    return nonce


def require_settled(step: StepRow) -> None:
    """Raises NotNow if what used the nonce of a transaction of this step could be undone."""
    used = [one.used_block for one in open_ones(step) if one.used_block is not None]
    if used:
        raise NotNow(
            f"what was signed before could take effect again in a reorganisation: waiting until"
            f" block {max(used)} is final"
        )


def outbid(fees: Fees, before: list[SignedRow], cap_wei: int | None) -> tuple[int, int]:
    """Fees to replace what was signed before: those of now, but more than those by an eighth.

    Returns:
        Most in all, and of that for the block's maker; wei per unit of gas.

    Raises:
        NotNow: that would be more than the cap.
    """
    most, tip = fees.max_fee_wei, fees.priority_fee_wei
    if before:
        most = max(most, -(-max(one.max_fee_wei for one in before) * BUMP_PERCENT // 100))
        tip = max(tip, -(-max(one.priority_fee_wei for one in before) * BUMP_PERCENT // 100))
        most = max(most, tip)
    if cap_wei is not None and most > cap_wei:
        raise NotNow(
            f"replacing it takes {most} wei per unit of gas, and the server offers {cap_wei} at"
            f" most"
        )
    return most, tip


async def terms(chain: Chain, operation: OperationRow, step: StepRow, cap_wei: int | None) -> Terms:
    """Gas as it was prepared, or estimated now; fees of now.

    Raises:
        CallWouldFail: nothing was signed, and it is as well.
        NotNow, NodeError
    """
    assert step.calldata is not None
    most, tip = outbid(await chain.fees(cap_wei), open_ones(step), cap_wei)
    gas = step.gas
    if gas is None:
        gas = await chain.estimate(operation.sender, step.contract, step.calldata)
    return Terms(gas, most, tip)


async def require_allowed(tx: Tx, rules: Rules, operation: OperationRow, at: Terms) -> None:
    """The operator lets the signer sign this now. Nothing else is signed for the account until the
    transaction ends.

    Raises:
        NotNow
    """
    spent = None
    if not rules.is_open:
        now = await before_signing(tx, operation.account_id, operation.chain_id, operation.sender)
        if not now.is_granted:
            raise NotNow("the wallet does not act for this account any more")
        spent = now.spent_wei
    why = excess(rules.allowance, spent, [(at.gas, at.max_fee_wei)])
    if why is not None:
        raise NotNow(why)


async def sign(
    signer: Signer,
    operation: OperationRow,
    step: StepRow,
    nonce: int,
    at: Terms,
) -> SignedTransaction:
    """The step as signed bytes, checked to be exactly what was to be signed.

    Raises:
        SignerError
    """
    assert step.calldata is not None
    wanted = UnsignedTransaction(
        chain_id=operation.chain_id,
        sender=operation.sender,
        to=step.contract,
        calldata=step.calldata,
        nonce=nonce,
        gas=at.gas,
        max_fee_wei=at.max_fee_wei,
        priority_fee_wei=at.priority_fee_wei,
    )
    signed = read_signed(await signer.sign(wanted))
    for name in UnsignedTransaction.__struct_fields__:
        if getattr(signed, name) != getattr(wanted, name):
            raise SignerError(f"the signer signed another transaction: its {name} differs")
    return signed

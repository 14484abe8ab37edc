"""Which transfers of a transaction pay which agent and which feedback. Pure.

Somebody claims that a transaction paid an agent: an account that links it, or a feedback file that
names it. All claims about one transaction are settled together, by who makes them and then in the
order in which they were made, so that the same claims come out the same however late one of them is
found.

Source: ERC-8004, "proofOfPayment": the receiver is the agent's wallet or owner, the payer is the
client, and no payment serves two feedbacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from renown.spec.tokens import Tokens, token_at
from renown.spec.transactions import Receipt
from renown.spec.transfers import Transfer, transfers
from renown.types import ZERO_ADDRESS

State: TypeAlias = Literal["pending", "included", "confirmed", "refused"]
Basis: TypeAlias = Literal["wallet", "owner", "declared"]
Reason: TypeAlias = Literal[
    "unknown-transaction",
    "transaction-failed",
    "no-transfer",
    "token-not-allowed",
    "wrong-receiver",
    "before-registration",
    "claimed-otherwise",
    "wrong-payer",
    "self-payment",
    "not-a-party",
    "used-by-other-agent",
    "used-by-other-feedback",
    "chain-not-read",
]
"""Why a claim was refused. Codes are stable; clients may compare them."""

AgentPlace: TypeAlias = tuple[int, int]
"""Chain and agent id."""


class Seen(msgspec.Struct, frozen=True):
    """A transaction as its chain shows it now.

    Attributes:
        is_known: a node has it, in its pool or in a block.
        receipt: None while it is in no block.
        time_seconds: Unix time of its block.
        is_final: its block cannot be reorganised any more.
        is_read: False where no node of that chain is configured.
    """

    is_known: bool
    receipt: Receipt | None = None
    time_seconds: int | None = None
    is_final: bool = False
    is_read: bool = True


NOT_SEEN = Seen(is_known=False)
NOT_READ = Seen(is_known=False, is_read=False)


class AgentThen(msgspec.Struct, frozen=True):
    """Where an agent could be paid when the transaction came into its block.

    Attributes:
        owner, wallet: None where it had none; both are None before its registration.
        is_wallet_its_own: the wallet signed for it on the chain that it was paid on, and was that
            of no other agent there.
        declared: receivers that its file or its endpoints named for that chain at that time.
        is_final: the facts behind it cannot be reorganised any more.
    """

    owner: bytes | None = None
    wallet: bytes | None = None
    is_wallet_its_own: bool = False
    declared: frozenset[bytes] = frozenset()
    is_final: bool = True


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says: that a transaction paid an agent.

    Attributes:
        order: claims of lower order were made earlier.
        client: who gave the feedback; None where an account links.
        log_index: of the transfer meant; None: any to the agent.
        payer, payee: as claimed; None: not said.
        proved: wallets that the linking account had shown to be its own.
        is_final: whether what it hangs on, a feedback, is final.
    """

    claim_id: UUID
    order: tuple[int, int, int, int]
    chain_id: int
    agent_id: int
    client: bytes | None = None
    log_index: int | None = None
    payer: bytes | None = None
    payee: bytes | None = None
    proved: frozenset[bytes] = frozenset()
    is_final: bool = True

    @property
    def place(self) -> AgentPlace:
        """The agent it is about."""
        return self.chain_id, self.agent_id


class Verdict(msgspec.Struct, frozen=True):
    """What a claim comes to; `reason` and `detail` (for people) where it is refused.

    `is_settled` is false while another look can change it.
    """

    state: State
    reason: Reason | None = None
    detail: str | None = None
    is_settled: bool = False


class Counted(msgspec.Struct, frozen=True):
    """A transfer that counts: for one agent, and at most one feedback.

    `claim_id` is the first claim for that agent, of a party to the payment if one made any. Where a
    feedback makes it, it is `feedback_claim_id`, too: of two feedbacks that name a transfer one is
    refused.
    """

    transfer: Transfer
    chain_id: int
    agent_id: int
    basis: Basis
    claim_id: UUID
    feedback_claim_id: UUID | None
    is_final: bool


class Outcome(msgspec.Struct, frozen=True):
    """What all claims about one transaction come to. `counted` is in the order of logs."""

    verdicts: dict[UUID, Verdict]
    counted: tuple[Counted, ...]


def settle(
    seen: Seen,
    pay_chain_id: int,
    tokens: Tokens,
    claims: Sequence[Claim],
    agents: Mapping[AgentPlace, AgentThen],
) -> Outcome:
    """Settle the claims about one transaction.

    Args:
        agents: without those of which it is not known yet what they were then.
    """
    if not seen.is_read:
        no = _refused("chain-not-read", f"no node of chain {pay_chain_id} is configured here")
        return Outcome({one.claim_id: no for one in claims}, ())
    receipt = seen.receipt
    if receipt is None:
        return Outcome({one.claim_id: Verdict("pending") for one in claims}, ())
    moved = transfers(receipt.logs) if receipt.succeeded else ()
    verdicts: dict[UUID, Verdict] = {}
    table = _Table(seen.is_final)
    fitting: list[tuple[Claim, AgentThen, list[_Fit]]] = []
    for claim in sorted(claims, key=lambda one: (one.order, one.claim_id)):
        then = agents.get(claim.place)
        if then is None:
            verdicts[claim.claim_id] = Verdict("pending")
            continue
        fits = _fits(claim, then, receipt, moved, pay_chain_id, tokens)
        if isinstance(fits, Verdict):
            settled = seen.is_final and then.is_final
            verdicts[claim.claim_id] = msgspec.structs.replace(fits, is_settled=settled)
        else:
            fitting.append((claim, then, fits))
    for turn in _TURNS:
        for claim, then, fits in fitting:
            meant = [fit for fit in fits if fit.turn == turn]
            if not meant:
                continue
            found, before = table.take(claim, then, meant), verdicts.get(claim.claim_id)
            if before is None or before.state == "refused":
                verdicts[claim.claim_id] = found
    return Outcome(verdicts, table.counted())


_OF_PAYER, _OF_PARTY, _OF_STRANGER = _TURNS = (0, 1, 2)
"""Who is heard first: the feedback of who paid, then an account that has proved the payer's or the
receiver's wallet, then anybody.

A rating comes after its payment. Were it not heard first, an owner of several agents could link the
payment to another of them, and whoever paid and rates badly would be told that he did not pay."""


class _Fit(msgspec.Struct, frozen=True):
    """A transfer that a claim may mean, why its receiver is the agent, and when it is heard."""

    transfer: Transfer
    basis: Basis
    turn: int = _OF_STRANGER


class _Table:
    """Who has which transfer."""

    def __init__(self, is_final: bool) -> None:
        self._is_final = is_final
        self._held: dict[int, Counted] = {}
        self._brought: dict[int, tuple[bool, tuple[int, ...], UUID]] = {}

    def counted(self) -> tuple[Counted, ...]:
        return tuple(self._held[log_index] for log_index in sorted(self._held))

    def take(self, claim: Claim, then: AgentThen, fits: list[_Fit]) -> Verdict:
        final = self._is_final and then.is_final and claim.is_final
        open_to_it = [
            fit
            for fit in fits
            if (held := self._held.get(fit.transfer.log_index)) is None
            or (held.chain_id, held.agent_id) == claim.place
        ]
        if not open_to_it:
            return Verdict(
                "refused",
                "used-by-other-agent",
                "an earlier claim has this payment for another agent",
                is_settled=final,
            )
        if claim.client is None:
            for fit in open_to_it:
                self._count(claim, fit, final)
            return _good(final)
        for fit in open_to_it:
            held = self._held.get(fit.transfer.log_index)
            if held is None or held.feedback_claim_id is None:
                self._count(claim, fit, final)
                return _good(final)
        return Verdict(
            "refused",
            "used-by-other-feedback",
            "an earlier feedback names this payment",
            is_settled=final,
        )

    def _count(self, claim: Claim, fit: _Fit, final: bool) -> None:
        place = fit.transfer.log_index
        feedback = claim.claim_id if claim.client is not None else None
        bringing = (fit.turn == _OF_STRANGER, claim.order, claim.claim_id)
        held = self._held.get(place)
        if held is not None:
            self._brought[place] = min(self._brought[place], bringing)
            self._held[place] = msgspec.structs.replace(
                held,
                claim_id=self._brought[place][-1],
                feedback_claim_id=held.feedback_claim_id or feedback,
                is_final=held.is_final or final,
            )
            return
        self._brought[place] = bringing
        self._held[place] = Counted(
            fit.transfer,
            claim.chain_id,
            claim.agent_id,
            fit.basis,
            claim.claim_id,
            feedback,
            final,
        )


def _good(final: bool) -> Verdict:
    return Verdict("confirmed" if final else "included", is_settled=final)


def _refused(reason: Reason, detail: str) -> Verdict:
    return Verdict("refused", reason, detail)


def _fits(
    claim: Claim,
    then: AgentThen,
    receipt: Receipt,
    moved: Sequence[Transfer],
    pay_chain_id: int,
    tokens: Tokens,
) -> list[_Fit] | Verdict:
    """The transfers that a claim may mean; or why there is none, from the first rule that leaves
    none on."""
    if not receipt.succeeded:
        return _refused("transaction-failed", "the transaction was undone: nothing moved")
    left = [one for one in moved if claim.log_index in (None, one.log_index)]
    if not left:
        where = "" if claim.log_index is None else f" at log index {claim.log_index}"
        return _refused("no-transfer", f"the transaction has no ERC-20 transfer{where}")
    left = [one for one in left if token_at(tokens, pay_chain_id, one.token) is not None]
    if not left:
        return _refused(
            "token-not-allowed", "no token that it moves counts as payment on that chain"
        )
    # Of nothing anybody may make a transfer in anybody's name.
    left = [one for one in left if one.amount > 0]
    if not left:
        return _refused("no-transfer", "the transfer is of nothing")
    if then.owner is None:
        return _refused("before-registration", "the agent was not registered yet")
    received = [_Fit(one, basis) for one in left if (basis := _basis(claim, then, one.payee))]
    if not received:
        return _refused(
            "wrong-receiver",
            "no transfer went to what was the agent's wallet, or where it declared to be paid",
        )
    agreed = [
        fit
        for fit in received
        if claim.payer in (None, fit.transfer.payer) and claim.payee in (None, fit.transfer.payee)
    ]
    if not agreed:
        return _refused("claimed-otherwise", "payer or receiver are not those that were named")
    if claim.client is not None:
        agreed = [fit for fit in agreed if fit.transfer.payer == claim.client]
        if not agreed:
            return _refused("wrong-payer", "the payer is not the client that gave the feedback")
    own = {then.owner, then.wallet}
    foreign = [
        fit
        for fit in agreed
        if fit.transfer.payer not in own and fit.transfer.payer != fit.transfer.payee
    ]
    if not foreign:
        return _refused("self-payment", "the agent, or its owner, paid itself")
    # To name a receiver proves nothing: one could declare the address of any busy shop. Nor does a
    # wallet that registration put there unasked, or that several agents have. So a party to the
    # payment has to say that it was for this agent.
    told = [
        msgspec.structs.replace(fit, turn=turn)
        for fit in foreign
        if (turn := _turn(claim, fit)) != _OF_STRANGER
        or (fit.basis == "wallet" and then.is_wallet_its_own)
    ]
    if not told:
        return _refused(
            "not-a-party",
            "nothing on the chain ties the receiver to this agent alone: the payer or the receiver"
            " has to link it, with an account that has proved that wallet",
        )
    return told


def _turn(claim: Claim, fit: _Fit) -> int:
    if claim.client is not None:
        return _OF_PAYER  # the rules before leave no other payer
    parties = (fit.transfer.payer, fit.transfer.payee)
    return _OF_STRANGER if claim.proved.isdisjoint(parties) else _OF_PARTY


def _basis(claim: Claim, then: AgentThen, payee: bytes) -> Basis | None:
    if payee == ZERO_ADDRESS:
        return None
    if payee == then.wallet:
        return "wallet"
    if payee in then.declared:
        return "declared"
    if claim.client is not None and payee == then.owner:
        return "owner"
    return None


# When to look again ------------------------------------------------------------------------------

_UNKNOWN_PAUSES_SECONDS = (30, 120, 600, 3_600, 6 * 3_600, 86_400, 2 * 86_400, 4 * 86_400)
"""Between looks for a transaction that nobody knows; when they are used up, nobody will."""
_NOT_READ_SECONDS = 86_400
_WAITING_SECONDS = 60
_BLOCKS_APART = 2.0
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 60.0


def look_again(
    verdict: Verdict, seen: Seen, *, tries: int, block_seconds: float
) -> tuple[Verdict, int, float | None]:
    """The verdict after so many looks in vain, their number now, and the pause until the next
    look in seconds; None for none.

    Args:
        tries: looks in a row before this one that found no such transaction.
        block_seconds: usual time between two blocks of the transaction's chain.
    """
    if not seen.is_read:
        return verdict, tries, _NOT_READ_SECONDS
    near = min(_MOST_SECONDS, max(_LEAST_SECONDS, _BLOCKS_APART * block_seconds))
    if not seen.is_known:
        if tries < len(_UNKNOWN_PAUSES_SECONDS):
            return verdict, tries + 1, _UNKNOWN_PAUSES_SECONDS[tries]
        gone = _refused("unknown-transaction", "no node has ever heard of this transaction")
        return msgspec.structs.replace(gone, is_settled=True), tries, None
    if verdict.is_settled:
        return verdict, 0, None
    if verdict.state == "pending" and seen.receipt is not None:
        return verdict, 0, min(_WAITING_SECONDS, 4 * near)  # the agent's chain is not that far
    return verdict, 0, near

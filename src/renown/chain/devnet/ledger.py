"""What a planner knows of the chain while it plans, and the steps it has planned. Pure.

The ledger keeps just enough of the registries' rules to plan transactions that succeed: who owns
and manages which agent, how many feedbacks a client has given, which request hashes are taken.
"""

from __future__ import annotations

from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.chain.devnet import calls, dollars
from renown.chain.devnet.addresses import DEPLOYER, DOLLAR, IDENTITY, REPUTATION, deployed_address
from renown.chain.devnet.calls import Feedback, Metadata
from renown.chain.devnet.cast import Signer
from renown.types import ZERO_ADDRESS, Address


class Transaction(msgspec.Struct, frozen=True):
    """One transaction, ready to send. `kind` says what for, in the past tense.

    `payment` numbers it, where a `PaidFeedback` is about it.
    """

    kind: str
    sender: bytes
    to: bytes
    calldata: bytes
    payment: int | None = None


class WalletProof(msgspec.Struct, frozen=True):
    """A `setAgentWallet`: signed when it is sent, because its deadline follows the block's time.

    `private_key` belongs to `wallet`, or to the owner of `wallet` when that is a contract.
    `through` is the smart wallet the sender acts by, where one owns the agent.
    """

    sender: bytes
    agent_id: int
    owner: bytes
    wallet: bytes
    private_key: bytes
    through: bytes | None = None
    kind: str = "wallet-proved"


class PaidFeedback(msgspec.Struct, frozen=True):
    """A `giveFeedback` whose file names an earlier payment of the same plan.

    The file is written when it is sent, because a transaction's hash is known only then. `file` is
    that file without the hash: `txHash` is added to its `proofOfPayment`.
    """

    sender: bytes
    agent_id: int
    said: Feedback
    file: dict[str, Any]
    payment: int
    kind: str = "feedback-given"


class Block(msgspec.Struct, frozen=True):
    """Mine everything since the last one."""


Step = Transaction | WalletProof | PaidFeedback | Block

FeedbackKey = tuple[int, bytes, int]
"""(agent id, client, feedback index)."""


class Request(msgspec.Struct):
    """A validation request. `registry` is the contract that holds it."""

    registry: bytes
    request_hash: bytes
    validator: bytes
    agent_id: int


class Ledger:
    """Plans transactions one after the other, each valid where it stands.

    Attributes:
        owners: owner by agent id; ids run on from `first_agent_id`.
        wallets: wallet by agent id, where there is one and it was planned here.
        feedback: every feedback given, in order, revoked ones too.
        requests: every validation request, in order.
        mute: who owns or rates but cannot be told to send anything: contracts, and other people.
    """

    def __init__(self, *, first_agent_id: int = 0) -> None:
        self.next_agent_id = first_agent_id
        self.owners: dict[int, bytes] = {}
        self.wallets: dict[int, bytes] = {}
        self.feedback: list[FeedbackKey] = []
        self.revoked: set[FeedbackKey] = set()
        self.requests: list[Request] = []
        self.mute: set[bytes] = set()
        self._steps: list[Step] = []
        self._since_block = 0
        self._payments = 0
        self._given: dict[tuple[int, bytes], int] = {}
        self._approved: dict[int, bytes] = {}
        self._operators: dict[tuple[bytes, bytes], bool] = {}
        self._behind: dict[bytes, bytes] = {}  # smart wallet -> the account that moves it

    def take_steps(self) -> tuple[Step, ...]:
        """The steps planned since the last call, closed by a Block."""
        self.end_block()
        steps, self._steps = tuple(self._steps), []
        return steps

    def end_block(self) -> None:
        """What follows goes into the next block. No block stays empty."""
        if self._since_block:
            self._steps.append(Block())
            self._since_block = 0

    def deploy(self, calldata: bytes, by: bytes, *, moved_by: bytes | None = None) -> Address:
        """Deploy by `DEPLOYER`; a contract acts if `moved_by` may tell it to."""
        self._send("contract-deployed", by, DEPLOYER, calldata)
        address = deployed_address(calldata)
        if moved_by is None:
            self.mute.add(address)
        else:
            self._behind[address] = moved_by
        return address

    def upgrade(self, owner: bytes, proxy: bytes, implementation: bytes, call: bytes = b"") -> None:
        """By the registry's owner."""
        self._send("registry-upgraded", owner, proxy, calls.upgrade(implementation, call))

    # Identity ---------------------------------------------------------------------------------

    def register(self, owner: bytes, uri: bytes | None = None, metadata: Metadata = ()) -> int:
        """The new agent's id."""
        self._send("agent-registered", owner, IDENTITY, calls.register(uri, metadata))
        agent_id = self._mint(owner)
        self.wallets[agent_id] = owner
        return agent_id

    def register_reentrantly(
        self, registrant: bytes, by: bytes, trap: int, uri: bytes, recipient: bytes
    ) -> int:
        """As `calls.reentrant_register`; the id of the agent the trap is for."""
        calldata = calls.reentrant_register(trap, uri, recipient)
        self._send("agent-registered-reentrantly", by, registrant, calldata)
        agent_id = self._mint(recipient if trap == 3 else registrant)
        if trap == 4:
            self._mint(registrant)
        return agent_id

    def set_uri(self, agent_id: int, uri: bytes, by: bytes | None = None) -> None:
        """By the owner, or `by` another manager."""
        self._manage("uri-updated", agent_id, by, calls.set_agent_uri(agent_id, uri))

    def set_metadata(
        self, agent_id: int, key: bytes, value: bytes, by: bytes | None = None
    ) -> None:
        """By the owner, or `by` another manager; an empty value clears the key."""
        self._manage("metadata-set", agent_id, by, calls.set_metadata(agent_id, key, value))

    def prove_wallet(
        self, agent_id: int, signer: Signer, *, wallet: bytes | None = None, by: bytes | None = None
    ) -> None:
        """The signer's own account, or the ERC-1271 `wallet` it signs for, becomes the wallet."""
        actor = self._manager(agent_id, by)
        behind = self._behind.get(actor)
        proof = WalletProof(
            sender=behind or actor,
            agent_id=agent_id,
            owner=self.owners[agent_id],
            wallet=wallet or signer.address,
            private_key=signer.private_key,
            through=actor if behind else None,
        )
        self._append(proof)
        self.wallets[agent_id] = proof.wallet

    def unset_wallet(self, agent_id: int, by: bytes | None = None) -> None:
        """By the owner, or `by` another manager."""
        self._manage("wallet-unset", agent_id, by, calls.unset_agent_wallet(agent_id))
        self.wallets.pop(agent_id, None)

    def transfer(self, agent_id: int, recipient: bytes, by: bytes | None = None) -> None:
        """Any transfer empties the agent's wallet and its approval."""
        owner = self.owners[agent_id]
        self._manage("agent-transferred", agent_id, by, calls.transfer(owner, recipient, agent_id))
        self.note_owner(agent_id, recipient)

    def transfer_safely(self, agent_id: int, recipient: bytes, note: bytes | None = None) -> None:
        """By the owner, through the recipient's receiver hook where it is a contract."""
        owner = self.owners[agent_id]
        calldata = calls.safe_transfer(owner, recipient, agent_id, note)
        self._manage("agent-transferred", agent_id, None, calldata)
        self.note_owner(agent_id, recipient)

    def approve(self, agent_id: int, spender: bytes) -> None:
        """The zero address takes an approval back."""
        self._manage("agent-approved", agent_id, None, calls.approve(spender, agent_id))
        self.note_approval(agent_id, spender)

    def set_operator(self, owner: bytes, operator: bytes, approved: bool = True) -> None:
        """By the owner."""
        calldata = calls.set_approval_for_all(operator, approved)
        self._act("operator-set", owner, IDENTITY, calldata)
        self.note_operator(owner, operator, approved)

    def is_manager(self, account: bytes, agent_id: int) -> bool:
        """Owner, operator of the owner, or approved for this agent (`isAuthorizedOrOwner`)."""
        owner = self.owners[agent_id]
        return account in (owner, self._approved.get(agent_id)) or self._operators.get(
            (owner, account), False
        )

    # Reputation -------------------------------------------------------------------------------

    def give_feedback(self, agent_id: int, client: bytes, said: Feedback) -> FeedbackKey | None:
        """None, and nothing planned, where the client manages the agent."""
        if self.is_manager(client, agent_id):
            return None
        self._act("feedback-given", client, REPUTATION, calls.give_feedback(agent_id, said))
        return self.note_feedback(agent_id, client)

    def revoke(self, key: FeedbackKey) -> None:
        """Nothing is planned for feedback that is revoked already."""
        if key in self.revoked:
            return
        agent_id, client, index = key
        self._act("feedback-revoked", client, REPUTATION, calls.revoke_feedback(agent_id, index))
        self.revoked.add(key)

    def respond(
        self, key: FeedbackKey, responder: bytes, uri: bytes, content_hash: bytes = bytes(32)
    ) -> None:
        """By anyone, also to revoked feedback."""
        calldata = calls.append_response(*key, uri, content_hash)
        self._act("response-appended", responder, REPUTATION, calldata)

    # Money ------------------------------------------------------------------------------------

    def make_money(self, account: bytes, units: int) -> None:
        """Dollars out of nothing, in millionths."""
        self._send("money-made", account, DOLLAR, dollars.mint(account, units))

    def pay(self, payer: bytes, payee: bytes, units: int) -> int:
        """A plain transfer; the number of the payment."""
        return self._pay("paid", payer, dollars.transfer(payee, units))

    def pay_by_signature(self, payer: Signer, payee: bytes, units: int, *, sent_by: bytes) -> int:
        """As x402 does: the payer signs (EIP-3009), and somebody else sends it."""
        nonce = keccak(payer.address + self._payments.to_bytes(8))
        calldata = dollars.transfer_with_authorization(
            payer.private_key, payer.address, payee, units, nonce
        )
        return self._pay("paid-by-signature", sent_by, calldata)

    def give_paid_feedback(
        self, agent_id: int, client: bytes, said: Feedback, file: dict[str, Any], payment: int
    ) -> FeedbackKey | None:
        """With a file that names a payment planned before; None as of `give_feedback`."""
        if self.is_manager(client, agent_id):
            return None
        self._append(PaidFeedback(client, agent_id, said, file, payment))
        return self.note_feedback(agent_id, client)

    # Validation -------------------------------------------------------------------------------

    def request_validation(
        self, agent_id: int, registry: bytes, validator: bytes, request_hash: bytes, uri: bytes
    ) -> Request:
        """By the agent's owner. The hash must be new to the registry."""
        calldata = calls.validation_request(validator, agent_id, uri, request_hash)
        self._act("validation-requested", self.owners[agent_id], registry, calldata)
        request = Request(registry, request_hash, validator, agent_id)
        self.requests.append(request)
        return request

    def validate(
        self,
        request: Request,
        response: int,
        *,
        uri: bytes = b"",
        content_hash: bytes = bytes(32),
        tag: bytes = b"",
    ) -> None:
        """By the named validator; 0 to 100, any number of times."""
        calldata = calls.validation_response(request.request_hash, response, uri, content_hash, tag)
        self._act("validation-responded", request.validator, request.registry, calldata)

    # What was there before --------------------------------------------------------------------

    def note_owner(self, agent_id: int, owner: bytes) -> None:
        """A `Transfer`, also a mint. It takes back the approval for the agent."""
        self.owners[agent_id] = owner
        self.next_agent_id = max(self.next_agent_id, agent_id + 1)
        self.wallets.pop(agent_id, None)  # of a mint it follows
        self._approved.pop(agent_id, None)

    def note_approval(self, agent_id: int, spender: bytes) -> None:
        """An `Approval`."""
        self._approved[agent_id] = spender

    def note_operator(self, owner: bytes, operator: bytes, approved: bool) -> None:
        """An `ApprovalForAll`."""
        self._operators[owner, operator] = approved

    def note_feedback(self, agent_id: int, client: bytes) -> FeedbackKey:
        """A `NewFeedback`; its index follows from those before."""
        index = self._given.get((agent_id, client), 0) + 1
        self._given[agent_id, client] = index
        key = (agent_id, client, index)
        self.feedback.append(key)
        return key

    def _pay(self, kind: str, sender: bytes, calldata: bytes) -> int:
        number, self._payments = self._payments, self._payments + 1
        self._append(Transaction(kind, sender, DOLLAR, calldata, payment=number))
        return number

    def _mint(self, owner: bytes) -> int:
        agent_id = self.next_agent_id
        self.note_owner(agent_id, owner)
        return agent_id

    def _manage(self, kind: str, agent_id: int, by: bytes | None, calldata: bytes) -> None:
        self._act(kind, self._manager(agent_id, by), IDENTITY, calldata)

    def _manager(self, agent_id: int, by: bytes | None) -> bytes:
        actor = self.owners[agent_id] if by is None else by
        if not self.is_manager(actor, agent_id) or actor == ZERO_ADDRESS:
            raise ValueError(f"0x{actor.hex()} does not manage agent {agent_id}")
        return actor

    def _act(self, kind: str, actor: bytes, to: bytes, calldata: bytes) -> None:
        behind = self._behind.get(actor)
        if behind is None:
            self._send(kind, actor, to, calldata)
        else:
            self._send(kind, behind, actor, calls.execute(to, calldata))

    def _send(self, kind: str, sender: bytes, to: bytes, calldata: bytes) -> None:
        self._append(Transaction(kind, sender, to, calldata))

    def _append(self, step: Transaction | WalletProof | PaidFeedback) -> None:
        self._steps.append(step)
        self._since_block += 1

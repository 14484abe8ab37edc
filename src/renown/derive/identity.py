"""What an agent is: owner, URI, wallet, approval, metadata, folded from its identity facts.

The rules that are not obvious come from re-entrant registration (ERC-8004 traps): the mint calls
the receiver's hook before `Registered` and the wallet log are emitted, so logs of one transaction
can arrive in an order that contradicts the contract's storage:

- the owner is what `Transfer` says, never what `Registered` says;
- an empty URI of `Registered` overwrites a URI already said only if registration stored it, which
  the `MetadataUpdate` right before it tells: `register()` stores none, `register("")` does;
- the wallet log that registration emits is ignored if this agent's wallet was already spoken of
  in the same transaction.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from renown.spec.events import (
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    MetadataRefreshed,
    MetadataSet,
    UriUpdated,
)
from renown.types import ZERO_ADDRESS

WalletState = Literal["unset", "default", "proved", "cleared", "malformed"]
IdentityFact = AgentRegistered | UriUpdated | MetadataSet | AgentTransferred | AgentApproved

AGENT_WALLET = b"agentWallet"
"""The reserved metadata key; exact and case-sensitive (ERC-8004 registry, section 3.6)."""


class Entry(msgspec.Struct, gc=False):
    """One metadata entry and the fact that set it."""

    key: bytes
    value: bytes
    block_number: int
    log_index: int


class Interval(msgspec.Struct, gc=False):
    """One ownership, from a transfer to the next. `to_block` is None while it lasts."""

    owner: bytes
    from_block: int
    from_log_index: int
    to_block: int | None = None
    to_log_index: int | None = None


class Identity(msgspec.Struct):
    """One agent's folded identity.

    `uri` is None until something said one (empty is a saying). `wallet` is None unless a log set
    an address; `wallet_state` says why: `unset` nothing said so, `default` the registration put
    the registrant there without a signature, `proved` the wallet signed, `cleared` by transfer or
    unset, `malformed` the bytes are no address (they are kept as metadata).
    """

    agent_id: int
    owner: bytes
    created_block: int
    created_log_index: int
    created_tx: bytes
    registrant: bytes | None = None
    uri: bytes | None = None
    uri_block: int | None = None
    wallet: bytes | None = None
    wallet_state: WalletState = "unset"
    approved: bytes | None = None
    transfer_count: int = 0
    metadata: dict[bytes, Entry | None] = msgspec.field(default_factory=dict)
    """By key hash; None for an entry that was cleared, to tell that change from silence."""
    ownership: list[Interval] = msgspec.field(default_factory=list)
    """The intervals this fold opened or closed, in order; the open one is last."""
    wallet_tx: bytes = b""
    """The transaction of the last wallet log. Meaningful within one transaction only."""
    refreshed_tx: bytes = b""
    """The transaction of this agent's last fact, if that was a `MetadataUpdate`."""
    registration_tx: bytes = b""
    """The transaction whose registration wallet log is still to come; empty when it came."""

    @property
    def entries(self) -> dict[bytes, Entry]:
        """The metadata that is set, by key hash. The wallet is not among it unless malformed."""
        return {key: entry for key, entry in self.metadata.items() if entry is not None}


def mint(fact: AgentTransferred) -> Identity:
    """The identity that a mint opens. `fact.from_address` is zero."""
    return Identity(
        agent_id=fact.agent_id,
        owner=fact.to_address,
        created_block=fact.block_number,
        created_log_index=fact.log_index,
        created_tx=fact.tx_hash,
        ownership=[Interval(fact.to_address, fact.block_number, fact.log_index)],
    )


def step(identity: Identity, fact: IdentityFact) -> Identity:
    """`identity` after `fact`, which is its next in chain order. Consumes `identity`."""
    match fact:
        case MetadataSet():
            _set_metadata(identity, fact)
        case AgentTransferred():
            _transfer(identity, fact)
        case AgentRegistered():
            identity.registrant = fact.owner
            identity.registration_tx = fact.tx_hash
            if fact.uri or identity.uri is None or identity.refreshed_tx == fact.tx_hash:
                identity.uri, identity.uri_block = fact.uri, fact.block_number
        case UriUpdated():
            identity.uri, identity.uri_block = fact.uri, fact.block_number
        case AgentApproved():
            identity.approved = fact.approved if fact.approved != ZERO_ADDRESS else None
    identity.refreshed_tx = b""
    return identity


def refresh(identity: Identity, fact: MetadataRefreshed) -> None:
    """Note that the registry announced new metadata; what it was, the next fact says."""
    identity.refreshed_tx = fact.tx_hash


def _transfer(identity: Identity, fact: AgentTransferred) -> None:
    if identity.ownership and identity.ownership[-1].to_block is None:
        identity.ownership[-1].to_block = fact.block_number
        identity.ownership[-1].to_log_index = fact.log_index
    identity.ownership.append(Interval(fact.to_address, fact.block_number, fact.log_index))
    identity.owner = fact.to_address
    identity.approved = None  # cleared by every transfer, without an Approval log
    identity.transfer_count += 1


def _set_metadata(identity: Identity, fact: MetadataSet) -> None:
    if fact.key == AGENT_WALLET:
        _set_wallet(identity, fact)
    elif fact.value:
        identity.metadata[fact.key_hash] = _entry(fact)
    else:
        identity.metadata[fact.key_hash] = None


def _set_wallet(identity: Identity, fact: MetadataSet) -> None:
    spoken_of = identity.wallet_tx == fact.tx_hash
    of_registration = identity.registration_tx == fact.tx_hash and fact.value == identity.registrant
    identity.wallet_tx = fact.tx_hash
    if of_registration:
        identity.registration_tx = b""
        if spoken_of:
            return
    if identity.wallet_state == "malformed":
        identity.metadata[fact.key_hash] = None
    if not fact.value:
        identity.wallet, identity.wallet_state = None, "cleared"
    elif len(fact.value) in (20, 32):  # 32: an address padded to a word is tolerated
        identity.wallet = fact.value[-20:]
        identity.wallet_state = "default" if of_registration else "proved"
    else:
        identity.wallet, identity.wallet_state = None, "malformed"
        identity.metadata[fact.key_hash] = _entry(fact)


def _entry(fact: MetadataSet) -> Entry:
    return Entry(fact.key, fact.value, fact.block_number, fact.log_index)

"""What must happen on chain in every world, whatever its seed: one scene each. Pure.

A scene is planned in one go and by accounts of its own, so nothing comes between its acts; everyday
acts leave its agents alone, so what it shows stays.
"""

from __future__ import annotations

from collections.abc import Callable

from renown.chain.devnet import calls, content
from renown.chain.devnet.acts import Acts
from renown.chain.devnet.addresses import (
    IDENTITY,
    REGISTRY_OWNER,
    REPUTATION,
    VALIDATION,
    implementation,
)
from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.personas import flagship
from renown.chain.devnet.registrations import careful_file
from renown.chain.devnet.uri_forms import NOT_UTF8, data_uri
from renown.types import ZERO_ADDRESS

Scene = Callable[[Acts], None]

MOST = 10**38
"""The largest value of a feedback."""

BUSY_CLIENT_FEEDBACKS = 40

ADOPT, UNWALLET, MOVE, NEST = 1, 2, 3, 4
"""The tricks of the re-entrant registrant, by its own numbers."""


def opening(acts: Acts) -> None:
    """The contracts that act, the second validation registry, and the first agents."""
    ledger, cast = acts.ledger, acts.cast
    ledger.deploy(
        cast.smart_wallet_deployment, REGISTRY_OWNER, moved_by=cast.smart_wallet_signer.address
    )
    ledger.deploy(cast.registrant_deployment, REGISTRY_OWNER)
    second = ledger.deploy(cast.second_validation_deployment, REGISTRY_OWNER)
    linked = calls.initialize_linked(IDENTITY)
    ledger.upgrade(REGISTRY_OWNER, second, implementation("validation_registry"), linked)

    busy = flagship(cast.seed, ledger.next_agent_id)
    acts.files.settle(busy)
    ledger.register(cast.account("founder"), data_uri(careful_file(busy)))
    ledger.register(cast.account("founder"))  # no URI at all


def all_metadata(acts: Acts) -> None:
    """Every odd entry at once, one key twice; then one cleared and one changed."""
    owner = acts.cast.account("archivist")
    again = (b"agentName", b"the last of a repeated key wins")
    agent_id = acts.ledger.register(owner, b"", [*content.ODD_METADATA, again])
    acts.ledger.set_metadata(agent_id, b"agentName", b"")
    acts.ledger.set_metadata(agent_id, b"name", b"Beta")


def wallets(acts: Acts) -> None:
    """Default, proved by a key, proved again, unset, and lost by a transfer."""
    ledger, cast = acts.ledger, acts.cast
    owner, heir = cast.account("walletless"), cast.account("heir")
    kept, unset, lost = (ledger.register(owner, b"ipfs://wallets") for _ in range(3))
    for agent_id in (kept, unset, lost):
        ledger.prove_wallet(agent_id, cast.signer(100))
    ledger.prove_wallet(kept, cast.signer(101))
    ledger.unset_wallet(unset)
    ledger.unset_wallet(unset)
    ledger.transfer(lost, heir)


def wallet_by_contract(acts: Acts) -> None:
    """ERC-1271: a contract proves to be the wallet, for an account's agent and for its own."""
    ledger, cast = acts.ledger, acts.cast
    wallet, signer = cast.smart_wallet, cast.smart_wallet_signer
    agent_id = ledger.register(cast.account("modern"), acts.hosted("modern.example"))
    ledger.prove_wallet(agent_id, signer, wallet=wallet)
    own = ledger.register(wallet, acts.hosted("smart.example"))
    ledger.prove_wallet(own, cast.signer(102))
    ledger.prove_wallet(own, signer, wallet=wallet)


def wallet_by_operator(acts: Acts) -> None:
    """The operator sends it, the owner's address is signed."""
    ledger, cast = acts.ledger, acts.cast
    owner, operator = cast.account("absentee"), cast.account("steward")
    agent_id = ledger.register(owner)
    ledger.set_operator(owner, operator)
    ledger.prove_wallet(agent_id, cast.signer(103), by=operator)
    uri = acts.hosted("stewarded.example", agent_id=agent_id)
    ledger.set_uri(agent_id, uri, by=operator)
    ledger.set_operator(owner, operator, approved=False)


def approval(acts: Acts) -> None:
    """An approved account edits and moves the agent; the transfer ends the approval silently."""
    ledger, cast = acts.ledger, acts.cast
    owner, approved = cast.account("seller"), cast.account("marketplace")
    agent_id = ledger.register(owner, acts.hosted("for-sale.example"))
    ledger.approve(agent_id, approved)
    ledger.set_metadata(agent_id, b"listed", b"1", by=approved)
    ledger.transfer(agent_id, cast.account("buyer"), by=approved)
    ledger.approve(agent_id, approved)
    ledger.approve(agent_id, ZERO_ADDRESS)


def self_transfer(acts: Acts) -> None:
    """It clears the wallet all the same."""
    owner = acts.cast.account("narcissus")
    agent_id = acts.ledger.register(owner, acts.hosted("mirror.example"))
    acts.ledger.transfer(agent_id, owner)


def safe_transfers(acts: Acts) -> None:
    """To a contract with the receiver hook, with and without a note, and on from there."""
    ledger, cast = acts.ledger, acts.cast
    first = ledger.register(cast.account("depositor"))
    second = ledger.register(cast.account("depositor"))
    ledger.transfer_safely(first, cast.smart_wallet)
    ledger.transfer_safely(second, cast.smart_wallet, note=NOT_UTF8)
    ledger.transfer_safely(first, cast.account("depositor"))


def reentrant_registrations(acts: Acts) -> None:
    """Logs that contradict the state, unless read with care."""
    ledger, cast = acts.ledger, acts.cast
    sender, recipient = cast.account("trickster"), cast.account("receiver")
    for trap in (ADOPT, UNWALLET, MOVE, NEST):
        uri = acts.hosted("true.example") if trap == ADOPT else b""
        ledger.register_reentrantly(cast.registrant, sender, trap, uri, recipient)


def every_scale(acts: Acts) -> None:
    """Decimals 0 to 18, the bounds of the value, zero and negatives."""
    agent_id = acts.ledger.register(
        acts.cast.account("scaled"), acts.hosted("scaled.example", "/a.json")
    )
    client = acts.cast.account("surveyor")
    for decimals in range(19):
        acts.ledger.give_feedback(agent_id, client, Feedback(10**decimals + 1, decimals, b"scale"))
    for value in (0, -1, MOST, -MOST, 2**63, -(2**63) - 1):
        acts.ledger.give_feedback(agent_id, client, Feedback(value, 0, b"bounds"))


def wrapping_summary(acts: Acts) -> None:
    """The contract's mean of these is narrowed unchecked and comes out negative."""
    agent_id = acts.ledger.register(acts.cast.account("overflowing"))
    for number, (value, decimals) in enumerate([(MOST, 0), (1, 18), (1, 18)]):
        client = acts.cast.account("giant", number)
        acts.ledger.give_feedback(agent_id, client, Feedback(value, decimals, b"starred"))


def every_tag(acts: Acts) -> None:
    """One agent, three clients, every odd tag in both places."""
    agent_id = acts.ledger.register(acts.cast.account("tagged"), NOT_UTF8)
    for number, tag in enumerate(content.ODD_TAGS):
        client = acts.cast.account("tagger", number % 3)
        acts.ledger.give_feedback(
            agent_id,
            client,
            Feedback(80 + number, 0, tag, content.ODD_TAGS[-number], NOT_UTF8, b"\x00"),
        )


def busy_client(acts: Acts) -> None:
    """One client, one agent, many feedbacks; every fourth is taken back, some answered."""
    ledger = acts.ledger
    agent_id, client = acts.first_agent(), acts.cast.account("client", 0)
    for number in range(BUSY_CLIENT_FEEDBACKS):
        key = ledger.give_feedback(agent_id, client, Feedback(50 + number, 0, b"starred"))
        if key is not None and number % 4 == 0:
            ledger.revoke(key)
        if key is not None and number % 8 == 0:
            ledger.respond(key, ledger.owners[agent_id], b"ipfs://sorry")


def responses(acts: Acts) -> None:
    """One feedback, answered by owner, client and strangers, more than once, also when revoked."""
    ledger, cast = acts.ledger, acts.cast
    owner, client = cast.account("answerer"), cast.account("critic")
    agent_id = ledger.register(owner, acts.hosted("answers.example"))
    key = ledger.give_feedback(agent_id, client, Feedback(-5, 0, b"helpful"))
    if key is None:
        return
    acts.files.put("answers.example", "/1", b"We looked into it. The fault was ours.")
    for responder in (owner, client, acts.stranger(), owner):
        ledger.respond(key, responder, b"https://answers.example/1")
    ledger.revoke(key)
    ledger.respond(key, owner, NOT_UTF8)


def rated_by_kin(acts: Acts) -> None:
    """Allowed: an agent's wallet rates it, so does a contract, and its owner after the sale."""
    ledger, cast = acts.ledger, acts.cast
    seller, wallet = cast.account("vendor"), cast.signer(104)
    agent_id = ledger.register(seller, acts.hosted("kin.example"))
    ledger.prove_wallet(agent_id, wallet)
    ledger.give_feedback(agent_id, wallet.address, Feedback(100, 0, b"starred"))
    ledger.give_feedback(agent_id, cast.smart_wallet, Feedback(100, 0, b"starred"))
    ledger.transfer(agent_id, cast.account("customer"))
    ledger.give_feedback(agent_id, seller, Feedback(100, 0, b"starred"))


def validations(acts: Acts) -> None:
    """Pending, failed, passed, lowered, softly then hard; by strangers, by the owner, elsewhere."""
    ledger, cast = acts.ledger, acts.cast
    owner, validator = cast.account("validated"), cast.account("validator", 0)
    agent_id = ledger.register(owner, acts.hosted("validated.example"))
    pending, failed, passed, lowered = (
        acts.request(agent_id, VALIDATION, cast.account("auditor", number), b"ipfs://request")
        for number in range(4)
    )
    assert pending.agent_id == agent_id
    ledger.validate(failed, 0, tag=b"hard")
    ledger.validate(passed, 100, uri=NOT_UTF8, tag=b"tee\x00attestation")
    ledger.validate(lowered, 100, tag=b"soft")
    ledger.validate(lowered, 33, tag=b"hard")
    ledger.validate(acts.request(agent_id, VALIDATION, owner, b""), 100, tag=b"self")
    elsewhere = ledger.request_validation(
        agent_id,
        cast.second_validation_registry,
        validator,
        passed.request_hash,
        b"the same hash, in another registry",
    )
    ledger.validate(elsewhere, 57)
    ledger.request_validation(agent_id, elsewhere.registry, validator, bytes(32), b"")


def upgrades(acts: Acts) -> None:
    """The reputation registry moves to an equal copy of its code, without `Initialized`."""
    copy = acts.ledger.deploy(acts.cast.reputation_copy_deployment, REGISTRY_OWNER)
    acts.ledger.upgrade(REGISTRY_OWNER, REPUTATION, copy)


SCENES: tuple[Scene, ...] = (
    all_metadata,
    wallets,
    wallet_by_contract,
    wallet_by_operator,
    approval,
    self_transfer,
    safe_transfers,
    reentrant_registrations,
    every_scale,
    wrapping_summary,
    every_tag,
    busy_client,
    responses,
    rated_by_kin,
    validations,
    upgrades,
)

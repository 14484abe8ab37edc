"""The last acts of a world: clients pay agents, and rate them with a proof of it. Pure.

Most proofs are true. The others are what a reader must not believe: a transaction nobody has seen,
somebody else's payment, money that went elsewhere, one payment for two ratings.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.chain.devnet import content
from renown.chain.devnet.acts import Acts
from renown.chain.devnet.addresses import CHAIN_ID
from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.dollars import DOLLAR_UNITS
from renown.chain.devnet.registrations import REGISTRY_ID
from renown.chain.devnet.uri_forms import data_uri
from renown.types import checksum_address

PAYEES = 6
"""How many agents are paid, at most."""
PAYERS, SIGNING_PAYERS = 6, 3
WITHOUT_RATING = 3

_PRICES = (1_000, 10_000, 250_000, 1_000_000, 12_345_678)
_FIRST_PAYEE, _FIRST_PAYER = 200, 300  # numbers of signers that nobody else has


class Paid(msgspec.Struct, frozen=True):
    """A payment that was planned, as its proof has it."""

    number: int
    agent_id: int
    payer: bytes
    payee: bytes


def pay_and_rate(acts: Acts) -> None:
    """Two blocks: the payments, then the ratings that name them.

    By plain transfers and by signatures that a third party carries out (EIP-3009), to wallets that
    were proved for it and to those that agents have by default.
    """
    true = _payments(acts)
    acts.ledger.end_block()
    for paid in true[: -WITHOUT_RATING or None]:
        _rate(acts, paid, paid.payer)
    _rate(acts, true[0], true[0].payer)  # twice for one payment
    _rate(acts, true[1], true[2].payer)  # somebody else's, and it says so
    _rate(acts, msgspec.structs.replace(true[1], payer=true[2].payer), true[2].payer)  # it lies
    _rate(acts, _pay_elsewhere(acts, true[3]), true[3].payer)
    for paid in true[:2]:
        _rate_for_nothing(acts, paid)
    acts.ledger.end_block()


def _payments(acts: Acts) -> list[Paid]:
    ledger, cast, made = acts.ledger, acts.cast, []
    wallets = _payees(acts)
    relayer = cast.account("facilitator")
    for number in range(PAYERS + SIGNING_PAYERS + WITHOUT_RATING):
        agent_id = list(wallets)[number % len(wallets)]
        payee, units = wallets[agent_id], acts.rng.choice(_PRICES)
        if number % 3 == 2:
            signer = cast.signer(_FIRST_PAYER + number)
            payer = signer.address
            ledger.make_money(payer, 100 * DOLLAR_UNITS)
            paid = ledger.pay_by_signature(signer, payee, units, sent_by=relayer)
        else:
            payer = cast.account("customer", number)
            ledger.make_money(payer, 100 * DOLLAR_UNITS)
            paid = ledger.pay(payer, payee, units)
        made.append(Paid(paid, agent_id, payer, payee))
    return made


def _payees(acts: Acts) -> dict[int, bytes]:
    """Wallet by agent; every other one proved just now, by a key of its own."""
    ledger, rng = acts.ledger, acts.rng
    free = [agent_id for agent_id in sorted(ledger.owners) if acts.is_free(agent_id)]
    wallets = {}
    for number, agent_id in enumerate(sorted(rng.sample(free, min(PAYEES, len(free))))):
        if number % 2 == 0 or agent_id not in ledger.wallets:
            ledger.prove_wallet(agent_id, acts.cast.signer(_FIRST_PAYEE + number))
        wallets[agent_id] = ledger.wallets[agent_id]
    return wallets


def _pay_elsewhere(acts: Acts, paid: Paid) -> Paid:
    """The payer pays somebody who has nothing to do with the agent."""
    payee = acts.stranger()
    number = acts.ledger.pay(paid.payer, payee, acts.rng.choice(_PRICES))
    return Paid(number, paid.agent_id, paid.payer, payee)


def _rate(acts: Acts, paid: Paid, client: bytes) -> None:
    said, file = _said(acts.rng, paid, client)
    acts.ledger.give_paid_feedback(paid.agent_id, client, said, file, paid.number)


def _rate_for_nothing(acts: Acts, paid: Paid) -> None:
    """A proof that names a transaction nobody has sent."""
    client = acts.cast.account("braggart", paid.number)
    said, file = _said(acts.rng, msgspec.structs.replace(paid, payer=client), client)
    file["proofOfPayment"]["txHash"] = f"0x{acts.rng.randbytes(32).hex()}"
    written = json.dumps(file, indent=2).encode()
    said = msgspec.structs.replace(said, uri=data_uri(written), content_hash=keccak(written))
    acts.ledger.give_feedback(paid.agent_id, client, said)


def _said(rng: Random, paid: Paid, client: bytes) -> tuple[Feedback, dict[str, Any]]:
    value, decimals, tag1, tag2 = content.any_rating(rng)
    file: dict[str, Any] = {
        "agentRegistry": REGISTRY_ID,
        "agentId": paid.agent_id,
        "clientAddress": f"eip155:{CHAIN_ID}:{checksum_address(client)}",
        "createdAt": "2026-09-28T12:00:00Z",
        "value": value,
        "valueDecimals": decimals,
        "tag1": tag1.decode(),
        "tag2": tag2.decode(),
        "text": content.any_words(rng),
        "proofOfPayment": {
            "fromAddress": checksum_address(paid.payer),
            "toAddress": checksum_address(paid.payee),
            "chainId": str(CHAIN_ID),
        },
    }
    return Feedback(value, decimals, tag1, tag2), file

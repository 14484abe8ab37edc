"""What agents were paid in one span: claims in all states, and the payments that count. Pure.

Most are linked by accounts, one in ten is named by the file of a feedback. Payments are in the
issuer's dollar on chains where it is deployed; most payers pay once or twice, some all the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from renown.ingest.world.draws import address, place_random
from renown.ingest.world.people import Popular, owner_and_wallet
from renown.ingest.world.size import ChainPart, WorldSize, chain_parts
from renown.ingest.world.span import Given, Span
from renown.spec.tokens import KNOWN_TOKENS

_FEEDBACK_SHARE, _REFUSED_SHARE, _PENDING_SHARE = 0.1, 0.08, 0.02
_REASONS = (
    *("wrong-receiver", "no-transfer", "unknown-transaction", "wrong-payer"),
    *("token-not-allowed", "used-by-other-agent"),
)
_AMOUNTS = (10_000, 50_000, 100_000, 1_000_000, 2_500_000, 10_000_000)
_UNSETTLED_SHARE = 0.003  # of the last span: in a block that is not final


class Claim(NamedTuple):
    """A claim, and the payment it brought where it is good.

    Attributes:
        feedback: that names it; None where an account links it.
        at_block: block of the agent's chain at whose time it was paid.
        state: as in table `payment_claim`; only `included` and `confirmed` have a payment.
        token, basis: of the payment; the payee is the agent's wallet or owner.
        amount: in the token's smallest unit; 0 without payment.
    """

    claim_id: bytes
    agent_id: int
    pay_chain_id: int
    tx_hash: bytes
    log_index: int
    account: int
    feedback: Given | None
    at_block: int
    state: str
    reason: str | None
    payer: bytes
    payee: bytes
    basis: str
    token: bytes
    amount: int


def accounts(size: WorldSize) -> int:
    """How many accounts link payments."""
    return max(3, min(1_000, size.agents // 500))


def make_claims(size: WorldSize, part: ChainPart, number: int, span: Span) -> list[Claim]:
    """The claims made in a span, in the order of payment."""
    rng = place_random(size.seed, "payments", part.chain_id, number)
    minted = part.agents_before(number)
    early = minted == 0
    if early:  # whoever was there first is paid later in the span
        minted = part.agents_before(1)
    if not minted:
        return []
    wanted = part.span_share(part.payments, number)
    popular, tokens = Popular(part.agents), _tokens(size, part)
    seed, random, linking = size.seed, rng.random, accounts(size)
    named = [one for one in span.given if one.block_number >= span.first_block]
    rng.shuffle(named)
    del named[int(wanted * _FEEDBACK_SHARE) :]
    total = wanted + int(wanted * (_REFUSED_SHARE + _PENDING_SHARE))
    failed = total - wanted
    good = [True] * wanted + [False] * failed
    rng.shuffle(good)
    last = number == part.spans - 1
    payers = max(2, wanted // 3)
    found = []
    bits = rng.randbytes(48 * total)
    for n in range(total):
        lot = random()
        done = (n + lot) / total
        block = span.first_block + int((span.last_block - span.first_block) * done)
        given = named.pop() if good[n] and named and lot < 2 * _FEEDBACK_SHARE else None
        if given is not None:
            agent_id, payer, block = given.agent_id, given.client, given.block_number
        else:
            agent_id = popular.agent(random, minted)
            payer = _payer(random, size, part, number, payers)
        payee, wallet = owner_and_wallet(seed, size.agents, part.first + agent_id)
        basis = "owner"
        if wallet is not None:
            payee, basis = wallet, "wallet"
        pay_chain_id, token = tokens[int(len(tokens) * random() ** 3)]
        state, reason, amount = "confirmed", None, 0
        if good[n]:
            amount = _AMOUNTS[int(len(_AMOUNTS) * random() ** 2)] * (1 + int(9 * lot**3))
            if last and done > 1 - _UNSETTLED_SHARE:
                state = "included"
        elif last and lot < 0.5:
            state = "pending"
        else:
            state, reason = "refused", _REASONS[int(len(_REASONS) * random() ** 2)]
        found.append(
            Claim(
                _uuid(bits[48 * n : 48 * n + 16]),
                agent_id,
                pay_chain_id,
                bits[48 * n + 16 : 48 * n + 48],
                int(lot * 200),
                1 + int(linking * random() ** 2),
                given,
                block,
                state,
                reason,
                payer,
                payee,
                basis,
                token,
                amount,
            )
        )
    return found


def _tokens(size: WorldSize, part: ChainPart) -> list[tuple[int, bytes]]:
    """Tokens that agents of a chain are paid in: its own chain's first, then others'."""
    kinds = {one.chain_id: one.deployment.testnet for one in chain_parts(size)}
    chains = [
        chain_id
        for chain_id in (part.chain_id, *kinds)
        if chain_id in KNOWN_TOKENS and kinds[chain_id] == part.deployment.testnet
    ]
    found = [(chain_id, token) for chain_id in chains for token in KNOWN_TOKENS[chain_id]]
    return list(dict.fromkeys(found)) or [(8453, next(iter(KNOWN_TOKENS[8453])))]


def _payer(
    random: Callable[[], float], size: WorldSize, part: ChainPart, number: int, payers: int
) -> bytes:
    if random() < 0.3:
        return address(size.seed, "patron", int(max(3, size.agents // 300) * random() ** 3))
    place = (part.number << 20 | number) << 24 | int(payers * random() ** 2)
    return address(size.seed, "payer", place)


def _uuid(bits: bytes) -> bytes:
    """Version 4, RFC 9562."""
    return bits[:6] + bytes([bits[6] & 0x0F | 0x40, bits[7], bits[8] & 0x3F | 0x80]) + bits[9:]

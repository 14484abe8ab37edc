"""Everyday acts: each picks who does what to whom, and plans it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from eth_hash.auto import keccak

from renown.chain.devnet import content
from renown.chain.devnet.addresses import VALIDATION
from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.ledger import FeedbackKey, Ledger, Request
from renown.types import Address

OWNERS, CLIENTS, STRANGERS, VALIDATORS = 25, 90, 12, 5

BUSY_AGENT_SHARE = 0.15
BUSY_CLIENT_SHARE = 0.1


class Acts:
    """Random acts on a ledger. Each method plans one, or nothing where none is possible.

    They leave the agents in `reserved` alone.
    """

    def __init__(
        self, rng: Random, cast: Cast, ledger: Ledger, *, forms: Sequence[content.UriForm] = ()
    ) -> None:
        self.rng = rng
        self.cast = cast
        self.ledger = ledger
        self.reserved: set[int] = set()
        self._forms = list(reversed(forms))  # of URIs, still to be used once each
        self._signers = 0
        self._salt = cast.salt("requests").to_bytes(8)  # apart from those of other plans

    @property
    def others(self) -> list[Callable[[], None]]:
        """What happens beside registrations and feedback, the frequent more than once."""
        return [
            *[self.respond] * 5,
            *[self.revoke] * 3,
            *[self.update_uri] * 3,
            *[self.set_metadata] * 3,
            *[self.transfer] * 2,
            *[self.prove_wallet] * 2,
            *[self.request_validation] * 2,
            *[self.answer_validation] * 3,
            self.unset_wallet,
            self.set_operator,
        ]

    def register(self) -> None:
        """Once in each of the given forms of URI, then as agents commonly do."""
        rng, owner = self.rng, self._owner()
        file = content.registration_file(rng, self.ledger.next_agent_id)
        if self._forms:
            uri = self._forms.pop()(rng, file)
        elif rng.random() < 0.15:
            self.ledger.register(owner)
            return
        elif rng.random() < 0.1:
            uri = rng.choice(list(content.URI_FORMS.values()))(rng, file)
        else:
            uri = content.any_uri(rng, file)
        entries = rng.sample(content.ODD_METADATA, rng.choice([0, 0, 0, 1, 3]))
        self.ledger.register(owner, uri, entries)

    def give_feedback(self) -> None:
        """Mostly somebody to some agent; the first agent gets more, the first client gives more."""
        rng = self.rng
        busy = rng.random() < BUSY_AGENT_SHARE
        agent_id = self.first_agent() if busy else self._any_agent()
        number = 0 if rng.random() < BUSY_CLIENT_SHARE else rng.randrange(1, CLIENTS)
        value, decimals, tag1, tag2 = content.any_rating(rng)
        uri, content_hash = content.any_document_uri(rng, content.any_text(rng))
        said = Feedback(value, decimals, tag1, tag2, content.any_endpoint(rng), uri, content_hash)
        self.ledger.give_feedback(agent_id, self.cast.account("client", number), said)

    def respond(self) -> None:
        """By the owner, by the client, or by a stranger; also to revoked feedback."""
        key = self._feedback()
        if key is None:
            return
        parties = [self.ledger.owners[key[0]], self.ledger.owners[key[0]], key[1]]
        able = [account for account in parties if account not in self.ledger.mute]
        text = content.any_text(self.rng)
        uri = b"ipfs://" + content.cid(text).encode()
        responder = self.rng.choice([*able, self.stranger()])
        self.ledger.respond(key, responder, uri, keccak(text))

    def revoke(self) -> None:
        """By its client; nothing where it is revoked already."""
        key = self._feedback()
        if key is not None and key[1] not in self.ledger.mute:
            self.ledger.revoke(key)

    def update_uri(self) -> None:
        """To another file of the same agent."""
        agent_id = self._agent()
        file = content.registration_file(self.rng, agent_id)
        self.ledger.set_uri(agent_id, content.any_uri(self.rng, file))

    def set_metadata(self) -> None:
        """An odd entry, or the clearing of one."""
        key, value = self.rng.choice(content.ODD_METADATA)
        if self.rng.random() < 0.25:
            value = b""
        self.ledger.set_metadata(self._agent(), key, value)

    def transfer(self) -> None:
        """To one of the owners, which may be the one it has."""
        self.ledger.transfer(self._agent(), self._owner())

    def prove_wallet(self) -> None:
        """One of eight wallets: nothing makes them unique."""
        self.ledger.prove_wallet(self._agent(), self.cast.signer(self._signers))
        self._signers = (self._signers + 1) % 8

    def unset_wallet(self) -> None:
        """Whether or not there is one."""
        self.ledger.unset_wallet(self._agent())

    def set_operator(self) -> None:
        """Between two owners; mostly given, sometimes taken back."""
        approved = self.rng.random() < 0.8
        self.ledger.set_operator(self._owner(), self._owner(), approved)

    def request_validation(self) -> None:
        """At the official validation registry."""
        agent_id, validator = self._agent(), self._validator()
        text = content.any_text(self.rng)
        uri, _ = content.any_document_uri(self.rng, text)
        self.request(agent_id, VALIDATION, validator, uri)

    def answer_validation(self) -> None:
        """Sometimes again, and then also lower."""
        requests = [
            request
            for request in self.ledger.requests
            if request.agent_id not in self.reserved and request.validator not in self.ledger.mute
        ]
        if not requests:
            return
        request = self.rng.choice(requests)
        tag = self.rng.choice([b"soft", b"hard", b"code-audit", b""])
        uri, content_hash = content.any_document_uri(self.rng, content.any_text(self.rng))
        response = self.rng.choice([0, 20, 85, 95, 100, 100, 100])
        self.ledger.validate(request, response, uri=uri, content_hash=content_hash, tag=tag)

    def request(self, agent_id: int, registry: bytes, validator: bytes, uri: bytes) -> Request:
        """A request with a hash of its own."""
        number = len(self.ledger.requests)
        request_hash = keccak(self._salt + number.to_bytes(8))
        return self.ledger.request_validation(agent_id, registry, validator, request_hash, uri)

    def first_agent(self) -> int:
        """The agent with the most clients."""
        return next(iter(self.ledger.owners))

    def stranger(self) -> Address:
        """Somebody without a part in what they answer to."""
        return self.cast.account("stranger", self.rng.randrange(STRANGERS))

    def _agent(self) -> int:
        """An agent whose owner can act. The opening made one."""
        mute, reserved = self.ledger.mute, self.reserved
        owners = self.ledger.owners.items()
        return self.rng.choice([i for i, o in owners if o not in mute and i not in reserved])

    def _any_agent(self) -> int:
        return self.rng.choice([i for i in self.ledger.owners if i not in self.reserved])

    def _feedback(self) -> FeedbackKey | None:
        free = [key for key in self.ledger.feedback if key[0] not in self.reserved]
        return self.rng.choice(free) if free else None

    def _owner(self) -> Address:
        return self.cast.account("owner", self.rng.randrange(OWNERS))

    def _validator(self) -> Address:
        return self.cast.account("validator", self.rng.randrange(VALIDATORS))

"""Everyday acts: each picks who does what to whom, and plans it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from eth_hash.auto import keccak

from renown.chain.devnet import attachments, content
from renown.chain.devnet.addresses import VALIDATION
from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.files import Files, Home
from renown.chain.devnet.ledger import FeedbackKey, Ledger, Request
from renown.chain.devnet.personas import Persona, persona
from renown.chain.devnet.registrations import careful_file, registration_file
from renown.chain.devnet.uri_forms import URI_FORMS, Draft, UriForm, common_uri
from renown.types import Address

OWNERS, CLIENTS, STRANGERS, VALIDATORS = 25, 90, 12, 5

BUSY_AGENT_SHARE = 0.15
BUSY_CLIENT_SHARE = 0.1


class Acts:
    """Random acts on a ledger. Each method plans one, or nothing where none is possible.

    They leave the agents in `reserved` alone. What their URIs name goes into `files`.
    """

    def __init__(
        self,
        rng: Random,
        cast: Cast,
        ledger: Ledger,
        *,
        files: Files | None = None,
        forms: Sequence[UriForm] = (),
    ) -> None:
        self.rng = rng
        self.cast = cast
        self.ledger = ledger
        self.files = Files() if files is None else files
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
        agent = self.agent(self.ledger.next_agent_id)
        if self._forms:
            uri = self._forms.pop()(self.draft(agent))
        elif rng.random() < 0.15:
            self.ledger.register(owner)
            return
        elif rng.random() < 0.1:
            uri = rng.choice(list(URI_FORMS.values()))(self.draft(agent))
        else:
            uri = common_uri(rng, Draft(agent, registration_file(agent), self.files))
        entries = rng.sample(content.ODD_METADATA, rng.choice([0, 0, 0, 1, 3]))
        self.ledger.register(owner, uri, entries)

    def give_feedback(self) -> None:
        """Mostly somebody to some agent; the first agent gets more, the first client gives more."""
        rng = self.rng
        busy = rng.random() < BUSY_AGENT_SHARE
        agent_id = self.first_agent() if busy else self._any_agent()
        number = 0 if rng.random() < BUSY_CLIENT_SHARE else rng.randrange(1, CLIENTS)
        client = self.cast.account("client", number)
        value, decimals, tag1, tag2 = content.any_rating(rng)
        own = self._writer()
        file = attachments.feedback_file(
            own,
            agent_id=agent_id,
            client=client,
            value=value,
            decimals=decimals,
            tag1=tag1,
            tag2=tag2,
            words=content.any_words(own),
        )
        uri, content_hash = attachments.attach(own, self.files, file)
        said = Feedback(value, decimals, tag1, tag2, content.any_endpoint(own), uri, content_hash)
        self.ledger.give_feedback(agent_id, client, said)

    def respond(self) -> None:
        """By the owner, by the client, or by a stranger; also to revoked feedback."""
        key = self._feedback()
        if key is None:
            return
        parties = [self.ledger.owners[key[0]], self.ledger.owners[key[0]], key[1]]
        able = [account for account in parties if account not in self.ledger.mute]
        own = self._writer()
        file = attachments.response_file(own, content.any_words(own))
        uri, content_hash = attachments.attach(own, self.files, file, always=True)
        self.ledger.respond(key, self.rng.choice([*able, self.stranger()]), uri, content_hash)

    def revoke(self) -> None:
        """By its client; nothing where it is revoked already."""
        key = self._feedback()
        if key is not None and key[1] not in self.ledger.mute:
            self.ledger.revoke(key)

    def update_uri(self) -> None:
        """To the next edition of the agent's file; the first agent keeps what others copied."""
        agent_id = self._agent()
        if agent_id == self.first_agent():
            return
        agent = self.agent(agent_id)
        self.files.homes.pop(agent.agent_id, None)
        self.files.editions[agent.agent_id] += 1
        file = registration_file(agent, self.files.editions[agent.agent_id])
        uri = common_uri(self.rng, Draft(agent, file, self.files))
        self.ledger.set_uri(agent.agent_id, uri)

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
        """At the official validation registry; the hash is that of the payload."""
        agent_id, validator = self._agent(), self._validator()
        own = self._writer()
        words, number = content.any_words(own), len(self.ledger.requests)
        payload = attachments.request_file(agent_id, number, self._salt, words)
        uri, _ = attachments.attach(own, self.files, payload)
        self.ledger.request_validation(agent_id, VALIDATION, validator, keccak(payload), uri)

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
        own = self._writer()
        file = attachments.response_file(own, content.any_words(own))
        uri, content_hash = attachments.attach(own, self.files, file)
        response = self.rng.choice([0, 20, 85, 95, 100, 100, 100])
        self.ledger.validate(request, response, uri=uri, content_hash=content_hash, tag=tag)

    def request(self, agent_id: int, registry: bytes, validator: bytes, uri: bytes) -> Request:
        """A request with a hash of its own, of nothing."""
        number = len(self.ledger.requests)
        request_hash = keccak(self._salt + number.to_bytes(8))
        return self.ledger.request_validation(agent_id, registry, validator, request_hash, uri)

    def agent(self, agent_id: int) -> Persona:
        """Who that is; its servers answer from now on."""
        known = self.files.agents.get(agent_id)
        if known is None:
            known = persona(self.cast.seed, agent_id)
            self.files.settle(known)
        return known

    def draft(self, agent: Persona) -> Draft:
        """Its first file, as a careful writer makes it."""
        return Draft(agent, careful_file(agent), self.files)

    def hosted(self, host: str, path: str = "/agent.json", agent_id: int | None = None) -> bytes:
        """The URI of an agent's file, the next one's by default, on a host of that agent's own."""
        number = self.ledger.next_agent_id if agent_id is None else agent_id
        agent = persona(self.cast.seed, number, host=host)
        self.files.settle(agent)
        return self.files.move_in(agent, Home(host, path), careful_file(agent))

    def is_free(self, agent_id: int) -> bool:
        """Whether its owner can act, and no scene keeps it as it is."""
        return (
            agent_id not in self.reserved and self.ledger.owners[agent_id] not in self.ledger.mute
        )

    def first_agent(self) -> int:
        """The agent with the most clients."""
        return next(iter(self.ledger.owners))

    def stranger(self) -> Address:
        """Somebody without a part in what they answer to."""
        return self.cast.account("stranger", self.rng.randrange(STRANGERS))

    def _writer(self) -> Random:
        """Dice for one file: what they give must not change what happens next."""
        return Random(self.rng.getrandbits(64))

    def _agent(self) -> int:
        """An agent whose owner can act. The opening made one."""
        return self.rng.choice([i for i in self.ledger.owners if self.is_free(i)])

    def _any_agent(self) -> int:
        return self.rng.choice([i for i in self.ledger.owners if i not in self.reserved])

    def _feedback(self) -> FeedbackKey | None:
        free = [key for key in self.ledger.feedback if key[0] not in self.reserved]
        return self.rng.choice(free) if free else None

    def _owner(self) -> Address:
        return self.cast.account("owner", self.rng.randrange(OWNERS))

    def _validator(self) -> Address:
        return self.cast.account("validator", self.rng.randrange(VALIDATORS))

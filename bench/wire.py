"""The mock chain's actions as the JSON a node sends: logs and headers.

Strings and numbers come from templates made once from the seed (`forms`); an action fills in
agent, accounts and index. That costs a microsecond or two a log, so nothing is kept rendered.
Field names, order and spelling are geth's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Container

from bench import forms
from bench.blooms import Blooms
from bench.world import FEEDBACK_BODIES, OWNERS, RESPONSE_BODIES, URI_FORMS, Action, World

TRANSACTIONS_PER_BLOCK = 100
BLOCK_SECONDS, GENESIS_SECONDS = 2, 1_750_000_000

Head = tuple[int, bytes]
"""Which registry (place in `forms.REGISTRIES`) and a log's JSON up to the end of its data."""

_ODD = int.from_bytes(hashlib.sha256(b"transaction").digest()) | 1
_MASK_64 = (1 << 64) - 1
_FILLERS, _FILLER_BYTES = 256, 69  # hashes of transactions that are not ours, as JSON


def block_seconds(number: int) -> int:
    """Unix time of a block."""
    return GENESIS_SECONDS + number * BLOCK_SECONDS


class Wire:
    """Renders one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        rng = random.Random(world.seed)
        self._feedback, tags = forms.feedbacks(rng, FEEDBACK_BODIES)
        self._responses = forms.responses(rng, RESPONSE_BODIES)
        self._uris = forms.uris(rng, URI_FORMS)
        self._blooms = Blooms(world, tags)
        self._clients = [forms.account_word(i) for i in range(world.clients)]
        self._owners = [forms.account_word(OWNERS + i) for i in range(world.owners)]
        self._tx_hash = rng.randbytes(24).hex().encode() + b"%016x"
        self._fillers = b"".join(
            b'"0x%b",' % rng.randbytes(32).hex().encode() for _ in range(_FILLERS)
        )
        self._heads: dict[int, Callable[[int], tuple[Head, ...]]] = {
            Action.DEPLOY: lambda _: forms.DEPLOYED,
            Action.REGISTER: self._register,
            Action.REGISTER_URI: self._register,
            Action.REGISTER_ENTRY: self._register,
            Action.FEEDBACK: self._give,
            Action.REVOKE: self._revoke,
            Action.RESPOND: self._respond,
            Action.TRANSFER: self._transfer,
            Action.SET_URI: self._set_uri,
            Action.SET_METADATA: self._set_metadata,
            Action.SET_WALLET: self._set_wallet,
            Action.APPROVE_ALL: self._approve_all,
            Action.REQUEST_VALIDATION: self._request_validation,
            Action.ANSWER_VALIDATION: self._answer_validation,
        }

    def logs(
        self, place: int, number: int, block_hash: bytes, wanted: Container[int]
    ) -> list[bytes]:
        """Logs of the block in `world.blocks[place]`, shown as block `number`.

        Two pieces a log, the first beginning with a comma; `wanted` are registries.
        """
        world = self.world
        first, end = world.first_action[place], world.first_action[place + 1]
        tail = forms.tail(number, block_hash, block_seconds(number))
        transaction, log_index = _first_transaction(place), place * 7 % 41
        kinds, heads, tx_template = world.kind, self._heads, self._tx_hash
        pieces: list[bytes] = []
        for action in range(first, end):
            tx_hash = tx_template % ((action + 1) * _ODD & _MASK_64)
            for registry, head in heads[kinds[action]](action):
                if registry in wanted:
                    pieces += (head, tail % (tx_hash, transaction, log_index))
                log_index += 1
            transaction += 1
            log_index += action * 5 % 4  # what other contracts logged in between
        return pieces

    def header(
        self,
        place: int | None,
        number: int,
        block_hash: bytes,
        parent_hash: bytes,
        bloom: bytes | None = None,
    ) -> bytes:
        """Header with hashes of `TRANSACTIONS_PER_BLOCK` transactions, about 8 kB.

        Args:
            place: index in `world.blocks`, None for a block without events.
            bloom: in hex, where the caller has it.
        """
        if place is None:
            bloom, own, before = _NO_BLOOM, b"", 0
        else:
            first, end = self.world.first_action[place], self.world.first_action[place + 1]
            bloom = bloom or self.bloom(place)
            own = b"".join(
                b'"0x%b",' % (self._tx_hash % ((action + 1) * _ODD & _MASK_64))
                for action in range(first, end)
            )
            before = _first_transaction(place)
        fillers = self._fillers
        start = number * 37 % (_FILLERS - TRANSACTIONS_PER_BLOCK) * _FILLER_BYTES
        middle = start + before * _FILLER_BYTES
        stop = start + TRANSACTIONS_PER_BLOCK * _FILLER_BYTES - len(own)
        return forms.HEADER % (
            block_hash,
            bloom,
            number,
            parent_hash,
            number * _ODD % forms.WORD,
            number * _ODD * _ODD % forms.WORD,
            block_seconds(number),
            fillers[start:middle],
            own,
            fillers[middle : stop - 1],
        )

    def bloom(self, place: int) -> bytes:
        """Bloom of the block in `world.blocks[place]`, in hex."""
        first_action = self.world.first_action
        return b"%0512x" % self._blooms.bloom(first_action[place], first_action[place + 1])

    # Logs of an action, in the order the contracts emit them (erc8004 3.4, 3.5) ------------

    def _register(self, action: int) -> tuple[Head, ...]:
        world = self.world
        agent, owner = world.agent[action], self._owners[world.who[action] - OWNERS]
        minted = (0, forms.TRANSFER % (forms.ZERO, owner, agent))
        wallet = (0, forms.METADATA_SET % (agent, forms.WALLET_TOPIC, forms.WALLET % owner[24:]))
        kind = world.kind[action]
        if kind == Action.REGISTER:
            return minted, (0, forms.REGISTERED % (agent, owner, forms.NO_URI)), wallet
        logs = (
            minted,
            (0, forms.METADATA_UPDATE % agent),
            (0, forms.REGISTERED % (agent, owner, self._uris[world.body[action]](agent))),
            wallet,
        )
        return (*logs, self._entry(agent)) if kind == Action.REGISTER_ENTRY else logs

    def _give(self, action: int) -> tuple[Head, ...]:
        world = self.world
        head = self._feedback[world.body[action]] % (
            world.agent[action],
            self._clients[world.who[action]],
            world.other[action],
        )
        return ((1, head),)

    def _revoke(self, action: int) -> tuple[Head, ...]:
        world = self.world
        given = world.who[action]
        client, index = self._clients[world.who[given]], world.other[given]
        return ((1, forms.REVOKED % (world.agent[action], client, index)),)

    def _respond(self, action: int) -> tuple[Head, ...]:
        world = self.world
        given = world.who[action]
        head = forms.RESPONDED % (
            world.agent[action],
            self._clients[world.who[given]],
            self._owners[world.other[action] - OWNERS],
            world.other[given],
            self._responses[world.body[action]],
        )
        return ((1, head),)

    def _transfer(self, action: int) -> tuple[Head, ...]:
        world = self.world
        agent = world.agent[action]
        before = self._owners[world.who[action] - OWNERS]
        after = self._owners[world.other[action] - OWNERS]
        return (
            (0, forms.METADATA_SET % (agent, forms.WALLET_TOPIC, forms.NO_WALLET)),
            (0, forms.TRANSFER % (before, after, agent)),
        )

    def _set_uri(self, action: int) -> tuple[Head, ...]:
        world = self.world
        agent, owner = world.agent[action], self._owners[world.who[action] - OWNERS]
        return (
            (0, forms.METADATA_UPDATE % agent),
            (0, forms.URI_UPDATED % (agent, owner, self._uris[world.body[action]](agent))),
        )

    def _set_metadata(self, action: int) -> tuple[Head, ...]:
        return (self._entry(self.world.agent[action]),)

    def _entry(self, agent: int) -> Head:
        return 0, forms.METADATA_SET % (agent, forms.ENTRY_TOPIC, forms.ENTRY)

    def _set_wallet(self, action: int) -> tuple[Head, ...]:
        world = self.world
        value = forms.WALLET % self._owners[world.other[action] - OWNERS][24:]
        return ((0, forms.METADATA_SET % (world.agent[action], forms.WALLET_TOPIC, value)),)

    def _approve_all(self, action: int) -> tuple[Head, ...]:
        world = self.world
        owner = self._owners[world.who[action] - OWNERS]
        operator = self._owners[world.other[action] - OWNERS]
        return ((0, forms.APPROVED_ALL % (owner, operator)),)

    def _request_validation(self, action: int) -> tuple[Head, ...]:
        world = self.world
        validator = self._owners[world.other[action] - OWNERS]
        topics = (validator, world.agent[action], forms.request_hash(action))
        return ((2, forms.REQUESTED % topics),)

    def _answer_validation(self, action: int) -> tuple[Head, ...]:
        world = self.world
        validator = self._owners[world.other[action] - OWNERS]
        request_hash = forms.request_hash(world.who[action])
        topics = (validator, world.agent[action], request_hash)
        return ((2, forms.ANSWERED % (*topics, world.body[action])),)


_NO_BLOOM = b"0" * 512


def _first_transaction(place: int) -> int:
    """Place in its block of the first transaction with events."""
    return place * 13 % 30

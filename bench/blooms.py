"""True block blooms of a mock world (yellow paper, 4.3.1), cheap enough to make per request.

Every agent's and account's three bits are computed once (a keccak is 6 us); a block's bloom is
then a few dozen ORs. Only the registries' own logs are in it: a real bloom is fuller.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import lru_cache

from eth_hash.auto import keccak

from bench import forms
from bench.world import OWNERS, Action, World


def bloom_bits(item: bytes) -> int:
    """The three bits of an address or topic, 11 bits each."""
    digest = keccak(item)
    first, second, third = (int.from_bytes(digest[i : i + 2]) & 2047 for i in (0, 2, 4))
    return first | second << 11 | third << 22


def topic_bits(topic: int) -> int:
    """The three bits of a 32-byte topic."""
    return bloom_bits(topic.to_bytes(32))


class Blooms:
    """Blooms of one world. `tags` are the topics of its feedback forms."""

    def __init__(self, world: World, tags: list[int]) -> None:
        self._world = world
        self._agents = array("Q", map(topic_bits, range(world.agents)))
        self._clients = array("Q", map(_account_bits, range(world.clients)))
        self._owners = array("Q", map(_account_bits, range(OWNERS, OWNERS + world.owners)))
        self._tags = array("Q", map(_rare_bits, tags))

    def bloom(self, first: int, end: int) -> int:
        """Of the actions `first` up to `end`, as a 2,048-bit number."""
        kinds, bloom = self._world.kind, 0
        for action in range(first, end):
            kind = kinds[action]
            bloom |= _FIXED[kind]
            for bits in self._varying(action, kind):
                bloom |= _BIT[bits & 2047] | _BIT[bits >> 11 & 2047] | _BIT[bits >> 22]
        return bloom

    def _varying(self, action: int, kind: int) -> tuple[int, ...]:
        """Bits of the topics that differ between actions of a kind."""
        world = self._world
        agent, who, other = (
            self._agents[world.agent[action]],
            world.who[action],
            world.other[action],
        )
        if kind == Action.FEEDBACK:
            return agent, self._clients[who], self._tags[world.body[action]]
        if kind in _OWNER_IS_A_TOPIC:
            return agent, self._owners[who - OWNERS]
        if kind == Action.TRANSFER:
            return agent, self._owners[who - OWNERS], self._owners[other - OWNERS]
        if kind == Action.APPROVE_ALL:
            return self._owners[who - OWNERS], self._owners[other - OWNERS]
        if kind == Action.RESPOND:
            return agent, self._clients[world.who[who]], self._owners[other - OWNERS]
        if kind == Action.REVOKE:
            return agent, self._clients[world.who[who]], _rare_bits(world.other[who])
        if kind in (Action.REQUEST_VALIDATION, Action.ANSWER_VALIDATION):
            request = action if kind == Action.REQUEST_VALIDATION else who
            request_hash = forms.request_hash(request)
            return agent, self._owners[other - OWNERS], _rare_bits(request_hash)
        return () if kind == Action.DEPLOY else (agent,)


_OWNER_IS_A_TOPIC = (
    Action.REGISTER,
    Action.REGISTER_URI,
    Action.REGISTER_ENTRY,
    Action.SET_URI,
)
_BIT = [1 << bit for bit in range(2048)]
_rare_bits = lru_cache(maxsize=65_536)(topic_bits)


def _account_bits(account: int) -> int:
    return topic_bits(forms.account_address(account))


def _union(registries: Iterable[int], events: str, topics: Iterable[int] = ()) -> int:
    """Bloom of contracts, events (names in `forms.SIGNATURES`) and further topics."""
    everything = [bloom_bits(forms.REGISTRIES[registry]) for registry in registries]
    everything += [bloom_bits(keccak(forms.SIGNATURES[e].encode())) for e in events.split()]
    everything += [topic_bits(topic) for topic in topics]
    bloom = 0
    for bits in everything:
        bloom |= _BIT[bits & 2047] | _BIT[bits >> 11 & 2047] | _BIT[bits >> 22]
    return bloom


_MINT = (0, forms.WALLET_HASH)
_FIXED: dict[int, int] = {
    Action.DEPLOY: _union(
        (0, 1, 2), "upgraded admin_changed initialized", (0, forms.ADMIN, *forms.IMPLEMENTATIONS)
    ),
    Action.REGISTER: _union((0,), "transfer registered metadata_set", _MINT),
    Action.REGISTER_URI: _union((0,), "transfer metadata_update registered metadata_set", _MINT),
    Action.REGISTER_ENTRY: _union(
        (0,), "transfer metadata_update registered metadata_set", (*_MINT, forms.ENTRY_HASH)
    ),
    Action.FEEDBACK: _union((1,), "given"),
    Action.REVOKE: _union((1,), "revoked"),
    Action.RESPOND: _union((1,), "responded"),
    Action.TRANSFER: _union((0,), "metadata_set transfer", (forms.WALLET_HASH,)),
    Action.SET_URI: _union((0,), "metadata_update uri_updated"),
    Action.SET_METADATA: _union((0,), "metadata_set", (forms.ENTRY_HASH,)),
    Action.SET_WALLET: _union((0,), "metadata_set", (forms.WALLET_HASH,)),
    Action.APPROVE_ALL: _union((0,), "approved_all"),
    Action.REQUEST_VALIDATION: _union((2,), "requested"),
    Action.ANSWER_VALIDATION: _union((2,), "answered"),
}
"""What every action of a kind has: contracts, events and constant topics."""

"""How many agents a registry has, asked of the contract itself."""

from __future__ import annotations

from renown.chain import fetch
from renown.chain.nodes import Member
from renown.chain.rpc import CallReverted
from renown.errors import NodeError, NodeInconsistent

OWNER_OF = bytes.fromhex("6352211e")
NONEXISTENT_TOKEN = bytes.fromhex("7e273289")

_PROBES = 16
_HIGHEST_BIT = 62


async def highest_agent_id(member: Member, registry: bytes, at_block: int) -> int | None:
    """The highest id that `ownerOf` knows at a block; None where not even 0 exists.

    Ids run 0..n-1 without gaps and are never burnt, so existence is monotone and can be
    searched: powers of two first, then sixteen probes a round.

    Raises:
        CallReverted: with another error than `ERC721NonexistentToken`, or none: the contract is
            still the placeholder, or the node keeps the data to itself.
        NodeInconsistent: a higher id exists where a lower one does not.
    """
    powers = [0, *(1 << bit for bit in range(_HIGHEST_BIT))]
    known = await _exist(member, registry, powers, at_block)
    if known == 0:
        return None
    low = powers[known - 1]  # exists
    high = powers[known] if known < len(powers) else 1 << _HIGHEST_BIT  # does not
    while high - low > 1:
        step = max(1, (high - low) // (_PROBES + 1))
        probes = [low + step * (i + 1) for i in range(_PROBES) if low + step * (i + 1) < high]
        known = await _exist(member, registry, probes, at_block)
        if known < len(probes):
            high = probes[known]
        if known > 0:
            low = probes[known - 1]
    return low


async def _exist(member: Member, registry: bytes, ids: list[int], at_block: int) -> int:
    """How many of the ascending `ids` exist; they are the first ones."""
    found = await fetch.contract_calls(
        member, registry, [OWNER_OF + agent.to_bytes(32) for agent in ids], at_block
    )
    exist = [_exists(item) for item in found]
    count = len(exist) if all(exist) else exist.index(False)
    if any(exist[count:]):
        raise NodeInconsistent("an agent exists though a lower id does not", block=at_block)
    return count


def _exists(item: bytes | NodeError) -> bool:
    if isinstance(item, bytes):
        if len(item) != 32:
            raise NodeInconsistent("ownerOf did not answer with an address")
        return True
    if isinstance(item, CallReverted) and item.selector == NONEXISTENT_TOKEN:
        return False
    raise item

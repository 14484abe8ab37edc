"""Many agents at once, by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from renown.api.answers.agents import ListedAgent, listed_agent
from renown.api.answers.answer import LISTED_URI_CUT_BYTES, Answer
from renown.api.answers.as_of import AsOf, as_of_all
from renown.errors import AgentNotFound, BadAgentKey, RenownError
from renown.store import agents as store
from renown.store.pool import Conn
from renown.store.reads import KeyArgs, key_args
from renown.types import AgentRef, parse_agent_key

MOST_KEYS = 1_000


class BatchItem(msgspec.Struct, kw_only=True, frozen=True):
    """What came of one key: an agent, or why there is none."""

    asked: Annotated[str, Meta(description="The key as it was given, cut at 300 characters.")]
    agent: ListedAgent | None
    problem: Annotated[
        str | None,
        Meta(description="Null where there is an agent; else `bad-agent-key`, `agent-not-found`."),
    ]


class Batch(msgspec.Struct, kw_only=True, frozen=True):
    """Agents by their keys, in the order of the keys."""

    as_of: list[AsOf]
    items: list[BatchItem]
    missing: Annotated[list[str], Meta(description="The keys that gave no agent.")]


async def agents(conn: Conn, keys: Sequence[str]) -> Answer[Batch]:
    """The agents of `keys`, at most `MOST_KEYS`; a key that is none spoils only its own item."""
    problems: list[type[RenownError] | None] = [AgentNotFound] * len(keys)
    wanted: list[tuple[int, KeyArgs, bytes | None]] = []
    for number, text in enumerate(keys):
        try:
            key = parse_agent_key(text)
        except BadAgentKey:
            problems[number] = BadAgentKey
            continue
        wanted.append((number, key_args(key), key.registry if isinstance(key, AgentRef) else None))
    heads, found = await store.batch(conn, wanted, uri_cut_bytes=LISTED_URI_CUT_BYTES)
    items = []
    for number, text in enumerate(keys):
        listed, problem = found.get(number), problems[number]
        items.append(
            BatchItem(
                asked=text[:300],
                agent=listed_agent(ListedAgent, *listed) if listed else None,
                problem=None if listed or problem is None else problem.slug,
            )
        )
    blocks = as_of_all(heads)
    missing = [item.asked for item in items if item.agent is None]
    return Answer(Batch(as_of=blocks, items=items, missing=missing), blocks)

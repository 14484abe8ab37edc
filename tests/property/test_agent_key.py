"""Agent keys: what is written is read back, in every spelling, and nothing else gets through."""

from __future__ import annotations

import contextlib
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from renown.errors import BadAgentKey
from renown.types import MAX_BIGINT, AgentRef, ShortKey, checksum_address, parse_agent_key

numbers = st.integers(0, MAX_BIGINT)
agents = st.builds(AgentRef, numbers, st.binary(min_size=20, max_size=20), numbers)
zeros = st.integers(0, 3).map("0".__mul__)
margins = st.text(" \t\n", max_size=2)


@given(agents)
def test_key__parsed__is_the_agent(agent: AgentRef) -> None:
    assert parse_agent_key(agent.key) == agent
    assert parse_agent_key(str(agent.uuid)) == agent.uuid


@given(
    agents,
    st.sampled_from(("eip155", "erc8004")),
    st.sampled_from(":/#"),
    st.sampled_from((bytes.hex, lambda b: b.hex().upper(), lambda b: checksum_address(b)[2:])),
    zeros,
    margins,
)
def test_key__in_a_wild_spelling__is_the_same_agent(
    agent: AgentRef, namespace: str, separator: str, spell: object, zeros: str, margin: str
) -> None:
    assert callable(spell)
    registry = f"0x{spell(agent.registry)}"
    number = f"{zeros}{agent.agent_id}"
    text = f"{margin}{namespace}:{agent.chain_id}:{registry}{separator}{number}{margin}"

    read = parse_agent_key(text)

    assert read == agent
    assert isinstance(read, AgentRef)
    assert read.key == agent.key  # written in the one form only


@given(numbers, numbers, st.sampled_from(("", "eip155:")), zeros)
def test_key__short__is_an_agent_of_the_official_registry(
    chain_id: int, agent_id: int, prefix: str, zeros: str
) -> None:
    assert parse_agent_key(f"{prefix}{chain_id}:{zeros}{agent_id}") == ShortKey(chain_id, agent_id)


@given(st.uuids(), st.sampled_from((str, lambda u: u.hex, lambda u: str(u).upper())))
def test_key__uuid__in_any_spelling(number: uuid.UUID, spell: object) -> None:
    assert callable(spell)
    assert parse_agent_key(spell(number)) == number


@given(st.text() | st.text("0123456789abcdefx:/#-eip15{}u ", max_size=80))
@example("1:" + "9" * 4_301)  # int() refuses as many digits with a ValueError
@example("\u0661:\u0662")  # digits, but not ours
@example("eip155:1:0x" + "\uff10" * 40 + ":1")
@example("{" + "0" * 32 + "}"[:4])
@example("-" * 36)
@example("urn:uuid:" + "0" * 23)
@example("\x00" * 32)
@example("1:1\n1:1")
@example("")
def test_key__anything_at_all__is_read_or_refused_by_name(text: str) -> None:
    with contextlib.suppress(BadAgentKey):
        read = parse_agent_key(text)
        if isinstance(read, AgentRef):
            assert parse_agent_key(read.key) == read
            assert len(read.registry) == 20
        if isinstance(read, AgentRef | ShortKey):
            assert 0 <= read.chain_id <= MAX_BIGINT
            assert 0 <= read.agent_id <= MAX_BIGINT


@given(agents, st.data())
def test_key__with_one_character_changed__never_is_another_registry_silently(
    agent: AgentRef, data: st.DataObject
) -> None:
    """A typing error is refused, or read as what it now says: never repaired to something else."""
    place = data.draw(st.integers(0, len(agent.key) - 1))
    letter = data.draw(st.characters(codec="utf-8"))
    text = agent.key[:place] + letter + agent.key[place + 1 :]
    with contextlib.suppress(BadAgentKey):
        read = parse_agent_key(text)
        if isinstance(read, AgentRef) and read != agent:
            assert letter in read.key or letter.lower() in read.key or letter in "0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"1:{MAX_BIGINT + 1}",
        f"{MAX_BIGINT + 1}:1",
        f"eip155:1:0x{'0' * 40}:{2**256}",
        "-1:1",
        "1:-1",
        "1:1.0",
        "1: 1",
        "1:1_000",
        "+1:1",
        "1:0x1",
        "solana:1:1",
        f"eip155:1:{'0' * 40}:1",
        f"eip155:1:0x{'0' * 39}:1",
        "1:1:1",
        "١:٢",
    ],
)
def test_key__not_one__is_refused(text: str) -> None:
    with pytest.raises(BadAgentKey) as refused:
        parse_agent_key(text)
    assert len(refused.value.context["key"]) <= 200

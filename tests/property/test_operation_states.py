"""States of operations: whatever happens to their transactions, the whole says what is left."""

from __future__ import annotations

from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from renown.derive.operation import (
    APPLIED,
    MOVING,
    OVER,
    TRANSITIONS,
    AnyTemplate,
    AwaitsAgentId,
    AwaitsWalletSignature,
    Mode,
    StepState,
    left,
    next_act,
    operation_state,
)


class Shape(msgspec.Struct, frozen=True):
    state: StepState
    calldata: bytes | None = b"\1"
    template: AnyTemplate | None = None


states = st.sampled_from(get_args(StepState))
templates = st.sampled_from(
    [None, AwaitsAgentId({}), AwaitsWalletSignature("0x01", "0x02", 1_800_000_000)]
)
shapes = st.builds(Shape, states, st.sampled_from([None, b"\1"]), templates)
modes = st.sampled_from(get_args(Mode))


@st.composite
def walks(draw: st.DrawFn) -> list[list[StepState]]:
    """Each step of an operation, from prepared on along the transitions."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        walk: list[StepState] = ["prepared"]
        for _ in range(draw(st.integers(0, 6))):
            following = sorted(TRANSITIONS[walk[-1]])
            if not following:
                break
            walk.append(draw(st.sampled_from(following)))
        found.append(walk)
    return found


def test_transitions__from_every_state__lead_to_states_and_only_final_ends() -> None:
    assert set(TRANSITIONS) == set(get_args(StepState))
    assert {state for state, after in TRANSITIONS.items() if not after} == {"final"}
    reachable: set[StepState] = {"prepared"}
    found = reachable
    while found:
        found = {after for state in found for after in TRANSITIONS[state]} - reachable
        reachable = reachable | found
    assert reachable == set(TRANSITIONS)


def test_transitions__to_final__only_out_of_a_block() -> None:
    assert [state for state, after in TRANSITIONS.items() if "final" in after] == ["included"]


@given(modes, st.lists(states, min_size=1, max_size=6))
def test_state__says_applied__iff_nothing_is_left(mode: Mode, steps: list[StepState]) -> None:
    state = operation_state(mode, steps)
    assert (state in ("included", "final")) == (left(steps) == [])
    assert (state == "final") == all(step == "final" for step in steps)
    if state == "partly_applied":
        assert 0 < len(left(steps)) < len(steps)
    if any(step in MOVING for step in steps):
        assert state in MOVING
    assert left(steps) == [n for n, step in enumerate(steps, 1) if step not in APPLIED]


@given(modes, st.lists(states, min_size=1, max_size=6))
def test_state__partly_applied__iff_its_owner_has_to_do_something(
    mode: Mode, steps: list[StepState]
) -> None:
    act = next_act(mode, [Shape(state) for state in steps])
    some = 0 < len(left(steps)) < len(steps)
    moving = any(step in MOVING for step in steps)
    is_partly = operation_state(mode, steps) == "partly_applied"
    assert is_partly == (some and not moving and act in ("sign", "resume"))


@given(st.integers(1, 3), st.integers(1, 3))
def test_state__between_two_steps_that_the_server_signs__is_on_its_way(
    done: int, waiting: int
) -> None:
    behind: list[StepState] = ["prepared" for _ in range(waiting)]
    before: list[StepState] = ["included" for _ in range(done)]
    steps = before + behind
    assert operation_state("managed", steps) == "submitted"
    assert operation_state("client", steps) == "partly_applied"
    assert operation_state("managed", [*steps, "failed"]) == "partly_applied"
    assert operation_state("managed", behind) == "prepared"


@given(modes, st.lists(shapes, min_size=1, max_size=5))
def test_next__is_said__unless_all_is_final(mode: Mode, steps: list[Shape]) -> None:
    act = next_act(mode, steps)
    states = [step.state for step in steps]
    assert (act is None) == (operation_state(mode, states) == "final")
    if act == "resume":
        assert any(state in OVER for state in states)
        assert not any(state in MOVING for state in states)
    if act in ("sign", "sign-typed-data"):
        assert not any(state in OVER for state in states)
        first = next(step for step in steps if step.state == "prepared")
        assert (first.calldata is None) == (act == "sign-typed-data")
    if act == "sign":
        assert mode == "client"


@given(modes, walks())
def test_next__along_every_walk__somebody_can_go_on(
    mode: Mode, steps: list[list[StepState]]
) -> None:
    for length in range(1, max(map(len, steps)) + 1):
        now = [Shape(walk[min(length, len(walk)) - 1]) for walk in steps]
        waits = next_act(mode, now) == "wait"
        # Who waits does so for something that moves by itself.
        moving = any(step.state in (*MOVING, "included") for step in now)
        signed_by_us = mode == "managed" and any(step.state == "prepared" for step in now)
        assert not waits or moving or signed_by_us

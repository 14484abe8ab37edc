"""Operations: one write as 1..n transactions, and what state they make together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

Kind = Literal[
    "register",
    "update",
    "wallet",
    "feedback",
    "revoke",
    "response",
    "validation-request",
    "validation-response",
]
Mode = Literal["client", "managed"]
"""Who signs: the caller, or the server's signer."""

StepState = Literal["prepared", "submitted", "included", "final", "failed", "dropped", "orphaned"]
State = Literal[
    "prepared",
    "submitted",
    "included",
    "final",
    "failed",
    "dropped",
    "orphaned",
    "partly_applied",
]

APPLIED: frozenset[StepState] = frozenset({"included", "final"})
OVER: frozenset[StepState] = frozenset({"failed", "dropped"})
MOVING: frozenset[StepState] = frozenset({"submitted", "orphaned"})

Act = Literal["sign", "sign-typed-data", "wait", "resume"]
"""What an operation needs next, and of whom.

sign             the caller signs the first prepared step
sign-typed-data  the new wallet signs what the step's template says (EIP-712)
wait             nothing: it goes on by itself
resume           somebody decides whether what is left is tried again
"""

TRANSITIONS: dict[StepState, frozenset[StepState]] = {
    # Resumed, the transaction that was given up may still be found in a block.
    "prepared": frozenset({"submitted", "included", "failed"}),
    # Back to prepared: its calldata named an agent id that a reorganisation changed.
    "submitted": frozenset({"included", "failed", "dropped", "prepared"}),
    "included": frozenset({"final", "orphaned"}),
    "final": frozenset(),
    # What a node refused may be in a block all the same; what failed in a block may be thrown back.
    "failed": frozenset({"prepared", "submitted", "included", "dropped", "orphaned"}),
    "dropped": frozenset({"prepared", "submitted", "included", "failed"}),
    "orphaned": frozenset({"included", "failed", "dropped", "submitted", "prepared"}),
}
"""From each state of a step to those that may follow it. Only `final` is the end."""


class Template(msgspec.Struct, frozen=True, tag_field="awaits"):
    """How a step's calldata follows from what is not known yet."""


class AwaitsAgentId(Template, frozen=True, tag="agent-id"):
    """`setAgentURI` with a file that names its own id: filled in when step 1 is in a block.

    file      the registration file, JSON, without the entry that names it
    hosted    whether we host it under its hash; else it goes into a data: URI
    base_url  where hosted files are found
    """

    file: dict[str, Any]
    hosted: bool = False
    base_url: str = ""


class AwaitsWalletSignature(Template, frozen=True, tag="wallet-signature"):
    """`setAgentWallet`: filled in when the new wallet has signed (EIP-712).

    `deadline` is Unix seconds of the chain's clock; addresses are hex.
    """

    new_wallet: str
    owner: str
    deadline: int


AnyTemplate = AwaitsAgentId | AwaitsWalletSignature


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of a plan: `calldata`, or the template that it will follow from."""

    function: str
    contract: bytes
    summary: str
    calldata: bytes | None = None
    template: AnyTemplate | None = None


def operation_state(mode: Mode, steps: Sequence[StepState]) -> State:
    """The state of an operation from those of its steps, in their order.

    While something is on its way (sent, or thrown back by a reorganisation) the operation is, too;
    also between two steps that the server signs, unless one failed. When nothing is, and only some
    steps are in blocks, it is `partly_applied`: what is left waits for its owner, who signs it or
    has it resumed.
    """
    if any(state == "submitted" for state in steps):
        return "submitted"
    if any(state == "orphaned" for state in steps):
        return "orphaned"
    applied = sum(state in APPLIED for state in steps)
    if applied == len(steps):
        return "final" if all(state == "final" for state in steps) else "included"
    first_over = next((state for state in steps if state in OVER), None)
    if applied:
        return "submitted" if mode == "managed" and first_over is None else "partly_applied"
    return first_over or "prepared"


class StepShape(Protocol):
    """What of a step says what it needs."""

    @property
    def state(self) -> StepState: ...
    @property
    def calldata(self) -> bytes | None: ...
    @property
    def template(self) -> AnyTemplate | None: ...


def left(steps: Sequence[StepState]) -> list[int]:
    """The numbers, from 1, of the steps that are in no block as things stand."""
    return [number for number, state in enumerate(steps, 1) if state not in APPLIED]


def next_act(mode: Mode, steps: Sequence[StepShape]) -> Act | None:
    """What the operation needs next; None when every step is final.

    A step that failed or was dropped stops those behind it, but not those on their way: what is on
    its way is waited for first.
    """
    if all(step.state == "final" for step in steps):
        return None
    if any(step.state in OVER for step in steps):
        return "wait" if any(step.state in MOVING for step in steps) else "resume"
    waiting = next((step for step in steps if step.state == "prepared"), None)
    if waiting is None:
        return "wait"
    if waiting.calldata is None:
        signs = isinstance(waiting.template, AwaitsWalletSignature)
        return "sign-typed-data" if signs else "wait"
    return "sign" if mode == "client" else "wait"

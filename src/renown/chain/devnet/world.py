"""Plan a small lively world from a seed. Pure: the same seed gives the same steps.

The world is small but complete: whatever the registries can log it makes them log, and what readers
of logs get wrong happens at least once.
"""

from __future__ import annotations

from random import Random

from renown.chain.devnet import file_scenes, payments, scenes
from renown.chain.devnet.acts import Acts
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.files import Files
from renown.chain.devnet.ledger import Ledger, Step
from renown.chain.devnet.uri_forms import URI_FORMS

DEFAULT_AGENTS = 60
SCENE_AGENTS = 40
ROUNDS = 48
"""Blocks of everyday life; the scenes are spread over them."""
STORY_BLOCKS = ROUNDS + 4
"""With that of the registries, the opening, and the two of payments."""

_SCENES = (*scenes.SCENES, *file_scenes.SCENES)


def plan_world(
    seed: int,
    *,
    agents: int = DEFAULT_AGENTS,
    feedback_per_agent: float = 7.0,
    first_agent_id: int = 0,
    files: Files | None = None,
) -> tuple[Step, ...]:
    """The steps that make the world of `seed`, in order, ending with a Block.

    Every step succeeds on registries whose next agent id is `first_agent_id`. At the default size
    they are some 900 transactions, 500 of them feedback, in 51 blocks; the last two are the
    payments.

    Args:
        agents: how many are registered in everyday life, the first of them once in every form of
            `URI_FORMS`; the scenes and the opening add SCENE_AGENTS of their own.
        feedback_per_agent: how much everyday feedback there is for each of them.
        files: where what the URIs name is put, for an origin to serve.
    """
    rng = Random(f"renown devnet {seed} {first_agent_id}")
    cast, ledger = Cast(seed, first_agent_id), Ledger(first_agent_id=first_agent_id)
    acts = Acts(rng, cast, ledger, files=files, forms=tuple(URI_FORMS.values()))
    everyday = _Rounds(agents, round(agents * feedback_per_agent))

    scenes.opening(acts)
    ledger.end_block()
    waiting = list(_SCENES)
    rng.shuffle(waiting)
    for number in range(ROUNDS):
        for _ in range(everyday.registrations(number)):
            acts.register()
        for _ in range(everyday.feedback(number)):
            acts.give_feedback()
        for act in rng.choices(acts.others, k=rng.randint(2, 6)):
            act()
        while number > 1 and len(waiting) > len(_SCENES) * (ROUNDS - number - 1) // ROUNDS:
            first = ledger.next_agent_id
            waiting.pop()(acts)
            acts.reserved.update(range(first, ledger.next_agent_id))
        ledger.end_block()
    payments.pay_and_rate(acts)
    return ledger.take_steps()


class _Rounds:
    """Shares the everyday acts out over the rounds: agents early, feedback throughout."""

    def __init__(self, agents: int, feedback: int) -> None:
        self._agents = agents
        self._feedback = feedback

    def registrations(self, number: int) -> int:
        rounds = ROUNDS // 2
        return _share(self._agents, rounds, number) if number < rounds else 0

    def feedback(self, number: int) -> int:
        return _share(self._feedback, ROUNDS, number)


def _share(total: int, rounds: int, number: int) -> int:
    return total * (number + 1) // rounds - total * number // rounds

"""How one step of a fetch fails. A value, for a stranger's failure is no surprise."""

from __future__ import annotations

import msgspec

from renown.offchain.fetched import Outcome


class Failed(msgspec.Struct, frozen=True):
    """Why a step did not succeed.

    Attributes:
        reason: a stable code of ours, see docs/explanation/fetching.md.
        unheard: the other side closed a kept connection before it said a byte: worth one more try
            on a new one.
    """

    outcome: Outcome
    reason: str
    unheard: bool = False

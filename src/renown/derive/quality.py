"""The order in which agents are looked at by a search. Pure.

It is no score and is never shown as one: it says which agents are worth ranking first when more
match than can be ranked. It rises with what costs something to have (a file that reads, a host that
confirms it, an endpoint that answers, distinct clients) and falls with copies and disguises.
"""

from __future__ import annotations

from collections.abc import Collection

from renown.derive.profile import State

_STATES: dict[State, int] = {"strict": 60, "tolerant": 45, "foreign": 10, "pending": 5}
_FINDINGS = {
    "document-copied": -30,
    "template-copy": -20,
    "name-confusable": -60,
    "name-taken": -20,
    "placeholder": -30,
    "domain-contradicted": -30,
    "registration-elsewhere": -15,
    "endpoint-hollow": -20,
}


def quality(
    *,
    state: State,
    described: bool,
    callable_services: int,
    active: bool | None,
    alive: bool | None,
    verified: bool,
    client_count: int,
    codes: Collection[str],
) -> int:
    """0 to 255."""
    value = _STATES.get(state, 0)
    if state in ("strict", "tolerant"):
        value += 10 * described + min(callable_services, 3) * 8 + 5 * (active is True)
    value += 40 * verified
    value += {True: 40, False: -15, None: 0}[alive]
    value += min(client_count.bit_length() * 7, 42)
    value += sum(by for code, by in _FINDINGS.items() if code in codes)
    return max(0, min(value, 255))

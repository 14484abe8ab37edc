"""How often whom is answered: what is counted for a request, and how much of it a minute allows.

A request is counted under several policies at once, and answered if it fits all of them:

- `key`: the API key, at the rate of its account's tier;
- `account`: all keys of the account together, at `OF_ACCOUNT` times that;
- `wallet`: the wallet that a write or a sign-in names, so that one wallet is one wallet behind
  however many keys. A write counts for the wallet within its account, and a sign-in many times
  the rate of an address: naming somebody's wallet must not lock them out of it;
- `address`: where the request comes from. Without a key it is the rate of the anonymous tier;
  with one it is `OF_ADDRESS` times the tier's, so that many keys behind one address are bounded.

Each class of request (`CostClass`) is counted apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

Tier: TypeAlias = Literal["anonymous", "free", "pro", "enterprise"]
CostClass: TypeAlias = Literal["read", "search", "write", "auth"]
"""How dear a request is: each class has limits of its own."""
Policy: TypeAlias = Literal["key", "account", "wallet", "address"]

TIERS: tuple[Tier, ...] = get_args(Tier)
COST_CLASSES: tuple[CostClass, ...] = get_args(CostClass)
WINDOW_SECONDS = 60
OF_ACCOUNT, OF_ADDRESS, OF_SIGN_IN = 3, 10, 10
MOST_PER_MINUTE = 10_000_000

PerMinute: TypeAlias = Mapping[Tier, Mapping[CostClass, int]]

DEFAULTS: PerMinute = {
    "anonymous": {"read": 120, "search": 30, "write": 10, "auth": 20},
    "free": {"read": 600, "search": 120, "write": 30, "auth": 30},
    "pro": {"read": 3_000, "search": 600, "write": 120, "auth": 60},
    "enterprise": {"read": 20_000, "search": 4_000, "write": 600, "auth": 120},
}


class Limit(NamedTuple):
    """One thing that is counted for a request.

    Attributes:
        counter: what is counted, unique among everything that is; a name for a key of a store.
        most: requests in any `WINDOW_SECONDS`, at least 1.
    """

    policy: Policy
    counter: str
    most: int


def counted(
    per_minute: PerMinute,
    *,
    tier: Tier,
    cost: CostClass,
    address: str,
    key_id: str | None = None,
    account_id: int | None = None,
    wallets: Sequence[bytes] = (),
) -> list[Limit]:
    """All that one request of the class `cost` counts for, each once.

    Args:
        address: as `client_address` gives it.
        key_id, account_id: of the key that the request came with; None without one.
        wallets: that the request speaks for, 20 bytes each.
    """
    most = per_minute[tier][cost]
    if key_id is None:
        limits = [Limit("address", f"address:{address}:{cost}", most)]
    else:
        limits = [
            Limit("key", f"key:{key_id}:{cost}", most),
            Limit("account", f"account:{account_id}:{cost}", most * OF_ACCOUNT),
            Limit("address", f"address:{address}:{tier}:{cost}", most * OF_ADDRESS),
        ]
    for wallet in dict.fromkeys(wallets):
        if account_id is None:
            limits.append(Limit("wallet", f"wallet:{wallet.hex()}:{cost}", most * OF_SIGN_IN))
        else:
            limits.append(Limit("wallet", f"wallet:{wallet.hex()}:{account_id}:{cost}", most))
    return limits


def read_limits(text: str | None) -> PerMinute:
    """The defaults, with what a JSON object of tiers (of classes, of numbers) says differently.

    Raises:
        ValueError: not such an object; a tier or class that there is not; a number that is not
            whole, below 1 or above `MOST_PER_MINUTE`.
    """
    limits = {tier: dict(of_tier) for tier, of_tier in DEFAULTS.items()}
    if text is None:
        return limits
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    for name, of_tier in _object(given).items():
        tier = _one_of(TIERS, "tier", name)
        for class_name, number in _object(of_tier).items():
            cost = _one_of(COST_CLASSES, "class", class_name)
            if type(number) is not int or not 1 <= number <= MOST_PER_MINUTE:
                raise ValueError(
                    f"{tier}.{cost}: a whole number from 1 to {MOST_PER_MINUTE} is needed"
                )
            limits[tier][cost] = number
    return limits


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError('write a JSON object like {"free": {"read": 600}}')
    return value


def _one_of(known: tuple[Any, ...], what: str, name: str) -> Any:
    if name not in known:
        raise ValueError(f"no {what} is called {name[:40]!r}; there are {', '.join(known)}")
    return name

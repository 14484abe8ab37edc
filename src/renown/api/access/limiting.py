"""Whether a request is within its limits, and the headers that say how much is left.

With Redis configured all processes count together. What it counts is also kept here, for two
reasons: a client that is over its limit is turned away without a round trip, and when Redis goes,
counting goes on from where it was, in each process for itself. No request fails for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from renown.api.access.principal import CostClass, Principal, Tier
from renown.derive.windows import WINDOW_MS, Window, outlook
from renown.errors import SharedStoreError, TooManyRequests
from renown.obs import metrics
from renown.shared.redis import SharedStore
from renown.shared.windows_memory import Counted, MemoryWindows
from renown.shared.windows_redis import RedisWindows
from renown.spec.limits import WINDOW_SECONDS, Limit, PerMinute, counted

_NAME_WALLETS = {"write", "auth"}
_REMEMBERED = 4096

Headers = list[tuple[bytes, bytes]]

assert WINDOW_SECONDS * 1000 == WINDOW_MS


class Standing(msgspec.Struct, frozen=True):
    """How a request stands.

    Attributes:
        headers: for its answer, whatever that is.
        retry_after_seconds: when it would be allowed, if nobody else asks; 0 if it is.
        policy: the one that refuses it for longest; "" if none does.
        limits, windows: what it was held to, and how much of each was used then.
    """

    allowed: bool
    headers: Headers
    retry_after_seconds: int = 0
    policy: str = ""
    limits: Sequence[Limit] = ()
    windows: Sequence[Window] = ()

    def refusal(self) -> TooManyRequests:
        """The error that answers a request which is not allowed."""
        seconds = self.retry_after_seconds
        return TooManyRequests(
            f"the limit `{self.policy}` is reached; try again in {seconds} s",
            policy=self.policy,
            retry_after_seconds=seconds,
        )


class Limiter:
    """Counts requests and tells which are too many.

    Args:
        per_minute: requests by tier and class.
        store: what all processes count in; None: each counts for itself. Its owner closes it.
    """

    def __init__(
        self,
        per_minute: PerMinute,
        store: SharedStore | None = None,
        *,
        memory: MemoryWindows | None = None,
    ) -> None:
        self._per_minute = per_minute
        self._memory = MemoryWindows() if memory is None else memory
        self._shared = None if store is None else RedisWindows(store)
        self._limits = lru_cache(maxsize=_REMEMBERED)(self._counted)
        self._fell_back = False
        metrics.LIMITS_FALLBACK.set(0)

    async def admit(self, principal: Principal, cost: CostClass) -> Standing:
        """Count one request, unless it is over a limit; then it counts under none.

        Args:
            principal: who asks. A failed authentication is `Principal(address=...)` and "auth".
        """
        limits = self._limits_of(principal, cost, ())
        return _standing(limits, await self._outcome(limits, cost))

    async def admit_wallets(
        self, standing: Standing, principal: Principal, cost: CostClass, wallets: Sequence[bytes]
    ) -> Standing:
        """Count, for the wallets that it turns out to speak for, a request that was admitted.

        Over a limit of theirs it counts for none of them, but goes on counting for who asked.

        Args:
            standing: what `admit` said of it.
            wallets: 20 bytes each. Only writes and sign-ins have any.
        """
        if not wallets or cost not in _NAME_WALLETS:
            return standing
        limits = self._limits_of(principal, cost, tuple(wallets))
        outcome = await self._outcome(limits[len(standing.limits) :], cost)
        together = Counted(outcome.allowed, [*standing.windows, *outcome.windows])
        return _standing(limits, together)

    def refusal(self, principal: Principal, cost: CostClass) -> Standing | None:
        """How a request stands that this process knows to be over a limit; None: it may fit.
        Counts nothing, and asks nobody."""
        limits = self._limits_of(principal, cost, ())
        outcome = self._memory.refusal(limits)
        return None if outcome is None else _standing(limits, outcome)

    def _limits_of(
        self, principal: Principal, cost: CostClass, wallets: tuple[bytes, ...]
    ) -> tuple[Limit, ...]:
        return self._limits(
            principal.tier, cost, principal.address, principal.key_id, principal.account_id, wallets
        )

    async def _outcome(self, limits: Sequence[Limit], cost: CostClass) -> Counted:
        if self._shared is None:
            outcome = self._memory.count(limits)
        else:
            # What is over the limit here is over it everywhere: others only add to the count.
            outcome = self._memory.refusal(limits) or await self._count(self._shared, limits)
        if not outcome.allowed:
            metrics.LIMITS_REFUSED.labels(cost).inc()
        return outcome

    def _counted(
        self,
        tier: Tier,
        cost: CostClass,
        address: str,
        key_id: str | None,
        account_id: int | None,
        wallets: tuple[bytes, ...],
    ) -> tuple[Limit, ...]:
        found = counted(
            self._per_minute,
            tier=tier,
            cost=cost,
            address=address,
            key_id=key_id,
            account_id=account_id,
            wallets=wallets,
        )
        return tuple(found)

    async def _count(self, shared: RedisWindows, limits: Sequence[Limit]) -> Counted:
        try:
            outcome = await shared.count(limits)
        except SharedStoreError:
            self._falls_back(True)
            return self._memory.count(limits)
        self._falls_back(False)
        self._memory.follow(limits, outcome.windows)
        return outcome

    def _falls_back(self, now: bool) -> None:
        if now != self._fell_back:
            self._fell_back = now
            metrics.LIMITS_FALLBACK.set(int(now))


def _standing(limits: Sequence[Limit], outcome: Counted) -> Standing:
    if len(limits) == 1 and outcome.allowed:  # nearly always: nobody has a key
        limit, window = limits[0], outcome.windows[0]
        left, more_ms = outlook(window, limit[2])
        seconds = -(-more_ms // 1000)
        alone: Headers = [
            (b"ratelimit-policy", _policy_named(limit[0], limit[2])),
            (b"ratelimit", b'"%b";r=%d;t=%d' % (limit[0].encode(), left, seconds)),
            (b"x-ratelimit-limit", b"%d" % limit[2]),
            (b"x-ratelimit-remaining", b"%d" % left),
            (b"x-ratelimit-reset", b"%d" % seconds),
        ]
        return Standing(True, alone, 0, "", limits, outcome.windows)
    said = []
    worst_ms, policy = 0, ""
    fewest, reset_ms, tightest = limits[0].most + 1, 0, 0
    for (name, _, most), window in zip(limits, outcome.windows, strict=True):
        # Where nothing is left, the time until more is: when to come back.
        left, more_ms = outlook(window, most)
        said.append(f'"{name}";r={left};t={-(-more_ms // 1000)}')
        if left < fewest or (left == fewest and more_ms > reset_ms):
            fewest, reset_ms, tightest = left, more_ms, most
        if not left and more_ms > worst_ms:
            worst_ms, policy = more_ms, name
    headers: Headers = [
        (b"ratelimit-policy", _policies(tuple(limits))),
        (b"ratelimit", ", ".join(said).encode()),
        (b"x-ratelimit-limit", b"%d" % tightest),
        (b"x-ratelimit-remaining", b"%d" % fewest),
        (b"x-ratelimit-reset", b"%d" % -(-reset_ms // 1000)),
    ]
    if outcome.allowed:
        return Standing(True, headers, 0, "", limits, outcome.windows)
    seconds = max(1, -(-worst_ms // 1000))
    return Standing(False, headers, seconds, policy, limits, outcome.windows)


@lru_cache(maxsize=_REMEMBERED)
def _policy_named(name: str, most: int) -> bytes:
    return f'"{name}";q={most};w={WINDOW_SECONDS}'.encode()


@lru_cache(maxsize=_REMEMBERED)
def _policies(limits: tuple[Limit, ...]) -> bytes:
    """`RateLimit-Policy`: quota and window of each policy (a structured field, RFC 9651)."""
    return b", ".join(_policy_named(one.policy, one.most) for one in limits)

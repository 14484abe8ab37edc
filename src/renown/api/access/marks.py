"""What the gate leaves in a request's scope, for whoever tells of it."""

from __future__ import annotations

from starlette.types import Scope

from renown.obs import metrics

PRINCIPAL = "renown.principal"
"""Who asks: a `Principal`."""
ADDRESS = "renown.address"
"""Where the request comes from, as limits count it."""
WALLET = "renown.wallet"
"""The wallet that its body names, 20 bytes."""
AUTH_FAILURE = "renown.auth_failure"
"""Why it was turned away for who it is: a reason of `renown_auth_failures_total`."""


def turned_away(scope: Scope, reason: str) -> None:
    """Note that the request fails for who it is; `reason` as `renown_auth_failures_total` has it.
    The audit log tells of it."""
    scope[AUTH_FAILURE] = reason
    metrics.AUTH_FAILURES.labels(reason).inc()

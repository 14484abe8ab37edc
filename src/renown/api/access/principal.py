"""Who asks, and what a route wants of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import Request

from renown.api.access.marks import PRINCIPAL
from renown.errors import NotOperator
from renown.spec import limits

Scope = Literal["read", "write", "link", "audit", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "link", "audit", "admin")
Tier: TypeAlias = limits.Tier
CostClass: TypeAlias = limits.CostClass

F = TypeVar("F", bound=Callable[..., Any])


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. Without a key everything but the tier and the address is None or empty.

    Attributes:
        address: where the request comes from, as limits count it: an IPv4 address, or the /64 of an
            IPv6 one.
        is_operator: whether it runs this installation: sees all of the audit log, and marks agents.
    """

    tier: Tier = "anonymous"
    scopes: frozenset[Scope] = frozenset()
    account_id: int | None = None
    account: UUID | None = None
    key_id: str | None = None
    address: str = ""
    is_operator: bool = False


ANONYMOUS = Principal()


class Access(msgspec.Struct, frozen=True):
    """What a route wants.

    Attributes:
        scope: that a key must have; None: no key is needed, not even where reads are closed.
        cost: the class whose limits count; None: none does.
        public: whether it works without a key, too, as long as the settings leave reads open.
    """

    scope: Scope | None = "read"
    cost: CostClass | None = "read"
    public: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, by whatever method it is asked."""
        return self.scope == "read"


PUBLIC_READ = Access("read", "read", public=True)
"""What a GET route wants that says nothing of its own."""
PUBLIC_SEARCH = Access("read", "search", public=True)
OPEN = Access(None, None)
"""Health, metrics, the contract: for everybody, always."""
SIGN_IN = Access(None, "auth")
"""Before there is a key."""


def wants(access: Access) -> Callable[[F], F]:
    """Mark a route's function with what it wants. One that changes things must be marked."""

    def mark(endpoint: F) -> F:
        endpoint.__access__ = access  # type: ignore[attr-defined]
        return endpoint

    return mark


def access_of(endpoint: Callable[..., Any]) -> Access | None:
    """What a route's function was marked with."""
    return getattr(endpoint, "__access__", None)


def principal_of(request: Request) -> Principal:
    """Who asks, as the gate found out before the route's function ran."""
    found: Principal = request.scope.get(PRINCIPAL, ANONYMOUS)
    return found


def require_operator(request: Request) -> Principal:
    """Who asks, where that is an operator.

    Raises:
        NotOperator.
    """
    principal = principal_of(request)
    if not principal.is_operator:
        raise NotOperator("this is for accounts that an operator made operators")
    return principal


def own_account(request: Request) -> int:
    """The number of the account that asks, on a route that no request without a key reaches."""
    account_id = principal_of(request).account_id
    assert account_id is not None
    return account_id

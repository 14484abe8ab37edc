"""What every request passes before its route reads anything: who asks, may they, how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request

from renown.api.access.authenticate import REFUSED, Authenticator, presented_key
from renown.api.access.client_address import NOBODY, TrustedProxies, client_address
from renown.api.access.marks import ADDRESS, PRINCIPAL, WALLET, turned_away
from renown.api.access.principal import OPEN, PUBLIC_READ, Access, CostClass, Principal, access_of
from renown.api.access.user_agent import user_agent
from renown.api.bodies import LARGEST_BODY_BYTES, raw_body
from renown.api.wire import LIMIT_HEADERS
from renown.errors import BadAddress, ScopeMissing, Unauthorized
from renown.obs.acting import ACTING, Acting
from renown.spec.api_keys import Peppers
from renown.spec.limits import DEFAULTS, PerMinute
from renown.types import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from renown.api.access.limiting import Limiter, Standing
    from renown.api.access.pseudonyms import Pseudonyms

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_AUTH_BODY_BYTES = 16 * 1024
COUNTED_BY_WALLET: Mapping[CostClass, int] = {
    "write": LARGEST_BODY_BYTES,
    "auth": LARGEST_AUTH_BODY_BYTES,
}
"""Classes of which the body is read at the gate, for the wallet that it names; up to how many
bytes."""


class Gate:
    """Lets requests in. One per app.

    Args:
        limiter: None: nothing is limited.
        public_reads: whether routes that are public work without a key.
        trusted_proxies: whose word about a client's address is believed.
        limits: what `limiter` holds requests to.
        pseudonyms: what addresses are called where it is kept who acted.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        limiter: Limiter | None,
        *,
        public_reads: bool = True,
        trusted_proxies: TrustedProxies = NOBODY,
        limits: PerMinute = DEFAULTS,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._pseudonyms = pseudonyms
        self.limits = limits
        self.authenticator = authenticator
        self.limiter = limiter
        self.public_reads = public_reads
        self._trusted = trusted_proxies

    async def admit(self, request: Request, access: Access) -> None:
        """Let the request in, and note for `principal_of` who asks.

        A key that is presented must be good, even where none is needed; only where none has a
        meaning it is not looked at, such as when somebody signs in.

        Raises:
            Unauthorized: a key is needed, or the one presented is not good.
            ScopeMissing: it lacks what the route wants.
            TooManyRequests: a limit is reached. Failed keys count for their address, and where
                they are too many, a key that has not worked here lately is not looked up.
            BodyTooLarge, BodyTooSlow: of a request whose body says which wallet it speaks for. It
                is read when the request is within all other limits.
        """
        if access.cost is None and access.scope is None:
            return
        scope = request.scope
        address = scope[ADDRESS] = client_address(scope, self._trusted)
        presented = _presented(request) if access.scope is not None else None
        if presented is None:
            principal = _stranger(address)
            if access.scope is not None and not (access.public and self.public_reads):
                turned_away(scope, "missing")
                raise Unauthorized(REFUSED)
        else:
            principal = await self._holder(request, presented, address)
        scope[PRINCIPAL] = principal
        lacking = self._lacking(principal, access)
        limiter, cost, standing = self.limiter, access.cost, None
        if limiter is not None and cost is not None:
            standing = await limiter.admit(principal, cost)
            if cost == "auth" and not standing.allowed:
                turned_away(scope, "limited")
            _abide(request, standing)
        if lacking is not None:
            turned_away(scope, "scope")
            raise lacking
        if cost is not None and cost in COUNTED_BY_WALLET:
            # Now, not before: whoever is over a limit must not have us wait for a body.
            wallets = _wallet_in(await raw_body(request, most_bytes=COUNTED_BY_WALLET[cost]))
            if wallets:
                scope[WALLET] = wallets[0]
            if limiter is not None and standing is not None:
                _abide(request, await limiter.admit_wallets(standing, principal, cost, wallets))
        if request.method not in _READS and not access.is_read:
            await self._say_who(request, principal)

    @property
    def peppers(self) -> Peppers:
        """What new keys are hashed under."""
        return self.authenticator.peppers

    async def close(self) -> None:
        """Write down what is not written yet. The desk's database must still be there."""
        await self.authenticator.close()

    async def _holder(self, request: Request, presented: str, address: str) -> Principal:
        stranger = Principal(address=address)
        may_look_up = partial(self._not_too_many, request, stranger)
        try:
            return await self.authenticator.principal(presented, address, may_look_up)
        except Unauthorized:
            scope, standing = request.scope, None
            if self.limiter is not None:
                standing = await self.limiter.admit(stranger, "auth")
            if standing is not None and not standing.allowed:
                turned_away(scope, "limited")
            else:
                turned_away(scope, "malformed" if presented_key(presented) is None else "refused")
            if standing is not None:
                _abide(request, standing)
            raise

    def _not_too_many(self, request: Request, stranger: Principal) -> None:
        if self.limiter is None:
            return
        standing = self.limiter.refusal(stranger, "auth")
        if standing is not None:
            turned_away(request.scope, "limited")
            _abide(request, standing)

    async def _say_who(self, request: Request, principal: Principal) -> None:
        """Whatever the request changes is told of as its."""
        scope = request.scope
        before = ACTING.get()
        wallet = scope.get(WALLET)
        address = None
        if self._pseudonyms is not None:
            address = await self._pseudonyms.of(principal.address)
        ACTING.set(
            Acting(
                request_id=None if before is None else before.request_id,
                account_id=principal.account_id,
                key_id=principal.key_id,
                wallet=None if wallet is None else wallet.hex(),
                address=None if address is None else address.hex(),
                user_agent=user_agent(scope),
            )
        )

    def _lacking(self, principal: Principal, access: Access) -> ScopeMissing | None:
        if access.scope is None or access.scope in principal.scopes:
            return None
        if access.public and self.public_reads:
            return None
        return ScopeMissing(f"this needs a key with the scope `{access.scope}`", scope=access.scope)


def access_wanted(endpoint: Callable[..., Any], methods: set[str]) -> Access:
    """What a route wants. Only reads may leave it unsaid.

    Raises:
        TypeError: a route that changes things does not say who may.
    """
    access = access_of(endpoint)
    if access is None:
        if not methods <= {"GET", "HEAD"}:
            name = getattr(endpoint, "__qualname__", endpoint)
            raise TypeError(f"{name} takes {sorted(methods)}: mark it with @wants(...)")
        return PUBLIC_READ
    return access


def must_be_open(endpoint: Callable[..., Any]) -> None:
    """Raises TypeError: a route that no gate stands before is not meant for everybody."""
    if access_of(endpoint) != OPEN:
        name = getattr(endpoint, "__qualname__", endpoint)
        raise TypeError(f"{name} passes no gate: make it a StrictRoute, or mark it @wants(OPEN)")


def _abide(request: Request, standing: Standing) -> None:
    request.scope[LIMIT_HEADERS] = standing.headers
    if not standing.allowed:
        raise standing.refusal()


@lru_cache(maxsize=4096)
def _stranger(address: str) -> Principal:
    """Who comes without a key: all that is known is from where."""
    return Principal(address=address)


def _presented(request: Request) -> str | None:
    """What the request presents as its key; None: nothing. Of two headers none counts: those on
    the way and we might not mean the same one."""
    given: str | None = None
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            if given is not None:
                return ""
            given = value.decode("latin-1")
    return given


class _Named(msgspec.Struct):
    """The members of a body that name a wallet, whatever they hold."""

    sender: Any = msgspec.field(default=None, name="from")
    address: Any = None


_read_named = msgspec.json.Decoder(_Named).decode


def _wallet_in(body: bytes) -> Sequence[bytes]:
    """The wallet that a JSON body speaks for, if it names one; what is wrong is said later."""
    try:
        named = _read_named(body)
        text = named.sender if isinstance(named.sender, str) else named.address
        return (parse_address(text),) if isinstance(text, str) else ()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadAddress):
        return ()

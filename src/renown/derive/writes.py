"""The eight writes as data, checked against the contracts' limits before anybody is asked. Pure.

`check` of each raises BadBody, naming the field, for what a contract would refuse whoever sends it.

Limits: ERC-8004 registries 2.0.0 ("reserved key", "too many decimals", "value too large", …).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from renown.derive.files import NO_HASH, Content, Link, registry_name
from renown.errors import BadBody
from renown.types import ZERO_ADDRESS, checksum_address

MOST_DECIMALS = 18
LARGEST_VALUE = 10**38
RESERVED_KEY = b"agentWallet"
MOST_KEYS = 32
"""Metadata entries of one write: each of an update is a transaction of its own."""

_DECIMAL = re.compile(r"(-?)([0-9]{1,60})(?:\.([0-9]{1,60}))?")

Entry = tuple[bytes, bytes]


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """Make an agent. With `names_itself` its file, which must then be one that we write, gets the
    entry that points back to the agent, in a second transaction."""

    content: Content = Link()
    metadata: tuple[Entry, ...] = ()
    names_itself: bool = False

    def check(self) -> None:
        _check_entries(self.metadata)
        if self.names_itself and isinstance(self.content, Link):
            raise refused("names_itself", "only a `file` that we write can name its agent")


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """Replace an agent's URI, where `content` is given, and metadata; an empty value removes."""

    content: Content | None = None
    metadata: tuple[Entry, ...] = ()

    def check(self) -> None:
        _check_entries(self.metadata)
        if self.content is None and not self.metadata:
            raise refused("metadata", "nothing to change: give `uri`, `file` or `metadata`")


class SetWallet(msgspec.Struct, frozen=True, kw_only=True):
    """Give an agent a wallet, which signs that it will be (EIP-712); None: it has yet to.

    `deadline` is Unix seconds of the chain's clock, `owner` the agent's at present.
    """

    wallet: bytes
    owner: bytes
    deadline: int
    signature: bytes | None = None

    def check(self) -> None:
        _check_not_zero("wallet", self.wallet)


class UnsetWallet(msgspec.Struct, frozen=True):
    """Take an agent's wallet away."""

    def check(self) -> None:
        pass


class GiveFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """Rate an agent: `value / 10**decimals`, in the unit that `tag1` means."""

    value: int
    decimals: int = 0
    tag1: bytes = b""
    tag2: bytes = b""
    endpoint: bytes = b""
    content: Content = Link()

    def check(self) -> None:
        _check_value(self.value, self.decimals)


class RevokeFeedback(msgspec.Struct, frozen=True):
    """Take one's own feedback back, for good."""

    index: int

    def check(self) -> None:
        _check_index(self.index)


class Respond(msgspec.Struct, frozen=True, kw_only=True):
    """Answer a client's feedback."""

    client: bytes
    index: int
    content: Content

    def check(self) -> None:
        _check_not_zero("client", self.client)
        _check_index(self.index)
        if isinstance(self.content, Link) and not self.content.uri:
            raise refused("uri", "a response needs a `uri` or a `file`")


class RequestValidation(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a validator. `request_hash` is one key for the whole registry, taken for good; None:
    that of the content."""

    contract: bytes
    validator: bytes
    content: Content = Link()
    request_hash: bytes | None = None

    def check(self) -> None:
        _check_not_zero("validator", self.validator)
        if self.request_hash == NO_HASH:
            raise refused("request_hash", "zero is no hash")
        if self.request_hash is None and isinstance(self.content, Link):
            raise refused("request_hash", "needed where we do not write the `file`")


class AnswerValidation(msgspec.Struct, frozen=True, kw_only=True):
    """Answer as the validator that was asked: 0 failed to 100 passed."""

    contract: bytes
    request_hash: bytes
    response: int
    tag: bytes = b""
    content: Content = Link()

    def check(self) -> None:
        if not 0 <= self.response <= 100:
            raise refused("response", "0 (failed) to 100 (passed)")


Write = (
    Register
    | Update
    | SetWallet
    | UnsetWallet
    | GiveFeedback
    | RevokeFeedback
    | Respond
    | RequestValidation
    | AnswerValidation
)


def refused(field: str, why: str) -> BadBody:
    """The error for one field of a body."""
    return BadBody(f"`{field}`: {why}", field=field)


def exact_value(value: int | str, decimals: int | None) -> tuple[int, int]:
    """What a feedback's value is on the chain: a whole number, and its decimals.

    Without `decimals`, `value` is the number itself, kept exactly: "99.70" is (9970, 2) and 87 is
    (87, 0). With them it is the whole number that stands on the chain, to be read as
    `value / 10**decimals`.

    Raises:
        BadBody: no such number, or beyond what the contract takes.
    """
    match = _DECIMAL.fullmatch(str(value))
    if match is None:
        raise refused("value", 'a whole number, or a decimal one as text: 87, "99.7", "-3.2"')
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if decimals is None:
        decimals = len(fraction)
    elif fraction:
        raise refused("value", "a whole number where `decimals` is given; or leave that out")
    exact = int(whole + fraction)
    number = -exact if sign else exact
    _check_value(number, decimals)
    return number, decimals


def feedback_file(
    fields: Mapping[str, Any],
    *,
    chain_id: int,
    registry: bytes,
    agent_id: int,
    client: bytes,
    created_at: str,
    feedback: GiveFeedback,
    paid: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The off-chain file of a feedback: what is asked for, and what the standard demands.

    Args:
        fields: further ones, as the client has them.
        created_at: ISO 8601, UTC.
        paid: `proofOfPayment` as the standard spells it.

    Raises:
        BadBody: `fields` says otherwise than the feedback itself.

    Source: ERC-8004, "Off-Chain Feedback File Structure".
    """
    own: dict[str, Any] = {
        "agentRegistry": registry_name(chain_id, registry),
        "agentId": agent_id,
        "clientAddress": f"eip155:{chain_id}:{checksum_address(client)}",
        "createdAt": created_at,
        "value": feedback.value,
        "valueDecimals": feedback.decimals,
    }
    for name in ("tag1", "tag2", "endpoint"):
        if text := getattr(feedback, name):
            own[name] = text.decode("utf-8", "replace")
    if paid is not None:
        own["proofOfPayment"] = dict(paid)
    for name in own.keys() & fields.keys() - {"createdAt"}:
        if fields[name] != own[name]:
            raise refused(f"file.{name}", "is written by us, from the feedback itself")
    return {**own, **fields}


def _check_entries(entries: Iterable[Entry]) -> None:
    count = 0
    for key, _ in entries:
        count += 1
        if key == RESERVED_KEY:
            raise refused("metadata", "`agentWallet` is reserved: the wallet is set on its own")
        if not key:
            raise refused("metadata", "a key may not be empty")
    if count > MOST_KEYS:
        raise refused("metadata", f"at most {MOST_KEYS} keys at once")


def _check_value(value: int, decimals: int) -> None:
    if not 0 <= decimals <= MOST_DECIMALS:
        raise refused("decimals", f"0 to {MOST_DECIMALS}")
    if abs(value) > LARGEST_VALUE:
        raise refused("value", "beyond 10^38, decimals counted in")


def _check_index(index: int) -> None:
    if not 1 <= index < 2**64:
        raise refused("index", "1 or more: indexes count from 1")


def _check_not_zero(field: str, address: bytes) -> None:
    if address == ZERO_ADDRESS:
        raise refused(field, "the zero address is nobody's")

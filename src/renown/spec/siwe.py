"""Sign-In with Ethereum (EIP-4361): messages that a wallet signs to show whose it is.

Our own reader and writer: the reference library brings a whole client of the chain along and an
older `eth-account`, and reads more than is safe to take. Here a message is ASCII, of the exact
grammar of the EIP, and everything in it is compared with what was asked for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from renown.types import checksum_address

SKEW = timedelta(seconds=60)
"""How far clocks may be apart."""
LONGEST = 4096

_DOMAIN = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::[0-9]{1,5})?"
)
_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
_STATEMENT = r"[!#$&'()*+,./0-9:;=?@A-Z\[\]_a-z~ -]+"
_PCHARS = r"[!$%&'()*+,.0-9:;=@A-Z_a-z~-]*"
_MESSAGE = re.compile(
    rf"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<domain>{_DOMAIN})"
    r" wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9a-fA-F]{40})\n\n"
    rf"(?:(?P<statement>{_STATEMENT})\n)?\n"
    rf"URI: (?P<uri>{_URI})\n"
    r"Version: (?P<version>[0-9]{1,4})\n"
    r"Chain ID: (?P<chain_id>0|[1-9][0-9]{0,18})\n"
    r"Nonce: (?P<nonce>[A-Za-z0-9]{8,128})\n"
    rf"Issued At: (?P<issued_at>{_TIME})"
    rf"(?:\nExpiration Time: (?P<expiration_time>{_TIME}))?"
    rf"(?:\nNot Before: (?P<not_before>{_TIME}))?"
    rf"(?:\nRequest ID: (?P<request_id>{_PCHARS}))?"
    rf"(?:\nResources:(?P<resources>(?:\n- {_URI})*))?",
    re.ASCII,
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says. Times have a zone; `address` is 20 bytes."""

    domain: str
    address: bytes
    uri: str
    chain_id: int
    nonce: str
    issued_at: datetime
    statement: str | None = None
    expiration_time: datetime | None = None
    not_before: datetime | None = None
    request_id: str | None = None
    resources: tuple[str, ...] | None = None
    scheme: str | None = None


class Site(msgspec.Struct, frozen=True):
    """Who asks for the signature: `domain` as it stands in messages, and the URI."""

    domain: str
    uri: str
    scheme: str


def site(public_url: str) -> Site:
    """The site at a URL."""
    parts = urlsplit(public_url)
    return Site(parts.netloc.rpartition("@")[2].lower(), public_url, parts.scheme)


def write(message: Message) -> str:
    """The message as it is signed.

    Raises:
        ValueError: a field holds what the grammar has no room for.
    """
    scheme = "" if message.scheme is None else f"{message.scheme}://"
    statement = "" if message.statement is None else f"{message.statement}\n"
    lines = [
        f"{scheme}{message.domain} wants you to sign in with your Ethereum account:",
        f"{checksum_address(message.address)}\n",
        f"{statement}",
        f"URI: {message.uri}",
        "Version: 1",
        f"Chain ID: {message.chain_id}",
        f"Nonce: {message.nonce}",
        f"Issued At: {_written(message.issued_at)}",
    ]
    if message.expiration_time is not None:
        lines.append(f"Expiration Time: {_written(message.expiration_time)}")
    if message.not_before is not None:
        lines.append(f"Not Before: {_written(message.not_before)}")
    if message.request_id is not None:
        lines.append(f"Request ID: {message.request_id}")
    if message.resources is not None:
        lines += ["Resources:", *(f"- {uri}" for uri in message.resources)]
    text = "\n".join(lines)
    if parse(text) != message:
        raise ValueError("a field does not stand in the message as it was given")
    return text


def parse(text: str) -> Message:
    """Read a message.

    Raises:
        ValueError: it is not exactly of the grammar, of version 1, with an EIP-55 address.
    """
    match = _MESSAGE.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise ValueError("not a message of EIP-4361")
    if match["version"] != "1":
        raise ValueError("its version is not 1")
    address = bytes.fromhex(match["address"][2:])
    if checksum_address(address) != match["address"]:
        raise ValueError("its address is not spelt as EIP-55 demands")
    resources = match["resources"]
    return Message(
        scheme=match["scheme"],
        domain=match["domain"],
        address=address,
        statement=match["statement"],
        uri=match["uri"],
        chain_id=int(match["chain_id"]),
        nonce=match["nonce"],
        issued_at=_time(match["issued_at"]),
        expiration_time=_time_or_none(match["expiration_time"]),
        not_before=_time_or_none(match["not_before"]),
        request_id=match["request_id"],
        resources=None if resources is None else tuple(resources.split("\n- ")[1:]),
    )


def check(message: Message, asks: Site, now: datetime) -> None:
    """That the message was meant for this site, and for now.

    Raises:
        ValueError: it was not; the words say what is wrong.
    """
    if message.domain != asks.domain or message.scheme not in (None, asks.scheme):
        raise ValueError("it is for another domain")
    if message.uri != asks.uri:
        raise ValueError("it is for another URI")
    if message.issued_at > now + SKEW:
        raise ValueError("it was issued in the future")
    if message.expiration_time is not None and message.expiration_time + SKEW <= now:
        raise ValueError("it has expired")
    if message.not_before is not None and message.not_before > now + SKEW:
        raise ValueError("it is not valid yet")


def _written(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("one of its times is none") from None


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)

"""Files that we write for those who act: their bytes, their hash, and the URI they go by. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.types import checksum_address

NO_HASH = bytes(32)
_INLINE = b"data:application/json;base64,"
_STANDARD_ORDER = (
    *("type", "name", "description", "image", "services", "x402Support", "active"),
    *("registrations", "supportedTrust", "updatedAt"),
    *("agentRegistry", "agentId", "clientAddress", "createdAt", "value", "valueDecimals"),
    *("tag1", "tag2", "endpoint", "proofOfPayment"),
)
_RANK = {name: rank for rank, name in enumerate(_STANDARD_ORDER)}


class Link(msgspec.Struct, frozen=True):
    """A file that lies elsewhere. `content_hash` is keccak256 of its bytes; zeros: not said."""

    uri: bytes = b""
    content_hash: bytes = NO_HASH


class File(msgspec.Struct, frozen=True):
    """A JSON file that we write: into a `data:` URI, or to be served by us below `base_url`."""

    fields: dict[str, Any]
    hosted: bool = False
    base_url: str = ""


Content = Link | File


class Placed(msgspec.Struct, frozen=True):
    """Where content can be found.

    Attributes:
        content_hash: keccak256 of exactly the bytes that the URI gives (ERC-8004, "Hash rule").
        hosted: those bytes, where we are the ones to serve them.
    """

    uri: bytes
    content_hash: bytes
    hosted: bytes | None = None


def placed(content: Content) -> Placed:
    """`content` as a URI, with the hash of what is behind it."""
    if isinstance(content, Link):
        return Placed(content.uri, content.content_hash)
    written = file_bytes(content.fields)
    if content.hosted:
        return Placed(hosted_uri(content.base_url, written), keccak(written), written)
    return Placed(inline_uri(written), keccak(written))


def file_bytes(fields: Mapping[str, Any]) -> bytes:
    """The JSON of a file, the same whatever order its fields come in.

    Those of the standard stand first and in its order, others follow by name: a template that went
    through the database comes out with its fields in another order, and must give the same bytes.
    """
    return msgspec.json.encode(_ordered(fields))


def inline_uri(content: bytes) -> bytes:
    """A `data:` URI (RFC 2397) that holds `content`."""
    return _INLINE + base64.b64encode(content)


def hosted_uri(base_url: str, content: bytes) -> bytes:
    """Where we serve `content`: by its SHA-256, so the URI vouches for the bytes."""
    return f"{base_url.rstrip('/')}/v1/files/0x{file_name(content).hex()}".encode()


def file_name(content: bytes) -> bytes:
    """SHA-256 of `content`, 32 bytes: what a hosted file goes by."""
    # Not keccak256, though the chain's hashes are: clients in every language check this one.
    return hashlib.sha256(content).digest()


def registry_name(chain_id: int, registry: bytes) -> str:
    """`agentRegistry` as files have it: `eip155:{chainId}:{registry}`, checksummed."""
    return f"eip155:{chain_id}:{checksum_address(registry)}"


def naming_itself(
    fields: Mapping[str, Any], chain_id: int, registry: bytes, agent_id: int
) -> dict[str, Any]:
    """A registration file with the entry of `registrations` that points back to the agent.

    Entries of other registries stay; whatever else was said of this registry goes, for an agent
    is one of each at most.

    Source: ERC-8004, "Linking the file to the chain".
    """
    own = registry_name(chain_id, registry)
    others = [
        entry
        for entry in _entries(fields.get("registrations"))
        if str(entry.get("agentRegistry", "")).lower() != own.lower()
    ]
    return {**fields, "registrations": [*others, {"agentId": agent_id, "agentRegistry": own}]}


def _entries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _ordered(fields: Mapping[str, Any]) -> dict[str, Any]:
    names = sorted(fields, key=lambda name: (_RANK.get(name, len(_RANK)), name))
    return {name: _sorted(fields[name]) for name in names}


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(one) for one in value]
    return value

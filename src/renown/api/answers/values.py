"""How values are written in JSON: the types of fields, and rows' bytes made into them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from renown.spec.text import clean_text, whole_characters
from renown.types import AgentRef, checksum_address

Address = Annotated[
    str, Meta(pattern="^0x[0-9a-fA-F]{40}$", description="20 bytes, checksummed (EIP-55).")
]
Hex = Annotated[str, Meta(pattern="^0x([0-9a-f]{2})*$", description="Bytes in hexadecimal.")]
Hash = Annotated[str, Meta(pattern="^0x[0-9a-f]{64}$", description="32 bytes in hexadecimal.")]
Whole = Annotated[str, Meta(pattern="^-?[0-9]+$", description="An exact integer of any size.")]
Id = Annotated[str, Meta(pattern="^[0-9]+$", description="An exact integer.")]
Count = Annotated[int, Meta(ge=0)]
Block = Annotated[int, Meta(ge=0, description="Block number.")]
Time = Annotated[datetime, Meta(tz=True, description="Block time, UTC.")]
Text = Annotated[
    str,
    Meta(
        description="A foreign string. Exact, unless a field of this name with `_hex` stands beside"
        " it: that holds the bytes which are not UTF-8 without NUL, and this has U+FFFD for them."
    ),
]
TextHex = Annotated[
    Hex | UnsetType,
    Meta(description="The string's bytes. Present only where they are not UTF-8 without NUL."),
]
Truncated = Annotated[
    dict[str, int] | UnsetType,
    Meta(description="Strings of this object that were cut: field name to full length in bytes."),
]
Key = Annotated[
    str, Meta(description="Canonical agent key: eip155:{chainId}:{registry}:{agentId}.")
]


class Cuttable(Struct, kw_only=True):
    """An object with foreign strings, some of which may be cut."""

    truncated: Truncated = UNSET


@lru_cache(maxsize=16_384)
def address(raw: bytes) -> str:
    """EIP-55 spelling, remembered: the hash behind it costs more than the rest of a row."""
    return checksum_address(raw)


def address_or_none(raw: bytes | None) -> str | None:
    """`address`, with None for none."""
    return None if raw is None else address(raw)


def hex_text(raw: bytes) -> str:
    """`0x` and lower-case digits."""
    return "0x" + raw.hex()


def hex_or_none(raw: bytes | None) -> str | None:
    """`hex_text`, with None for none."""
    return None if raw is None else "0x" + raw.hex()


def agent_key(chain_id: int, registry: bytes, agent_id: int) -> str:
    """The canonical key."""
    return f"{registry_key(chain_id, registry)}{agent_id}"


@lru_cache(maxsize=256)
def registry_key(chain_id: int, registry: bytes) -> str:
    """What the keys of a registry's agents begin with."""
    return AgentRef(chain_id, registry, 0).key[:-1]


def whole_text(raw: bytes | None, length: int | None) -> str | UnsetType | None:
    """A foreign string that nothing has to be said beside: whole and clean, or null; else UNSET,
    and `texts` says it."""
    if raw is None:
        return None
    if length is None or length <= len(raw):
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return UNSET
        if "\0" not in text:
            return text
    return UNSET


def texts(*strings: tuple[str, bytes | None, int | None]) -> dict[str, Any]:
    """Fields for foreign strings: `name`, `name_hex` where its text says too little, `truncated`.

    Each string is (field name, its first bytes or all, its full length); None stays None.
    """
    fields: dict[str, Any] = {}
    truncated: dict[str, int] = {}
    for name, raw, length in strings:
        if raw is None:
            fields[name] = None
            continue
        if length is not None and length > len(raw):
            truncated[name] = length
        kept = whole_characters(raw) if name in truncated else raw
        try:
            text = kept.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            text = clean_text(kept)
            fields[name + "_hex"] = "0x" + kept.hex()
        fields[name] = text
    if truncated:
        fields["truncated"] = truncated
    return fields


def hexes(*strings: tuple[str, bytes, int]) -> dict[str, Any]:
    """Fields for foreign bytes that are no text: `name` in hexadecimal, `truncated`."""
    fields: dict[str, Any] = {name: "0x" + raw.hex() for name, raw, _ in strings}
    truncated = {name: length for name, raw, length in strings if length > len(raw)}
    if truncated:
        fields["truncated"] = truncated
    return fields


def joined(*parts: Iterable[tuple[str, Any]] | dict[str, Any]) -> dict[str, Any]:
    """Several sets of fields as one; their `truncated` maps are united."""
    fields: dict[str, Any] = {}
    truncated: dict[str, int] = {}
    for part in parts:
        fields.update(part)
        truncated.update(dict(part).get("truncated", {}))
    if truncated:
        fields["truncated"] = truncated
    return fields

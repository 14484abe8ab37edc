"""The registries' ABI and bytecode, as built from `contracts/` and shipped with the package.

The files in `artifacts/` are written by `contracts/export.py` and never by hand.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec
from eth_hash.auto import keccak

ContractName = Literal[
    "identity_registry",
    "reputation_registry",
    "validation_registry",
    "erc1967_proxy",
    "uups_placeholder",
    "smart_wallet",
    "reentrant_registrant",
    "dev_dollar",
    "wallet_proof",
]


class Contract(msgspec.Struct, frozen=True):
    """One compiled contract.

    name            its name in Solidity
    abi             the JSON ABI, entries in the compiler's order
    creation_code   bytes of a deploying transaction; constructor arguments follow it
    runtime_code    bytes at the address; complete only when `placeable`
    placeable       no immutables: `runtime_code` may be put at an address without deploying
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    creation_code: bytes
    runtime_code: bytes
    placeable: bool

    @property
    def selectors(self) -> dict[str, bytes]:
        """Every external function by its canonical signature, e.g. `register(string)`."""
        functions = (entry for entry in self.abi if entry["type"] == "function")
        return {text: selector(text) for text in map(_signature, functions)}

    @property
    def topics(self) -> dict[str, bytes]:
        """Every event's topic0 by its canonical signature."""
        events = (entry for entry in self.abi if entry["type"] == "event")
        return {text: keccak(text.encode()) for text in map(_signature, events)}


@cache
def contract(name: ContractName) -> Contract:
    """The shipped artifact `artifacts/{name}.json`.

    Raises:
        FileNotFoundError: the package was built without its artifacts.
        msgspec.ValidationError: the file is not what `contracts/export.py` writes.
    """
    text = resources.files("renown.spec").joinpath("artifacts", f"{name}.json").read_bytes()
    artifact = msgspec.json.decode(text, type=_Artifact)
    return Contract(
        name=artifact.name,
        abi=artifact.abi,
        creation_code=bytes.fromhex(artifact.bytecode.removeprefix("0x")),
        runtime_code=bytes.fromhex(artifact.deployed_bytecode.removeprefix("0x")),
        placeable=artifact.placeable,
    )


@cache
def selector(signature: str) -> bytes:
    """The four bytes that open a call of `signature` (Contract ABI specification)."""
    return keccak(signature.encode())[:4]


class _Artifact(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: str
    deployed_bytecode: str
    placeable: bool


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(map(_type, entry['inputs']))})"


def _type(parameter: dict[str, Any]) -> str:
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    fields = ",".join(map(_type, parameter["components"]))
    return f"({fields}){kind.removeprefix('tuple')}"

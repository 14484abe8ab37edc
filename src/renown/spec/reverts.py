"""Why a contract refused, for people: revert data as one line of text. Pure.

`Error(string)` and `Panic(uint256)` are Solidity's own; the custom errors are those that the
registries 2.0.0 and their OpenZeppelin bases can raise. Revert data is the contract's word, and a
wallet's receiver hook may put anything into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from renown.spec.calldata import argument_types
from renown.spec.contracts import selector
from renown.spec.text import clean_text, shown
from renown.types import checksum_address

ERROR = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")

MAX_REASON_CHARACTERS = 300


def reason(data: bytes) -> str:
    """What revert data says, e.g. `Self-feedback not allowed`; never empty, one line, printable.

    An error that nobody here knows is told by its selector, and no data as that.
    """
    if not data:
        return "reverted without a reason"
    kind, rest = data[:4], data[4:]
    if kind == ERROR:
        return _one_line(_string(rest)) or "reverted with an empty reason"
    if kind == PANIC and len(rest) == 32:
        code = int.from_bytes(rest)
        return f"panic 0x{code:02x}: {_PANICS.get(code, 'of a kind nobody has named')}"[
            :MAX_REASON_CHARACTERS
        ]
    known = _custom().get(kind)
    if known is not None:
        return _custom_error(known, rest)
    return f"reverted with the unknown error 0x{kind.hex()}"


def _custom_error(declaration: str, rest: bytes) -> str:
    """`Name(parameter: value, ...): what it means`; without values where the data is short."""
    name = declaration[: declaration.index("(")]
    parameters = [part.split() for part in argument_types(declaration)]
    meaning = _CUSTOM[declaration]
    if len(rest) < 32 * len(parameters):
        return f"{name}: {meaning}"
    words = [rest[32 * i : 32 * i + 32] for i in range(len(parameters))]
    values = ", ".join(
        f"{label}: {_value(kind, word)}"
        for (kind, label), word in zip(parameters, words, strict=True)
    )
    return f"{name}({values}): {meaning}"


def _value(kind: str, word: bytes) -> str:
    if kind == "address":
        return checksum_address(word[12:])
    if kind == "uint256":
        return str(int.from_bytes(word))
    return f"0x{word.hex()}"


def _string(data: bytes) -> str:
    """The string, or as much of it as nodes that cut revert data have left."""
    offset = int.from_bytes(data[:32])
    if len(data) < 64 or offset > len(data) - 32:
        return ""
    length = int.from_bytes(data[offset : offset + 32])
    start = offset + 32
    stop = start + min(length, 4 * MAX_REASON_CHARACTERS)
    return clean_text(data[start:stop])


def _one_line(text: str) -> str:
    line = " ".join(shown(text).split())
    if len(line) > MAX_REASON_CHARACTERS:
        return line[: MAX_REASON_CHARACTERS - 1] + "\u2026"
    return line


@cache
def _custom() -> Mapping[bytes, str]:
    return {selector(_signature(declaration)): declaration for declaration in _CUSTOM}


def _signature(declaration: str) -> str:
    kinds = ",".join(part.split()[0] for part in argument_types(declaration))
    return f"{declaration[: declaration.index('(')]}({kinds})"


_CUSTOM: Mapping[str, str] = {
    "ERC721NonexistentToken(uint256 tokenId)": "no agent has this id",
    "ERC721InsufficientApproval(address operator, uint256 tokenId)": (
        "the sender may not act for this agent"
    ),
    "ERC721IncorrectOwner(address sender, uint256 tokenId, address owner)": (
        "the agent belongs to somebody else"
    ),
    "ERC721InvalidReceiver(address receiver)": (
        "the receiver is a contract that does not take agents (no onERC721Received)"
    ),
    "ERC721InvalidOwner(address owner)": "this address cannot own agents",
    "ERC721InvalidApprover(address approver)": "the sender may not approve others for this agent",
    "ERC721InvalidOperator(address operator)": "this address cannot be an operator",
    "ERC721InvalidSender(address sender)": "this address cannot send agents",
    "OwnableUnauthorizedAccount(address account)": "only the registry's own administrator may",
    "OwnableInvalidOwner(address owner)": "this address cannot administrate the registry",
    "InvalidInitialization()": "the contract is initialised already",
    "NotInitializing()": "the contract is not being initialised",
    "UUPSUnauthorizedCallContext()": "this must be called through the proxy",
    "UUPSUnsupportedProxiableUUID(bytes32 slot)": "the new code is not one for this proxy",
    "ERC1967InvalidImplementation(address implementation)": "there is no code at this address",
    "ERC1967NonPayable()": "the call takes no ether",
    "AddressEmptyCode(address target)": "there is no code at this address",
    "FailedCall()": "a call of another contract failed without a reason",
    "ReentrancyGuardReentrantCall()": "the contract was called from within itself",
    "ECDSAInvalidSignature()": "the signature is none",
    "ECDSAInvalidSignatureLength(uint256 length)": "the signature has another length",
    "ECDSAInvalidSignatureS(bytes32 s)": "the signature is not in its lower half",
}

_PANICS: Mapping[int, str] = {
    0x00: "a generic one",
    0x01: "an assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "a number that is no member of its enum",
    0x22: "a badly encoded string in storage",
    0x31: "pop from an empty array",
    0x32: "an index beyond its array",
    0x41: "too much memory, or too large an array",
    0x51: "a call of a function that was never set",
}

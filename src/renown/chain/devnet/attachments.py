"""Files behind feedback, responses and validations, where they are, and the hashes said of them.

Pure. Most are what ERC-8004 describes; some are about something else than the record that names
them, and some hashes are of another serialisation than the one served, as SDKs are known to write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from eth_hash.auto import keccak

from renown.chain.devnet.addresses import CHAIN_ID
from renown.chain.devnet.files import Files
from renown.chain.devnet.registrations import REGISTRY_ID
from renown.chain.devnet.uri_forms import data_uri
from renown.types import checksum_address

FILES_HOST = "files.example"

_EXACT = 2**53
"""Below it a number is the same in every serialisation."""


def feedback_file(
    rng: Random,
    *,
    agent_id: int,
    client: bytes,
    value: int,
    decimals: int,
    tag1: bytes,
    tag2: bytes,
    words: str,
) -> bytes:
    """What the client says beside its rating, indented; one in ten contradicts the record."""
    said: dict[str, Any] = {
        "agentRegistry": REGISTRY_ID,
        "agentId": agent_id,
        "clientAddress": _account(client),
        "createdAt": f"2026-0{rng.randint(1, 9)}-{rng.randint(10, 28)}T12:00:00Z",
        "value": value,
        "valueDecimals": decimals,
        "tag1": tag1.decode(),
        "tag2": tag2.decode(),
        "text": words,
    }
    if rng.random() < 0.3:
        said["proofOfPayment"] = {
            "fromAddress": checksum_address(client),
            "toAddress": checksum_address(rng.randbytes(20)),
            "chainId": "8453",
            "txHash": f"0x{rng.randbytes(32).hex()}",
        }
    if rng.random() < 0.1:
        said |= rng.choice(
            (
                {"agentId": agent_id + 1},
                {"clientAddress": _account(rng.randbytes(20))},
                {"value": value + 1},
                {"tag1": "something else"},
            )
        )
    return json.dumps(said, indent=2).encode()


def response_file(rng: Random, words: str) -> bytes:
    """An answer: an object, or nothing but words."""
    if rng.random() < 0.3:
        return words.encode()
    return json.dumps({"text": words, "resolved": rng.random() < 0.5}, indent=2).encode()


def request_file(agent_id: int, number: int, salt: bytes, words: str) -> bytes:
    """The payload of a validation request: all its validator needs. No two are alike."""
    said = {
        "agentRegistry": REGISTRY_ID,
        "agentId": agent_id,
        "validationType": ("re-execution", "zkml-proof", "tee-attestation")[number % 3],
        "reasoning": words,
        "input": {"number": number, "nonce": salt.hex()},
        "output": {"done": True},
    }
    return json.dumps(said, indent=2).encode()


def attach(
    rng: Random, files: Files, content: bytes, *, always: bool = False
) -> tuple[bytes, bytes]:
    """Publish `content`: its URI and its hash.

    The hash may be wrong or missing, and so may the URI, unless `always`.
    """
    match rng.randrange(5 if always else 6):
        case 0:
            return b"ipfs://" + files.pin(content).encode(), bytes(32)
        case 1 | 2:
            name = keccak(content).hex()[:16]
            files.put(FILES_HOST, f"/{name}", content)
            return f"https://{FILES_HOST}/{name}".encode(), rng.choice(_HASHES)(content)
        case 3:
            return data_uri(content), keccak(content)
        case 4:
            return data_uri(content), keccak(content + b" ")  # the hash is wrong
        case _:
            return b"", bytes(32)


def sorted_compact(content: bytes) -> bytes:
    """JSON in RFC 8785's form, as long as it has no fractions; other content as it is."""
    said = _plain_object(content)
    if said is None:
        return content
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sorted_spaced(content: bytes) -> bytes:
    """What agent0's Python SDK hashes."""
    said = _plain_object(content)
    return content if said is None else json.dumps(said, sort_keys=True).encode()


def sorted_pruned(content: bytes) -> bytes:
    """What agent0's TypeScript SDK hashes: below the top, only keys that the top has as well."""
    said = _plain_object(content)
    if said is None:
        return content
    pruned = {
        key: {inner: each for inner, each in sorted(value.items()) if inner in said}
        if isinstance(value, dict)
        else value
        for key, value in sorted(said.items())
    }
    return json.dumps(pruned, separators=(",", ":"), ensure_ascii=False).encode()


_HASHES: tuple[Callable[[bytes], bytes], ...] = (
    *[keccak] * 5,
    lambda content: keccak(sorted_compact(content)),
    lambda content: keccak(sorted_spaced(content)),
    lambda content: keccak(sorted_pruned(content)),
    lambda content: bytes(32),
)


def _plain_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object, unless serialisers differ about its numbers."""
    if not content.startswith(b"{"):
        return None
    said: dict[str, Any] = json.loads(content)
    exact = all(abs(value) < _EXACT for value in said.values() if isinstance(value, int))
    return said if exact else None


def _account(address: bytes) -> str:
    return f"eip155:{CHAIN_ID}:{checksum_address(address)}"

"""Who signs for the server: wallets whose keys it holds, or a remote signer that holds them.

Keys stay inside: no repr, log line or error has them. What a remote signer answers is checked like
a stranger's word: only exactly the transaction that was asked for passes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import coincurve
from eth_hash.auto import keccak

from renown.chain.rpc import Node, Transport
from renown.chain.signatures import address_of, personal_digest, recover_signature, signature_of
from renown.chain.tx.signed import is_exactly, read_signed, sign_with
from renown.errors import BadAddress, NodeError, SignerError, TransactionRefused
from renown.spec.transactions import UnsignedTransaction, as_json
from renown.types import checksum_address, parse_address

MAX_KEYSTORE_BYTES = 64 * 1024
SIGNING_SECONDS = 15.0
"""How long a remote signer may take. Some ask a person: those are not for a server."""


class Signer(Protocol):
    """Signs as some wallets. Methods raise SignerError for an address that is not among them."""

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The wallets it signs for, in its order."""

    @property
    def chains(self) -> frozenset[int] | None:
        """The chains it signs for; None: for any."""

    async def start(self) -> None:
        """Be ready, or raise SignerError. Safe to repeat."""

    async def close(self) -> None:
        """Give back connections."""

    async def sign(self, transaction: UnsignedTransaction) -> bytes:
        """The signed bytes of exactly this transaction, by its sender."""

    async def sign_typed_data(self, address: bytes, typed_data: dict[str, Any]) -> bytes:
        """The 65-byte signature (`v` 27 or 28) of EIP-712 typed data as JSON has it."""


def signs_for(signer: Signer, chain_id: int, address: bytes) -> bool:
    """Whether it has the wallet's key and uses it on that chain."""
    return address in signer.addresses and (signer.chains is None or chain_id in signer.chains)


class LocalSigner:
    """Signs with keys in this process's memory.

    Args:
        chains: it signs for these only, whoever asks; None: for any.
    """

    def __init__(
        self, keys: Sequence[coincurve.PrivateKey], *, chains: frozenset[int] | None = None
    ) -> None:
        self._keys = {address_of(key.public_key): key for key in keys}
        self.chains = chains

    def __repr__(self) -> str:
        return f"LocalSigner({', '.join(map(checksum_address, self._keys))})"

    @classmethod
    def from_keys(
        cls, private_keys: Sequence[bytes], *, chains: frozenset[int] | None = None
    ) -> LocalSigner:
        """From private keys of 32 bytes. Raises SignerError, without the key, where one is none."""
        keys = []
        for number, private_key in enumerate(private_keys, start=1):
            key = None
            if len(private_key) == 32:
                try:
                    key = coincurve.PrivateKey(private_key)
                except ValueError:
                    key = None
            if key is None:
                raise SignerError(f"private key {number} is not a secp256k1 key")
            keys.append(key)
        return cls(keys, chains=chains)

    @classmethod
    async def from_keystores(cls, paths: Sequence[Path], password: str) -> LocalSigner:
        """From keystore files (Web3 Secret Storage, V3) that share a password.

        Deriving their keys takes about a second each, by design; it happens off the event loop.

        Raises:
            SignerError: a file cannot be read or is no keystore, or the password is wrong; the
                message names the file.
        """
        keys = [await asyncio.to_thread(_unlock, path, password) for path in paths]
        return cls.from_keys(keys)

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The wallets it signs for, in the order given."""
        return tuple(self._keys)

    async def start(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def sign(self, transaction: UnsignedTransaction) -> bytes:
        """The signed bytes; the same each time (RFC 6979)."""
        self._require_chain(transaction.chain_id)
        return sign_with(self._key(transaction.sender), transaction)

    async def sign_typed_data(self, address: bytes, typed_data: dict[str, Any]) -> bytes:
        """The signature of EIP-712 typed data."""
        if self.chains is not None:
            self._require_chain((typed_data.get("domain") or {}).get("chainId"))
        return signature_of(self._key(address), typed_data_digest(typed_data))

    async def sign_message(self, address: bytes, message: bytes) -> bytes:
        """The signature of a message for people (EIP-191, `personal_sign`)."""
        return signature_of(self._key(address), personal_digest(message))

    def _require_chain(self, chain_id: object) -> None:
        if self.chains is not None and chain_id not in self.chains:
            raise SignerError(f"the signer does not sign for chain {chain_id}")

    def _key(self, address: bytes) -> coincurve.PrivateKey:
        key = self._keys.get(address)
        if key is None:
            raise _unknown(address)
        return key


class RemoteSigner:
    """Signs through a JSON-RPC signer such as Web3Signer or Clef, for any chain.

    Args:
        url: http or https; may carry a key, so it is shown by its host only.
        transport: instead of HTTP, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: Transport | None = None,
        deadline_seconds: float = SIGNING_SECONDS,
    ) -> None:
        self._node = Node(
            url,
            transport=transport,
            deadline_seconds=deadline_seconds,
            max_answer_bytes=1024 * 1024,
        )
        self._addresses: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"RemoteSigner({self._node.host})"

    @property
    def chains(self) -> frozenset[int] | None:
        """None: for any."""
        return None

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The wallets it signs for, as it said at the start; none before."""
        return self._addresses

    async def start(self) -> None:
        """Ask for its wallets."""
        found = await self._ask("eth_accounts", [], list[str])
        try:
            self._addresses = tuple(dict.fromkeys(parse_address(text) for text in found))
        except BadAddress:
            raise SignerError(f"the signer at {self._node.host} names wallets oddly") from None

    async def close(self) -> None:
        """Give back connections."""
        await self._node.close()

    async def sign(self, transaction: UnsignedTransaction) -> bytes:
        """The signed bytes, checked to be of exactly this transaction by its sender."""
        self._require(transaction.sender)
        wanted = as_json(transaction)
        answer = await self._ask("eth_signTransaction", [wanted], object)
        raw = self._bytes(answer.get("raw") if isinstance(answer, dict) else answer)
        try:
            signed = read_signed(raw)
        except TransactionRefused as exc:
            raise self._lied(exc.detail) from None
        if not is_exactly(signed, transaction):
            raise self._lied("it signed another transaction than it was asked to")
        return raw

    async def sign_typed_data(self, address: bytes, typed_data: dict[str, Any]) -> bytes:
        """The signature, checked to be the wallet's; `v` is made 27 or 28."""
        self._require(address)
        answer = await self._ask("eth_signTypedData_v4", [f"0x{address.hex()}", typed_data], object)
        signature = self._bytes(answer)
        digest = typed_data_digest(typed_data)
        if len(signature) != 65 or recover_signature(digest, signature) != address:
            raise self._lied("its signature of the typed data is not the wallet's")
        v = signature[64]
        return signature[:64] + bytes([v if v >= 27 else v + 27])

    async def _ask(self, method: str, params: list[Any], kind: Any) -> Any:
        try:
            return await self._node.call(method, params, kind)
        except NodeError as exc:
            raise SignerError(f"the signer did not answer: {exc.detail}") from None

    def _require(self, address: bytes) -> None:
        if address not in self._addresses:
            raise _unknown(address)

    def _bytes(self, answer: object) -> bytes:
        try:
            if isinstance(answer, str) and answer.startswith("0x"):
                return bytes.fromhex(answer[2:])
        except ValueError:
            pass
        raise self._lied("its answer is not hexadecimal")

    def _lied(self, why: str) -> SignerError:
        return SignerError(f"the signer at {self._node.host} cannot be trusted: {why}")


def typed_data_digest(typed_data: dict[str, Any]) -> bytes:
    """The 32 bytes that are signed of EIP-712 typed data as JSON has it.

    Raises:
        SignerError: not typed data.
    """
    from renown.chain.accounts import encode_typed_data  # a second to import, seldom needed

    try:
        signable = encode_typed_data(full_message=typed_data)
    except Exception as exc:  # noqa: BLE001 - the library stumbles over odd shapes in any way
        raise SignerError(f"this is not EIP-712 typed data: {type(exc).__name__}") from None
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def _unlock(path: Path, password: str) -> bytes:
    """The private key of one keystore file."""
    from renown.chain.accounts import Account  # a second to import, needed once

    try:
        with path.open("rb") as file:
            text = file.read(MAX_KEYSTORE_BYTES + 1)
    except OSError as exc:
        raise SignerError(f"{path} cannot be read: {exc.strerror}") from None
    failure = f"{path} is not a keystore file (Web3 Secret Storage, V3)"
    try:
        keystore = json.loads(text) if len(text) <= MAX_KEYSTORE_BYTES else None
    except (ValueError, RecursionError):
        keystore = None
    if isinstance(keystore, dict):
        try:
            return bytes(Account.decrypt(keystore, password))
        except ValueError as exc:
            if "MAC" in str(exc):
                failure = f"the password does not open {path}"
        except Exception:  # noqa: BLE001, S110 - missing members, odd types: no keystore, as said
            pass
    raise SignerError(failure)


def _unknown(address: bytes) -> SignerError:
    return SignerError(
        f"the signer has no key of {checksum_address(address)}",
        address=f"0x{address.hex()}",
    )

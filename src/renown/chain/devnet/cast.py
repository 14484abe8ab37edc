"""Who acts on the devnet. Pure: everybody follows from the seed."""

from __future__ import annotations

from functools import cached_property

import coincurve
import msgspec
from eth_hash.auto import keccak

from renown.chain.devnet.addresses import (
    REGISTRY_OWNER,
    deployed_address,
    deployment,
    implementation,
    proxy,
    smart_wallet,
)
from renown.chain.devnet.calls import initialize_owner
from renown.chain.signatures import address_of
from renown.types import Address


class Signer(msgspec.Struct, frozen=True):
    """An account whose key we hold, so that it can prove that it is a wallet."""

    private_key: bytes
    address: Address


class Cast:
    """The accounts of one world: a seed, and the first agent id, where there was a world before.

    Most have no key: anvil impersonates them, which is a hundred times faster than signing.
    """

    def __init__(self, seed: int, first_agent_id: int = 0) -> None:
        self.seed = seed
        self._name = f"renown devnet/{seed}/{first_agent_id}"

    def account(self, role: str, number: int = 0) -> Address:
        """An account nobody has the key of, e.g. `account("client", 7)`."""
        return Address(self._digest(role, number)[12:])

    def signer(self, number: int) -> Signer:
        """An account with a key. A toy key: the seed is its only secret."""
        private_key = self._digest("signer", number)
        public = coincurve.PrivateKey(private_key).public_key
        return Signer(private_key, Address(address_of(public)))

    @cached_property
    def smart_wallet_signer(self) -> Signer:
        """The key behind `smart_wallet`."""
        return self.signer(-1)

    @cached_property
    def smart_wallet_deployment(self) -> bytes:
        """Calldata for the deployer."""
        return smart_wallet(self.smart_wallet_signer.address, salt=self.salt("smart wallet"))

    @cached_property
    def smart_wallet(self) -> Address:
        """A contract that owns agents, proves to be a wallet (ERC-1271) and rates others."""
        return deployed_address(self.smart_wallet_deployment)

    @cached_property
    def registrant_deployment(self) -> bytes:
        """Calldata for the deployer."""
        return deployment("reentrant_registrant", salt=self.salt("registrant"))

    @cached_property
    def registrant(self) -> Address:
        """A contract that changes its agent while that is being registered."""
        return deployed_address(self.registrant_deployment)

    @property
    def second_validation_registry(self) -> Address:
        """Another validation registry: several live beside each other on public chains."""
        return deployed_address(self.second_validation_deployment)

    @cached_property
    def second_validation_deployment(self) -> bytes:
        """Calldata for the deployer: a proxy on the placeholder, to be upgraded."""
        own = initialize_owner(REGISTRY_OWNER)
        return proxy(implementation("uups_placeholder"), own, self.salt("second validation"))

    @cached_property
    def reputation_copy_deployment(self) -> bytes:
        """Calldata for the deployer: the reputation registry's code once more, elsewhere."""
        return deployment("reputation_registry", salt=self.salt("reputation copy"))

    def salt(self, what: str) -> int:
        """A number of this world's own."""
        return int.from_bytes(self._digest(what, 0)[:8])

    def _digest(self, role: str, number: int) -> bytes:
        return keccak(f"{self._name}/{role}/{number}".encode())

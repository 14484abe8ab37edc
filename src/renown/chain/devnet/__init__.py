"""A local chain with the registries and a small lively world: for tutorials and tests."""

from renown.chain.devnet.addresses import CHAIN_ID, DOLLAR, IDENTITY, REPUTATION, VALIDATION
from renown.chain.devnet.anvil import Anvil, find_anvil
from renown.chain.devnet.files import AR_GATEWAY, IPFS_GATEWAY, Files
from renown.chain.devnet.ledger import Step
from renown.chain.devnet.lively import keep_lively
from renown.chain.devnet.origin import Origin
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.run import DevnetEvent, run_devnet
from renown.chain.devnet.seed import WorldSummary, register_raw, seed_world
from renown.chain.devnet.wallets import devnet_wallet, devnet_wallets
from renown.chain.devnet.world import plan_world

__all__ = [
    "AR_GATEWAY",
    "CHAIN_ID",
    "DOLLAR",
    "IDENTITY",
    "IPFS_GATEWAY",
    "REPUTATION",
    "VALIDATION",
    "Anvil",
    "DevnetEvent",
    "Files",
    "Origin",
    "Step",
    "WorldSummary",
    "devnet_wallet",
    "devnet_wallets",
    "find_anvil",
    "keep_lively",
    "place_registries",
    "plan_world",
    "register_raw",
    "run_devnet",
    "seed_world",
]

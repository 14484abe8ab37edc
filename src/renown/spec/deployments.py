"""Where the registries are deployed, and how each of those chains becomes final.

The table is `deployments.json` (addresses of the official repository, start blocks of public
indexers with their source); `endpoints.json` names public nodes, which nobody here has checked.
"""

from __future__ import annotations

import difflib
import math
import re
from importlib import resources

import msgspec

from renown.errors import ChainNotFound

DEVNET_CHAIN_ID = 31337
DEVNET_FINAL_BLOCKS = 4
"""Few, so that what is final can be watched becoming so."""


class FinalityPolicy(msgspec.Struct, frozen=True):
    """When a block of a chain counts as final, and how deep a reorg may be.

    tag                  the node's own word for it (`finalized`), or None where chains have none
    depth_blocks         distance from the head that counts as final where the tag is missing
    reorg_limit_blocks   deepest reorg that is handled without an operator
    block_seconds        usual time between two blocks; paces polling, never decides anything
    blooms               False where header blooms are always zero and so mean nothing (zkSync)
    """

    tag: str | None = "finalized"
    depth_blocks: int = 64
    reorg_limit_blocks: int = 512
    block_seconds: float = 2.0
    blooms: bool = True

    @classmethod
    def usual(
        cls,
        *,
        tag: bool = True,
        block_seconds: float = 2.0,
        depth_blocks: int | None = None,
        blooms: bool = True,
    ) -> FinalityPolicy:
        """The policy of a chain of which only the block time is known.

        Depth is two minutes but at least 64 blocks; reorgs are followed as far as an hour of
        blocks, at least twice the depth and at most 7,200 blocks.
        """
        depth = depth_blocks or max(64, math.ceil(120 / block_seconds))
        hour = min(7_200, math.ceil(3_600 / block_seconds))
        return cls(
            tag="finalized" if tag else None,
            depth_blocks=depth,
            reorg_limit_blocks=max(2 * depth, hour),
            block_seconds=block_seconds,
            blooms=blooms,
        )


class Deployment(msgspec.Struct, frozen=True):
    """The official registries of one chain. Addresses are 20 bytes.

    validation         unlisted official address; used only where it has code (experimental)
    start_block        at or before the registries' first log; None where nobody has said
    start_block_unsure rounded, or sources disagree: look for the code instead of trusting it
    """

    chain_id: int
    name: str
    slug: str
    testnet: bool
    identity: bytes
    reputation: bytes
    validation: tuple[bytes, ...]
    explorer: str
    start_block: int | None
    start_block_unsure: bool = False
    finality: FinalityPolicy = FinalityPolicy()

    @property
    def caip2(self) -> str:
        """CAIP-2 name, `eip155:{chain_id}`."""
        return f"eip155:{self.chain_id}"

    @property
    def contracts(self) -> tuple[bytes, ...]:
        """Every registry address, identity first."""
        return (self.identity, self.reputation, *self.validation)


def find(text: str) -> Deployment:
    """The deployment called `text`: slug, chain id, CAIP-2 name or full name, in any case.

    Raises:
        ChainNotFound: nobody is called so; the message names what comes close.
    """
    wanted = _folded(text)
    digits = wanted.removeprefix("eip155:")
    if re.fullmatch(r"[0-9]{1,19}", digits) and int(digits) in DEPLOYMENTS:
        return DEPLOYMENTS[int(digits)]
    if found := _BY_NAME.get(wanted):
        return found
    close = difflib.get_close_matches(wanted, _BY_NAME, n=6, cutoff=0.6)
    near = sorted({_BY_NAME[name].slug for name in close})
    hint = f"did you mean {', '.join(near)}?" if near else "`base`, `8453` and `eip155:8453` work"
    shown = "".join(c for c in text[:60] if c.isprintable())
    raise ChainNotFound(f"no deployment is called {shown!r}; {hint}", chain=shown, close=near)


def endpoints(chain_id: int) -> tuple[str, ...]:
    """Public node URLs of a chain, best first; empty where none is known. Not checked by us."""
    return _ENDPOINTS.get(chain_id, ())


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    chain_id: int
    slug: str
    name: str
    testnet: bool
    identity_registry: str
    reputation_registry: str
    validation_registry_unlisted: str
    validation_registry_activity_seen: bool
    explorer: str
    start_block: int | None
    block_seconds: float
    finality_tag: bool
    start_block_unsure: bool = False
    validation_registry: str | None = None
    start_block_source: str | None = None
    start_block_note: str | None = None
    depth_blocks: int | None = None
    blooms_mean_nothing: bool = False

    def deployment(self) -> Deployment:
        validation = self.validation_registry or self.validation_registry_unlisted
        return Deployment(
            chain_id=self.chain_id,
            name=self.name,
            slug=self.slug,
            testnet=self.testnet,
            identity=bytes.fromhex(self.identity_registry[2:]),
            reputation=bytes.fromhex(self.reputation_registry[2:]),
            validation=(bytes.fromhex(validation[2:]),),
            explorer=self.explorer,
            start_block=self.start_block,
            start_block_unsure=self.start_block_unsure,
            finality=FinalityPolicy.usual(
                tag=self.finality_tag,
                block_seconds=self.block_seconds,
                depth_blocks=self.depth_blocks,
                blooms=not self.blooms_mean_nothing,
            ),
        )


class _Endpoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: str
    checked: bool
    endpoints: dict[int, tuple[str, ...]]


def _read(name: str) -> bytes:
    return resources.files("renown.spec").joinpath(name).read_bytes()


def _load() -> dict[int, Deployment]:
    rows = msgspec.json.decode(_read("deployments.json"), type=list[_Row])
    table = {row.chain_id: row.deployment() for row in rows}
    testnet = table[11155111]
    table[DEVNET_CHAIN_ID] = msgspec.structs.replace(
        testnet,
        chain_id=DEVNET_CHAIN_ID,
        name="Development network",
        slug="devnet",
        explorer="",
        start_block=0,
        start_block_unsure=False,
        finality=FinalityPolicy.usual(block_seconds=1.0, depth_blocks=DEVNET_FINAL_BLOCKS),
    )
    return table


def _folded(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().casefold())


DEPLOYMENTS: dict[int, Deployment] = _load()
"""Every known deployment by chain id: the official 50, and the development network."""

_BY_NAME = {
    _folded(name): item for item in DEPLOYMENTS.values() for name in (item.name, item.slug)
} | {
    _folded(item.name.removesuffix(" Mainnet")): item
    for item in DEPLOYMENTS.values()
    if item.name.endswith(" Mainnet")
}

_ENDPOINTS = msgspec.json.decode(_read("endpoints.json"), type=_Endpoints).endpoints

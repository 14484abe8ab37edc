"""What it takes to write to chains: nodes to write through, and the server's own signer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from renown.cli.console import say
from renown.errors import BadSettings

if TYPE_CHECKING:
    from renown.chain.tx.signer import Signer
    from renown.chain.tx.writer import ChainWriter
    from renown.settings import Settings
    from renown.spec.deployments import Deployment


class Writing(msgspec.Struct):
    """How this process writes.

    writers         by chain id; filled while the process starts, when a node's address is known
    signer          whose wallets the server signs with; None: with none
    signer_is_open  whether every account may use it, on the chains that it signs for
    """

    writers: dict[int, ChainWriter]
    signer: Signer | None = None
    signer_is_open: bool = False

    def reach(self, urls: Mapping[int, Sequence[str]]) -> None:
        """Write to these chains from now on, through these nodes."""
        from renown.chain.tx.writer import writers_for
        from renown.ingest.measured import NodeMeter

        self.writers.update(writers_for(urls, observer=NodeMeter()))


@asynccontextmanager
async def writing(settings: Settings, *, own_devnet: bool = False) -> AsyncIterator[Writing]:
    """The settings' signer, and writers of every chain that they name nodes for.

    Args:
        own_devnet: this process starts a devnet and follows nothing else. Its ten wallets, whose
            keys the world knows, are then the signer, unless the settings name one. For that chain
            alone: the settings may name nodes of others.

    Raises:
        BadSettings: keystores without a password, or beside a remote signer.
        SignerError: a keystore cannot be opened, or the remote signer does not answer.
    """
    async with AsyncExitStack() as stack:
        found = Writing({})
        stack.push_async_callback(_close, found)
        found.signer = await _configured(settings)
        if found.signer is None and own_devnet:
            found.signer, found.signer_is_open = _of_devnet(), True
        if found.signer is not None:
            await found.signer.start()
            stack.push_async_callback(found.signer.close)
        found.reach(settings.rpc_urls)
        yield found


def nodes_of(settings: Settings, chains: Sequence[Deployment]) -> dict[int, tuple[str, ...]]:
    """Nodes of `chains` as far as anybody knows one: the settings', else public ones."""
    from renown.spec.deployments import endpoints

    urls = {
        deployment.chain_id: settings.rpc_urls.get(deployment.chain_id)
        or tuple(endpoints(deployment.chain_id))
        for deployment in chains
    }
    return {chain_id: listed for chain_id, listed in urls.items() if listed}


async def _configured(settings: Settings) -> Signer | None:
    from renown.chain.tx.signer import LocalSigner, RemoteSigner

    if settings.signer_url is not None:
        if settings.signer_keystores:
            raise BadSettings("set RENOWN_SIGNER_URL or RENOWN_SIGNER_KEYSTORES, not both")
        return RemoteSigner(settings.signer_url.get_secret_value())
    if not settings.signer_keystores:
        return None
    if settings.signer_password_file is None:
        raise BadSettings("RENOWN_SIGNER_KEYSTORES needs RENOWN_SIGNER_PASSWORD_FILE")
    paths = [Path(text) for text in settings.signer_keystores]
    signer = await LocalSigner.from_keystores(paths, _password(settings.signer_password_file))
    say(f"signing for {len(signer.addresses)} wallets of RENOWN_SIGNER_KEYSTORES")
    return signer


def _password(path: Path) -> str:
    try:
        return path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise BadSettings(
            f"RENOWN_SIGNER_PASSWORD_FILE: cannot be read ({type(exc).__name__})"
        ) from exc


def _of_devnet() -> Signer:
    from renown.chain.devnet.wallets import devnet_wallets
    from renown.chain.tx.signer import LocalSigner
    from renown.spec.deployments import DEVNET_CHAIN_ID

    keys = [wallet.private_key for wallet in devnet_wallets()]
    return LocalSigner.from_keys(keys, chains=frozenset({DEVNET_CHAIN_ID}))


async def _close(found: Writing) -> None:
    for writer in found.writers.values():
        await writer.close()

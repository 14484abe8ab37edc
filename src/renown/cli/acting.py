"""What all commands that act have in common: their options, the API they ask, the wallet they sign
with."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import msgspec
import typer

from renown.cli.console import say
from renown.errors import BadParameter, BadSettings
from renown.types import checksum_address, parse_address

if TYPE_CHECKING:
    from renown.chain.tx.signer import LocalSigner
    from renown.sdk import Client
    from renown.settings import Settings

Chain = Annotated[
    str | None,
    typer.Option(
        "--chain", metavar="CHAIN", help="Chain by slug, id or name.  [default: the first of CHAIN]"
    ),
]
Wait = Literal["none", "included", "final"]


class How(msgspec.Struct, frozen=True, kw_only=True):
    """The options that all commands have that act, as given."""

    keystore: Path | None = None
    devnet_account: int | None = None
    managed: bool = False
    sender: str | None = None
    wait: Wait = "included"
    dry_run: bool = False
    yes: bool = False
    json: bool = False


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts: an API that is asked, and a wallet.

    Attributes:
        signer: has the wallet's key; None: the server's signer signs.
        devnet_only: the key is public, so it may sign for the devnet alone.
    """

    api: Client
    address: bytes
    signer: LocalSigner | None
    devnet_only: bool
    how: How

    @property
    def mode(self) -> str:
        """As the API calls it."""
        return "managed" if self.signer is None else "prepare"


def acts(command: Callable[..., None]) -> Callable[..., None]:
    """`command(…, how: How)` for the command line: `how` becomes the options that all share."""

    @wraps(command)
    def run(**given: Any) -> None:
        how = How(**{name: given.pop(name) for name in _SHARED})
        command(**given, how=how)

    own = {n: p for n, p in inspect.signature(command).parameters.items() if n != "how"}
    hints = get_type_hints(command, include_extras=True) | _HINTS
    hints.pop("how")
    parameters = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, one in (own | _SHARED).items()
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = hints
    del run.__wrapped__
    return run


@asynccontextmanager
async def connected(settings: Settings, *, need_key: bool = True) -> AsyncIterator[Client]:
    """The API that the settings name.

    Raises:
        BadSettings: no API key, where one is needed.
    """
    from renown.sdk import Client

    if settings.api_key is None and need_key:
        raise BadSettings("RENOWN_API_KEY is not set: make a key with `renown keys create NAME`")
    key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    async with Client(settings.api_url or f"http://localhost:{settings.port}", key=key) as api:
        yield api


@asynccontextmanager
async def acting(how: How) -> AsyncIterator[Actor]:
    """The API and the wallet that the options and settings name.

    Raises:
        BadParameter: no wallet, or two.
        SignerError: the keystore does not open.
    """
    from renown.cli.runtime import load

    settings = load()
    async with connected(settings) as api:
        if how.managed:
            yield Actor(api=api, address=_managed(how), signer=None, devnet_only=False, how=how)
            return
        signer = await local_signer(settings, how.keystore, how.devnet_account)
        if signer is None:
            raise BadParameter(
                "whose wallet? give --keystore FILE or set RENOWN_KEYSTORE; on the devnet "
                "--devnet-account N; or --managed --from ADDRESS for a wallet of the server"
            )
        address = signer.addresses[0]
        if how.sender is not None and parse_address(how.sender) != address:
            raise BadParameter(f"the key is that of {checksum_address(address)}, not of --from")
        only = how.devnet_account is not None
        yield Actor(api=api, address=address, signer=signer, devnet_only=only, how=how)


async def local_signer(
    settings: Settings, keystore: Path | None, devnet_account: int | None
) -> LocalSigner | None:
    """The key of a keystore file or of a devnet account; the settings' keystore without either.

    Raises:
        BadParameter: both are given.
        SignerError: the keystore does not open.
    """
    from renown.chain.tx.signer import LocalSigner

    if keystore is not None and devnet_account is not None:
        raise BadParameter("a keystore or an account of the devnet, not both")
    if devnet_account is not None:
        from renown.chain.devnet import devnet_wallet

        return LocalSigner.from_keys([devnet_wallet(devnet_account).private_key])
    path = keystore or settings.keystore
    if path is None:
        return None
    return await LocalSigner.from_keystores([path], _password(settings, path))


def confirm(how: How, question: str) -> None:
    """Ask, unless --yes. Raises typer.Abort for anything but a yes."""
    if how.yes:
        return
    try:
        if typer.confirm(question, err=True):
            return
    except typer.Abort:
        say("nobody answers here: give --yes to go on without being asked")
        raise
    raise typer.Abort


def _managed(how: How) -> bytes:
    if how.keystore is not None:
        raise BadParameter("--managed: the server signs, so leave --keystore out")
    if how.devnet_account is not None:
        from renown.chain.devnet import devnet_wallet

        return devnet_wallet(how.devnet_account).address
    if how.sender is None:
        raise BadParameter("--managed: name the server's wallet with --from ADDRESS")
    return parse_address(how.sender)


def _password(settings: Settings, path: Path) -> str:
    if settings.keystore_password_file is None:
        answer: str = typer.prompt(f"password of {path}", hide_input=True, err=True)
        return answer
    try:
        text = settings.keystore_password_file.read_text()
    except (OSError, UnicodeDecodeError):
        raise BadSettings("RENOWN_KEYSTORE_PASSWORD_FILE cannot be read") from None
    return text.removesuffix("\n").removesuffix("\r")


def _options(
    keystore: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keystore file of the wallet that signs.  [default: RENOWN_KEYSTORE]",
        ),
    ] = None,
    devnet_account: Annotated[
        int | None,
        typer.Option(min=0, max=9, metavar="N", help="Sign as this account of the devnet, 0 to 9."),
    ] = None,
    managed: Annotated[
        bool, typer.Option("--managed", help="Let the server's signer sign.")
    ] = False,
    sender: Annotated[
        str | None,
        typer.Option("--from", metavar="ADDRESS", help="The wallet that acts, with --managed."),
    ] = None,
    wait: Annotated[
        Wait, typer.Option(help="How far to wait: until it is in a block, or final.")
    ] = "included",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, as the API answers.")] = False,
) -> None:
    """The options of How."""


_HINTS = {k: v for k, v in get_type_hints(_options, include_extras=True).items() if k != "return"}
_SHARED = dict(inspect.signature(_options).parameters)

"""Which settings a service runs with, noted where the audit log sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from pydantic import SecretStr

from renown.errors import StoreError
from renown.settings import Settings, describe
from renown.store.pool import Conn
from renown.store.settings_seen import note_settings

SET, UNSET = "set", "unset"

log = structlog.get_logger(__name__)


async def note(connect: Callable[[], Awaitable[Conn]], component: str, settings: Settings) -> None:
    """Note the settings of a service that starts. It starts without, too: a database that is away
    or read-only now says so where it matters."""
    try:
        conn = await connect()
        try:
            await note_settings(conn, component, shown(settings))
        finally:
            conn.terminate()
    except StoreError as exc:
        log.warning("settings_not_noted", component=component, error=exc.slug)


def shown(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every setting as variable and text; of secrets only whether they are set."""
    for name, row in zip(Settings.model_fields, describe(), strict=True):
        value = getattr(settings, name)
        if row.secret or isinstance(value, SecretStr):
            yield row.variable, UNSET if value is None else SET
        else:
            yield row.variable, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)

"""The process itself: its version, and which parts of the installation it was told of."""

from __future__ import annotations

import platform
from importlib.metadata import version

from renown.obs.metrics.registry import Domain, gauge, one_of

COMPONENTS = (
    *("api", "indexer", "crawler", "prober", "watcher", "notary", "audit", "signer"),
    *("redis", "replica", "pgbouncer", "metrics", "traces"),
)

BUILD = gauge(
    "renown_build_info",
    "1, with the version of this process.",
    {"version": Domain("of Renown", 1), "python": Domain("of Python", 1)},
)
CONFIGURED = gauge(
    "renown_component_configured",
    "1 where this process was told to run or to use a part, 0 where not.",
    {"component": one_of(*COMPONENTS)},
)


def configured(**components: bool) -> None:
    """Say at start which parts this process runs or uses, by their names in `COMPONENTS`.

    Raises:
        ValueError: no such part.
    """
    for name, is_configured in components.items():
        if name not in COMPONENTS:
            raise ValueError(f"{name} is no component that metrics know of")
        CONFIGURED.labels(name).set(int(is_configured))
    BUILD.labels(version("renown"), platform.python_version()).set(1)

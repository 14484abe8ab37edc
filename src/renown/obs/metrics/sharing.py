"""Several processes shown as one: what each wrote into the shared folder, put together.

The library can do so, too, at six times the cost: it makes objects of every number of every
process, where most are only to be added to another.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from prometheus_client.mmap_dict import MmapedDict

from renown.obs.metrics.registry import DEFINED, Defined

_MERGES: dict[str, Callable[[float, float], float]] = {"livemax": max, "max": max, "livemin": min}
"""How gauges of a mode become one; all else is added up."""


class Series(NamedTuple):
    """One series as it is shown, and its value."""

    text: str
    value: float


def shared(folder: Path) -> Iterator[tuple[Defined, list[Series]]]:
    """Every metric that some process has shown, with its series."""
    values = _merged(folder)
    families: dict[str, dict[str, float]] = defaultdict(dict)
    for key, value in values.items():
        families[_parsed(key).family][key] = value
    for one in DEFINED.values():
        family = families.get(one.name.removesuffix("_total"))
        if family:
            make = _histogram if one.kind == "histogram" else _plain
            yield one, list(make(family))


def _merged(folder: Path) -> dict[str, float]:
    values: dict[str, float] = {}
    for path in sorted(folder.glob("*.db")):  # gauge_livemax_123.db, counter_123.db
        merge = _MERGES.get(path.stem.split("_")[1])
        try:
            found = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
        except FileNotFoundError:  # of a process that ended just now
            continue
        for key, value, _, _ in found:
            before = values.get(key)
            if before is None:
                values[key] = value
            else:
                values[key] = before + value if merge is None else merge(before, value)
    return values


class _Key(NamedTuple):
    """What the name of a value in a file says.

    Attributes:
        text: the series as it is shown.
        edge: of a histogram's bucket, else None; `whole` is then the series of their count.
    """

    family: str
    text: str
    edge: float | None
    whole: str


_KEYS: dict[str, _Key] = {}
"""Those that were read before; as many as there are series."""


def _parsed(key: str) -> _Key:
    known = _KEYS.get(key)
    if known is None:
        family, name, labels, _ = json.loads(key)
        edge = labels.get("le")
        of_all = {label: value for label, value in labels.items() if label != "le"}
        known = _KEYS[key] = _Key(
            family,
            series_text(name, labels),
            None if edge is None else float(edge),
            series_text(f"{family}_count", of_all),
        )
    return known


def _plain(values: dict[str, float]) -> Iterator[Series]:
    for key, value in values.items():
        yield Series(_parsed(key).text, value)


def _histogram(values: dict[str, float]) -> Iterator[Series]:
    """In the files each bucket holds its own; shown, each holds those below it as well."""
    buckets: dict[str, list[tuple[float, str, float]]] = defaultdict(list)
    for key, value in values.items():
        parsed = _parsed(key)
        if parsed.edge is None:
            yield Series(parsed.text, value)
        else:
            buckets[parsed.whole].append((parsed.edge, parsed.text, value))
    for count, ours in buckets.items():
        ours.sort()
        sums = list(accumulate(value for _, _, value in ours))
        for (_, text, _), value in zip(ours, sums, strict=True):
            yield Series(text, value)
        yield Series(count, sums[-1])


def series_text(name: str, labels: dict[str, str]) -> str:
    """A series as Prometheus's text format writes it, labels by name."""
    if not labels:
        return name
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{shown}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

"""One registry, made by us alone, and what may stand in a label.

Whoever defines a metric says what each label's values can be, so that the most series a process
can ever show is a number: `worst_case` of `obs.metrics.series`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.samples import Sample

from renown.obs.metrics.allocated import allocate_first

M = TypeVar("M")

REGISTRY = CollectorRegistry()

SHARED_FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
"""Where the processes behind one port put their numbers together; see `exposing`. The library reads
the variable when it is imported, so it is set before the process starts."""

if SHARED_FOLDER is not None:
    Path(SHARED_FOLDER).mkdir(parents=True, exist_ok=True)
    allocate_first()

disable_created_metrics()  # type: ignore[no-untyped-call] # series that nothing of ours reads

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Many = Literal["C", "N", "R", "Q"]
"""Of which an installation has as many as it likes: chains followed, nodes of a chain, routes (a
method and a pattern), statements that are timed."""

Over = Literal["livesum", "livemax", "livemin", "max"]
"""How several processes behind one port are shown as one, and whether those that ended count."""


class Domain(msgspec.Struct, frozen=True):
    """What the values of a label are.

    Attributes:
        meaning: in words, as Markdown.
        most: how many there are; of each of `many`, if there is one.
        values: all of them, where they are fixed.
    """

    meaning: str
    most: int
    many: tuple[Many, ...] = ()
    values: tuple[str, ...] = ()


def one_of(*values: str) -> Domain:
    """Exactly these values."""
    return Domain(", ".join(f"`{value}`" for value in values), len(values), values=values)


CHAIN = Domain("slug of a chain that is followed", 1, ("C",))
NODE = Domain("host of a node of the chain, as set", 1, ("N",))


class Defined(msgspec.Struct, frozen=True):
    """A metric as it was defined. `labels` in order, `samples` series for each of their values."""

    metric: Any
    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str
    labels: Mapping[str, Domain]
    samples: int


DEFINED: dict[str, Defined] = {}
"""Every metric by its name, in the order of definition."""


def counter(name: str, help: str, labels: Mapping[str, Domain] | None = None) -> Counter:
    """A number that only grows. `name` ends with `_total`."""
    metric = Counter(name, help, tuple(labels or ()), registry=REGISTRY)
    return _defined(metric, name, "counter", help, labels, 1)


def gauge(
    name: str, help: str, labels: Mapping[str, Domain] | None = None, *, over: Over = "livemax"
) -> Gauge:
    """A number that goes up and down.

    Args:
        over: how the values of several processes behind one port become one.
    """
    metric = _LateGauge(name, help, tuple(labels or ()), registry=REGISTRY, multiprocess_mode=over)
    return _defined(metric, name, "gauge", help, labels, 1)


def histogram(
    name: str,
    help: str,
    labels: Mapping[str, Domain] | None = None,
    *,
    buckets: Sequence[float] = SECONDS,
) -> Histogram:
    """How values are spread over `buckets`, which are upper bounds."""
    metric = Histogram(name, help, tuple(labels or ()), registry=REGISTRY, buckets=buckets)
    # One more bucket for all, the sum and the count.
    return _defined(metric, name, "histogram", help, labels, len(buckets) + 3)


class _LateGauge(Gauge):
    """A gauge that shows nothing until it is set: a process that does not know a number must not
    say 0. That is so for those with labels; the library makes others with a value."""

    def _metric_init(self) -> None:
        if self._labelnames:
            super()._metric_init()

    def __getattr__(self, name: str) -> Any:
        if name != "_value":
            raise AttributeError(name)
        super()._metric_init()
        return self.__dict__["_value"]

    def _child_samples(self) -> Iterable[Sample]:
        return super()._child_samples() if "_value" in self.__dict__ else ()


def _defined(
    metric: M,
    name: str,
    kind: Literal["counter", "gauge", "histogram"],
    help: str,
    labels: Mapping[str, Domain] | None,
    samples: int,
) -> M:
    DEFINED[name] = Defined(metric, name, kind, help, _unit(name), labels or {}, samples)
    return metric


_UNITS = ("seconds", "bytes", "blocks", "block", "positions", "uris")


def _unit(name: str) -> str:
    """The unit that a metric's name says; "" for a plain number or a switch."""
    words = name.removesuffix("_total").split("_")
    return next((unit.rstrip("s") + "s" for unit in _UNITS if unit in words), "")

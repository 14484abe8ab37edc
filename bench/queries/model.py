"""What is written down of a statement, and where the statements themselves come from."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType
from typing import Any, Literal, TypeAlias

import renown.ingest
import renown.store
from bench.queries.sample import Sample
from renown.store.pool import Conn

Asker: TypeAlias = Literal[
    "api", "indexer", "crawler", "prober", "payments", "watcher", "notary", "operator"
]
Args: TypeAlias = Callable[[Sample], tuple[Any, ...]]

FAR = 2**63 - 1
"""A block, an agent or a position behind all others, as the API begins its pages."""
LAST_UUID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True)
class Query:
    """One statement.

    Attributes:
        name: `module.constant`, as `store.statements` names it in metrics and traces. A statement
            that is put together as it is needed has the name of the function that does.
        asked_by: which process sends it.
        purpose: what for, in one line.
        bound: what it reads at most, in words: the promise that its cost is its answer's.
        indexes: of large tables, which its plan uses. Indexes of partitions go by the name of the
            one they are parts of.
        args: parameters from a world; None for statements that a world's data does not serve.
        more: parameters of other kinds of calls, by what is special about them.
        scans: large tables that it may read whole, each with the reason.
        rough: steps of the plan (`Index Scan on block`, `Function Scan`, `*` for all) whose rows
            statistics cannot foresee, each with the reason.
        template: fills a text with `{}` in it as its caller does.
        build: sends the statement; for texts put together as they are needed.
        most_buffers: pages that one call may touch, where the bound says so.
    """

    name: str
    asked_by: Asker
    purpose: str
    bound: str
    indexes: tuple[str, ...] = ()
    args: Args | None = None
    more: Mapping[str, Args] = field(default_factory=dict)
    scans: Mapping[str, str] = field(default_factory=dict)
    rough: Mapping[str, str] = field(default_factory=dict)
    template: Callable[[str], str] | None = None
    build: Callable[[Conn, Sample], Awaitable[Any]] | None = None
    most_buffers: int | None = None

    def calls(self) -> Iterator[tuple[str, Args]]:
        """Every kind of call that has parameters: what is special about it, and the parameters."""
        if self.args is not None:
            yield "", self.args
        yield from self.more.items()


def keyed(*args: Any, **options: Any) -> tuple[Query, Query]:
    """A query by chain and id of an agent, and the same one for an agent known by its UUID."""
    query = Query(*args, **options)
    return query, replace(
        query,
        name=f"{query.name}_by_uuid",
        purpose=f"The same as `{query.name}`, by UUID.",
        indexes=(*query.indexes, "agent_by_uuid"),
        args=_by_uuid(query.args) if query.args is not None else None,
        more={},
    )


def _by_uuid(args: Args) -> Args:
    return lambda w: (w.uuid, None, *args(w)[2:])


_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "REFRESH", "TRUNCATE", "ANALYZE")


@cache
def statements() -> dict[str, str]:
    """Every constant of `store` and `ingest` that holds a statement, or a part of one, by name.

    Of what makes the worlds of benchmarks there are none: nothing of it runs where agents are.
    """
    found: dict[str, str] = {}
    for module in _modules():
        for constant in _assigned(module):
            text = getattr(module, constant, None)
            if isinstance(text, str) and text.lstrip().startswith(_VERBS):
                name = f"{module.__name__.rpartition('.')[2]}.{constant.strip('_').lower()}"
                # Of a part and a whole with the same name the whole counts: it is what is sent.
                if name not in found or not constant.startswith("_"):
                    found[name] = text
    return found


def _modules() -> Iterator[ModuleType]:
    for package in (renown.store, renown.ingest):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            name = module.name.removeprefix(package.__name__ + ".")
            if not name.startswith(("migrations", "world")):  # makes worlds of benchmarks
                yield importlib.import_module(module.name)


def _assigned(module: ModuleType) -> list[str]:
    """The constants that a module makes itself, not those that it imports."""
    names = []
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if name.isupper()]

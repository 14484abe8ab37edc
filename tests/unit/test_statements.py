"""Names of statements: as many as the code has, whatever is asked."""

from __future__ import annotations

import asyncpg
import pytest

from renown.obs import metrics
from renown.store import statements, vitals


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_name__of_a_constant__is_module_and_constant() -> None:
    assert statements.name_of(vitals.SERVER) == "vitals.server"
    assert statements.name_of(vitals.CONNECTIONS) == "vitals.connections"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("BEGIN ISOLATION LEVEL REPEATABLE READ;", "begin"),
        ("COMMIT;", "commit"),
        ("ROLLBACK;", "rollback"),
        ("SELECT 'x' -- of nobody", "other"),
        ("", "other"),
    ],
)
def test_name__of_other_texts(text: str, name: str) -> None:
    assert statements.name_of(text) == name


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (TimeoutError(), "timeout"),
        (asyncpg.QueryCanceledError(), "timeout"),
        (asyncpg.DeadlockDetectedError(), "conflict"),
        (asyncpg.SerializationError(), "conflict"),
        (asyncpg.LockNotAvailableError(), "conflict"),
        (asyncpg.DiskFullError(), "full"),
        (asyncpg.AdminShutdownError(), "lost"),
        (ConnectionResetError(), "lost"),
        (asyncpg.InterfaceError("connection is closed"), "lost"),
        (asyncpg.UniqueViolationError(), "refused"),
        (asyncpg.InsufficientPrivilegeError(), "refused"),
        (asyncpg.UndefinedTableError(), "other"),
        (KeyboardInterrupt(), None),
    ],
)
def test_failure__is_counted_by_kind(exc: BaseException, kind: str | None) -> None:
    labels = {"query": "vitals.server", "kind": kind or "other"}
    before = counted("renown_db_query_errors_total", **labels)

    statements.failed(vitals.SERVER, 0.1, exc)

    after = counted("renown_db_query_errors_total", **labels)
    assert after - before == (0 if kind is None else 1)

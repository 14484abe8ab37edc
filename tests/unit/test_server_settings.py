"""What is recommended to a server, and what a URL shows of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.store.dumping import without_password
from renown.store.server_settings import ServerSetting, Wanted, _serves, base_value, recommended


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("128MB", "8kB", 16_384),
        ("1GB", "MB", 1_024),
        ("64kB", "kB", 64),
        ("15min", "s", 900),
        ("5s", "ms", 5_000),
        ("1.1", None, 1.1),
        ("200", None, 200),
        ("on", None, None),
    ],
)
def test_base_value__of_what_a_configuration_says__is_what_the_catalog_says(
    value: str, unit: str | None, expected: float | None
) -> None:
    assert base_value(value, unit) == expected


@given(st.integers(2**28, 2**42))
def test_recommended__whatever_the_memory__fits_into_it(memory_bytes: int) -> None:
    values = {one.name: one.value for one in recommended(memory_bytes)}
    held = {
        name: base_value(values[name], "kB")
        for name in ("shared_buffers", "work_mem", "maintenance_work_mem")
    }

    assert held["shared_buffers"] is not None
    assert held["work_mem"] is not None
    assert held["shared_buffers"] * 1024 <= max(memory_bytes * 0.27, 128 * 2**20)
    # 50 sorts at once and the cache.
    assert held["work_mem"] * 1024 * 50 <= max(memory_bytes * 0.27, 200 * 2**20)
    assert all(values.values())


def test_table__in_the_documentation__is_what_is_recommended() -> None:
    page = (Path(__file__).parents[2] / "docs/operations/database.md").read_text()
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("|")
    ]
    sizes = next(row for row in rows if row[-1] == "64 GB")[1:]

    for column, size in enumerate(sizes, start=1):
        for one in recommended(int(size.removesuffix(" GB")) * 2**30):
            for row in rows:
                if row[0] == one.name:
                    assert row[column] == one.value, (size, one.name)


@pytest.mark.parametrize(
    ("wanted", "setting", "unit", "serves"),
    [
        (Wanted("shared_buffers", "6GB", ""), str(6 * 131_072), "8kB", True),
        (Wanted("shared_buffers", "6GB", ""), str(5 * 131_072), "8kB", True),
        (Wanted("shared_buffers", "6GB", ""), "16384", "8kB", False),
        (Wanted("max_wal_senders", "10", "", at_least=True), "20", None, True),
        (Wanted("max_wal_senders", "10", "", at_least=True), "5", None, False),
        (Wanted("shared_preload_libraries", "pg_stat_statements", ""), "a, pg_stat_statements",
         None, True),
        (Wanted("jit", "off", ""), "on", None, False),
        (Wanted("wal_level", "replica", ""), "logical", None, True),
    ],
)  # fmt: skip
def test_setting__that_does_as_well__is_no_finding(
    wanted: Wanted, setting: str, unit: str | None, serves: bool
) -> None:
    held = ServerSetting(wanted.name, setting, unit, "sighup")

    assert _serves(wanted, held) is serves


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("postgresql://me:p%40ss@h:1/d", "postgresql://me@h:1/d", "p@ss"),
        ("postgresql://me@h/d?sslmode=require", "postgresql://me@h/d?sslmode=require", None),
        ("postgresql://h1:1,h2:2/d?user=me&password=x", "postgresql://h1:1,h2:2/d?user=me", "x"),
        ("postgresql://me:a:b@[::1]:5/d", "postgresql://me@[::1]:5/d", "a:b"),
    ],
)
def test_url__on_a_command_line__is_without_its_password(
    url: str, shown: str, password: str | None
) -> None:
    assert without_password(url) == (shown, password)

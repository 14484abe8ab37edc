"""Settings of the database server: what suits this work on a machine of some size."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import LiteralString

import msgspec

from renown.store.pool import Conn

_MIB = 2**20
_GIB = 2**30


class Wanted(msgspec.Struct, frozen=True):
    """One setting, as `postgresql.conf` has it, and why.

    at_least: more is as good, so that only less differs.
    """

    name: str
    value: str
    reason: str
    at_least: bool = False


class Differing(msgspec.Struct, frozen=True):
    """A setting whose value on the server is another."""

    name: str
    value: str
    wanted: str
    reason: str
    needs_restart: bool


def machine_memory_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def recommended(memory_bytes: int) -> list[Wanted]:
    """Settings for a server that has a machine, with `memory_bytes`, to itself.

    A quarter of the memory for PostgreSQL's own cache, up to 16 GiB, the rest for the system's;
    memory for one sort by what 200 connections could take at once if a quarter of them sorted.
    """
    shared = min(max(memory_bytes // 4, 128 * _MIB), 16 * _GIB)
    maintenance = min(max(memory_bytes // 16, 64 * _MIB), 2 * _GIB)
    work = min(max(memory_bytes // 4 // 50, 4 * _MIB), 64 * _MIB)
    max_wal = min(max(memory_bytes // 4, 2 * _GIB), 16 * _GIB)
    large = memory_bytes >= 16 * _GIB
    return [
        Wanted("max_connections", "200", "docs/operations/pool.md has the arithmetic", True),
        Wanted("superuser_reserved_connections", "5", "an operator gets in when all are taken"),
        Wanted("shared_buffers", _size(shared), "a quarter of the memory"),
        Wanted("effective_cache_size", _size(memory_bytes * 3 // 4), "for the planner alone"),
        Wanted("maintenance_work_mem", _size(maintenance), "indexes, vacuum", True),
        Wanted("work_mem", _size(work), "one sort or hash of one statement"),
        Wanted("random_page_cost", "1.1", "solid-state disks"),
        Wanted("effective_io_concurrency", "200", "solid-state disks", True),
        Wanted("jit", "off", "statements are short: compiling them takes longer"),
        Wanted("default_statistics_target", "100", "owners and tags are many"),
        Wanted("wal_level", "replica", "for replicas and continuous archiving"),
        Wanted("max_wal_size", _size(max_wal), "rare checkpoints in a backfill", True),
        Wanted("min_wal_size", _size(min(max_wal // 8, _GIB)), "segments are used again", True),
        Wanted("checkpoint_timeout", "15min", "each checkpoint has pages written whole again"),
        Wanted("checkpoint_completion_target", "0.9", "spread, not in bursts"),
        Wanted("wal_compression", "lz4", "fewer bytes to disk and replicas; `on` without LZ4"),
        Wanted("max_wal_senders", "10", "replicas, base backups", True),
        Wanted("max_slot_wal_keep_size", _size(2 * max_wal), "a dead replica must not fill a disk"),
        Wanted("autovacuum_max_workers", "5" if large else "3", "many partitions", True),
        Wanted("autovacuum_naptime", "15s", "queues are hot"),
        Wanted("autovacuum_vacuum_cost_limit", "2000", "the default is of slower disks", True),
        Wanted("autovacuum_vacuum_insert_scale_factor", "0.1", "facts are only added"),
        Wanted("track_io_timing", "on", "slow statements show why"),
        Wanted("shared_preload_libraries", "pg_stat_statements", "`renown db report` reads it"),
        Wanted("log_lock_waits", "on", "who waits for whom, in the log"),
        Wanted("deadlock_timeout", "1s", "how long before that is looked at"),
        Wanted("log_min_duration_statement", "5s", "slow ones, in the log"),
        Wanted("log_parameter_max_length", "0", "values of strangers stay out of the log"),
        Wanted("log_autovacuum_min_duration", "10s", "long ones, in the log"),
        Wanted("log_temp_files", "64MB", "work_mem too small, in the log"),
        Wanted("idle_in_transaction_session_timeout", "15min", "nobody holds back vacuum for ever"),
        Wanted("tcp_keepalives_idle", "60", "connections of machines that are gone end"),
        Wanted("data_checksums", "on", "damaged pages are found (`initdb --data-checksums`)"),
    ]


class ServerSetting(msgspec.Struct, frozen=True):
    """A row of `pg_settings`."""

    name: str
    setting: str
    unit: str | None
    context: str


_SETTINGS: LiteralString = """
SELECT name, setting, unit, context FROM pg_settings WHERE name = any($1)
"""


async def server_settings(conn: Conn, names: Iterable[str]) -> dict[str, ServerSetting]:
    """What the server has for these settings, those it does not know left out."""
    rows = await conn.fetch(_SETTINGS, list(names))
    return {row["name"]: ServerSetting(*row) for row in rows}


async def differing(conn: Conn, memory_bytes: int) -> list[Differing]:
    """Where the server has other settings than are recommended for that much memory."""
    wanted = recommended(memory_bytes)
    held = await server_settings(conn, (one.name for one in wanted))
    found = []
    for one in wanted:
        have = held.get(one.name)
        if have is not None and not _serves(one, have):
            found.append(
                Differing(
                    *(one.name, _shown(have), one.value, one.reason),
                    needs_restart=have.context == "postmaster",
                )
            )
    return found


def base_value(value: str, unit: str | None) -> float | None:
    """A number as `pg_settings` has it, in its `unit`; None for what is no number."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?) *(kB|MB|GB|TB|B|us|ms|s|min|h|d)?", value)
    if match is None:
        return None
    number = float(match[1])
    if match[2] is None or unit is None:
        return number
    if match[2] in _BYTES:
        return number * _BYTES[match[2]] / _unit_size(unit, _BYTES)
    return number * _SECONDS[match[2]] / _unit_size(unit, _SECONDS)


_BYTES = {"B": 1.0, "kB": 2.0**10, "MB": 2.0**20, "GB": 2.0**30, "TB": 2.0**40}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}


def _unit_size(unit: str, sizes: dict[str, float]) -> float:
    """`8kB` is eight of `kB`."""
    match = re.fullmatch(r"(\d*)(\D+)", unit)
    assert match is not None
    return int(match[1] or 1) * sizes[match[2]]


def _serves(wanted: Wanted, have: ServerSetting) -> bool:
    if wanted.name == "shared_preload_libraries":
        return wanted.value in {word.strip() for word in have.setting.split(",")}
    if wanted.name == "wal_level":
        return have.setting in ("replica", "logical")
    if wanted.name == "wal_compression":
        return have.setting != "off"
    want, held = base_value(wanted.value, have.unit), base_value(have.setting, None)
    if want is None or held is None:
        return wanted.value == have.setting
    # Sizes are rules of thumb: a third more or less is no finding.
    room = 1.34 if have.unit in ("kB", "8kB", "MB") else 1.0
    return held >= want / room and (wanted.at_least or held <= want * room)


def _shown(have: ServerSetting) -> str:
    number = base_value(have.setting, None)
    if number is None or number < 0 or have.unit is None:
        return have.setting
    if have.unit in ("B", "kB", "8kB", "MB"):
        return _size(int(number * _unit_size(have.unit, _BYTES)))
    return f"{have.setting}{have.unit}"


def _size(size_bytes: int) -> str:
    for unit in ("GB", "MB", "kB"):
        if size_bytes >= 4 * _BYTES[unit] or (size_bytes and size_bytes % _BYTES[unit] == 0):
            return f"{int(size_bytes // _BYTES[unit])}{unit}"
    return f"{size_bytes // 1024}kB"

"""Where words and numbers about us are kept, there is no room: nobody fails for it."""

from __future__ import annotations

import errno
import logging
import os
import sys
from pathlib import Path

import pytest
import structlog
from prometheus_client.mmap_dict import MmapedDict

from renown.errors import BadSettings
from renown.obs.logging import configure_logging
from renown.obs.metrics.allocated import FIRST_BYTES, Allocated
from renown.obs.unfailing import unfailing_stderr

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_stderr__on_a_full_disk__loses_lines_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = [*root.handlers], root.level
    with FULL.open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        with pytest.raises(OSError, match="No space"):
            sys.stderr.write("a line\n")
        try:
            with unfailing_stderr():
                configure_logging("json")
                structlog.get_logger().error("request_failed")
                sys.stderr.write("a line\n")
                sys.stderr.flush()
                assert not sys.stderr.isatty()
        finally:
            structlog.configure(**before)
            root.handlers[:] = handlers
            root.setLevel(level)
            logging.captureWarnings(False)
        assert sys.stderr is full


def _values(path: Path) -> dict[str, float]:
    read = MmapedDict.read_all_values_from_file(str(path))
    return {key: value for key, value, _, _ in read}


def test_numbers__on_a_disk_that_fills_up__keep_what_they_have_and_lose_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "counter_1.db"
    numbers = Allocated(str(path))
    assert os.stat(path).st_blocks * 512 >= FIRST_BYTES  # no holes
    rows = FIRST_BYTES // 1_000
    for n in range(rows):
        numbers.write_value(f"{n:0900}", n, 0.0)

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        for n in range(rows):
            numbers.write_value(f"{n:0900}", n + 1, 0.0)
            numbers.write_value(f"new {n:0900}", 7, 0.0)
            assert numbers.read_value(f"new {n:0900}")[0] in (0, 7)
        with pytest.raises(BadSettings, match="no room"):
            Allocated(str(tmp_path / "counter_2.db"))
        assert path.stat().st_size == FIRST_BYTES
        held = _values(path)
    assert [held[f"{n:0900}"] for n in range(rows)] == [n + 1 for n in range(rows)]
    assert len(held) < 2 * rows

    for n in range(rows):
        numbers.write_value(f"new {n:0900}", 8, 0.0)
    numbers.close()
    held = _values(path)
    assert len(held) == 2 * rows
    assert os.stat(path).st_blocks * 512 >= path.stat().st_size

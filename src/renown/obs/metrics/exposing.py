"""What a scrape gets: of this process, or of all that share `PROMETHEUS_MULTIPROC_DIR`.

Several API processes behind one port (`uvicorn --workers`) are scraped as one, whichever answers:
with that variable set, each writes its numbers into files of its own in the directory, and an
exposition adds up everybody's. One directory is for the processes of one port, and is emptied
before they start.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from renown.obs.metrics.registry import DEFINED, REGISTRY, SHARED_FOLDER, Defined
from renown.obs.metrics.sharing import Series, series_text, shared

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition() -> bytes:
    """Everything measured, in Prometheus's text format (`CONTENT_TYPE`)."""
    if SHARED_FOLDER is None:
        return "".join(_text(_own())).encode()
    folder = Path(SHARED_FOLDER)
    _forget_the_dead(folder)
    return "".join(_text(shared(folder))).encode()


def _text(families: Iterable[tuple[Defined, Iterable[Series]]]) -> Iterator[str]:
    for one, series in families:
        yield f"# HELP {one.name} {one.help}\n# TYPE {one.name} {one.kind}\n"
        for text, value in series:
            number = floatToGoString(value)  # type: ignore[no-untyped-call]
            yield f"{text} {number}\n"


def _own() -> Iterator[tuple[Defined, Iterable[Series]]]:
    by_name = {name.removesuffix("_total"): one for name, one in DEFINED.items()}
    for family in REGISTRY.collect():
        samples = family.samples
        yield by_name[family.name], (Series(_series(one), one.value) for one in samples)


# Names and labels are written once and kept, at half of the whole cost of a scrape. As many are
# kept as there are series, which are bounded.
_SERIES: dict[tuple[str, ...], str] = {}


def _series(sample: Sample) -> str:
    key = (sample.name, *sample.labels.values())
    text = _SERIES.get(key)
    if text is None:
        text = _SERIES[key] = series_text(sample.name, sample.labels)
    return text


def _forget_the_dead(folder: Path) -> None:
    """Take away the gauges of processes that ended, however they did. What they counted stays."""
    named = {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*.db")}
    for pid in (int(name) for name in named if name.isdigit()):
        if not _is_alive(pid):
            with suppress(FileNotFoundError):  # another process was quicker
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

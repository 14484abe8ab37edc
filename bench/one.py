"""One bench in a process of its own: `python -m bench.one NAME OPTIONS FILE`.

OPTIONS is `catalogue.Options` as JSON. Each report is appended to FILE as a line as soon as it is
there, so that what was measured is not lost with what fails later.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import structlog

from bench.catalogue import Options, named


def main() -> None:
    name, options, path = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a bench made is removed
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    given = json.loads(options)
    for key in ("sizes", "densities"):
        given[key] = tuple(given[key])
    with Path(path).open("a") as file:
        for report in named(name).measure(Options(**given)):
            file.write(json.dumps(asdict(report)) + "\n")
            file.flush()


if __name__ == "__main__":
    main()

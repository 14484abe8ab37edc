"""Log lines: past-tense events with facts as keys, to stderr, without secrets.

Call `configure_logging` once at start; everyone else does `log = structlog.get_logger(__name__)`.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

from renown.obs.acting import ACTING
from renown.obs.unfailing import Unfailing
from renown.spec.redaction import HIDDEN, SECRET_NAME, host_of, redact_text

__all__ = ["HIDDEN", "configure_logging", "host_of", "redact", "redact_text"]

Format = Literal["console", "json"]


def configure_logging(
    log_format: Format = "console", level: str = "info", *, stream: TextIO | None = None
) -> None:
    """Send our log lines and those of libraries to `stream` (stderr), at `level` and above.

    `console` is for people, coloured on a terminal; `json` is one object a line with `event`,
    `level`, `timestamp` (UTC, ISO 8601) and the facts. Both pass `redact`.
    """
    out = cast(TextIO, Unfailing(stream or sys.stderr))
    least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # text already here, so that `redact` sees it
    ]
    renderer: Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(default=str)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, redact, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(least, logging.WARNING) if least > logging.DEBUG else least)
    logging.captureWarnings(True)


def add_request_id(_: Any, __: str, event: EventDict) -> EventDict:
    """Processor: the id of the request that is being answered, as its audit entry has it."""
    acting = ACTING.get()
    if acting is not None and acting.request_id is not None:
        event.setdefault("request_id", str(acting.request_id))
    return event


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Processor: hide what must not be written, wherever it stands in an event.

    Values under names like `password`, `authorization`, `token` or `dsn` are hidden whole; URLs
    lose everything but scheme and host; `Bearer ...`, API keys and `password=...` inside text are
    hidden.
    """
    return {
        key: HIDDEN if SECRET_NAME.search(key) and value is not None else _redacted(value)
        for key, value in event.items()
    }


def _redacted(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if depth > 4 or isinstance(value, int | float | bool | None):
        return value
    if isinstance(value, dict):
        return {
            key: HIDDEN if SECRET_NAME.search(str(key)) else _redacted(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return redact_text(str(value))

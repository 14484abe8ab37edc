"""Log lines: past-tense events with facts as keys, to stderr, without secrets.

Call `configure_logging` once at start; everyone else does `log = structlog.get_logger(__name__)`.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from renown.obs.hosts import host_of

__all__ = ["configure_logging", "host_of", "redact"]

Format = Literal["console", "json"]
HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|secret|token|api[_-]?key|private[_-]?key|mnemonic|dsn",
    re.IGNORECASE,
)
# Up to white space or a quote: URLs in messages of libraries end there.
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>`]+")
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
_API_KEY = re.compile(r"\bak_[a-z]+_[A-Za-z0-9_]{16,}")
_ASSIGNED = re.compile(
    r"\b(password|passwd|api[_-]?key|token|secret)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&]+)",
    re.IGNORECASE,
)


def configure_logging(
    log_format: Format = "console", level: str = "info", *, stream: TextIO | None = None
) -> None:
    """Send our log lines and those of libraries to `stream` (stderr), at `level` and above.

    `console` is for people, coloured on a terminal; `json` is one object a line with `event`,
    `level`, `timestamp` (UTC, ISO 8601) and the facts. Both pass `redact`.
    """
    out = stream or sys.stderr
    least = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Processor: hide what must not be written, wherever it stands in an event.

    Values under names like `password`, `authorization`, `token` or `dsn` are hidden whole; URLs
    lose everything but scheme and host; `Bearer ...`, API keys and `password=...` inside text are
    hidden.
    """
    return {
        key: HIDDEN if _SECRET_NAME.search(key) and value is not None else _redacted(value)
        for key, value in event.items()
    }


def redact_text(text: str) -> str:
    """`text` with URLs reduced to scheme and host, and credentials hidden."""
    text = _URL.sub(_shown, text)
    text = _CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
    text = _API_KEY.sub(f"ak_{HIDDEN}", text)
    return _ASSIGNED.sub(rf"\1\2{HIDDEN}", text)


def _shown(match: re.Match[str]) -> str:
    url = match[0].rstrip(".,;:)]}")
    scheme = url.partition("://")[0]
    return f"{scheme}://{host_of(url)}{match[0][len(url) :]}"


def _redacted(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if depth > 4 or isinstance(value, int | float | bool | None):
        return value
    if isinstance(value, dict):
        return {
            key: HIDDEN if _SECRET_NAME.search(str(key)) else _redacted(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return redact_text(str(value))

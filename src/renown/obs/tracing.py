"""Traces, where somebody wants them: request, query, question to a node, document fetched.

Off until started, and then every place that could make a span pays one `if`: it asks
`TRACES.is_on` first. Spans hold names of ours, routes, chains and hosts; never parameters,
paths, keys or bodies. They are sent by a thread of the library's own: a collector that is away
costs spans, no request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from time import time_ns
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from renown.errors import BadSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, Tracer

_EXPORT_SECONDS = 3.0
_TRACES_PATH = "/v1/traces"


class Traces:
    """What one process tells of its doings. Use `TRACES`.

    Attributes:
        is_on: whether spans are made; where it is false, no other method but `start` may be called.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._provider: TracerProvider | None = None
        self._tracer: Tracer

    def start(self, url: str, *, share: float, processor: SpanProcessor | None = None) -> None:
        """Make spans from now on, and send them.

        Args:
            url: of an OpenTelemetry collector (OTLP over HTTP); without a path, `/v1/traces` is
                meant.
            share: of requests that are traced, 0 to 1; where a caller that is believed has
                decided, its decision counts.
            processor: takes the spans instead.

        Raises:
            BadSettings: the `tracing` extra is not installed, or the URL is none.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        except ImportError:
            raise BadSettings(
                "RENOWN_TRACES_URL needs OpenTelemetry: install renown with its `tracing` extra"
            ) from None
        endpoint = _endpoint(url)
        self.stop()
        if processor is None:
            exporter = OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS)
            processor = BatchSpanProcessor(exporter)
        resource = Resource.create({"service.name": "renown", "service.version": version("renown")})
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("renown")
        self.is_on = True

    def stop(self) -> None:
        """Send what is not sent yet, for a few seconds at most, and make no more spans. Blocks."""
        self.is_on = False
        provider, self._provider = self._provider, None
        if provider is not None:
            provider.shutdown()

    @contextmanager
    def request(self, method: str, traceparent: str | None) -> Iterator[Span]:
        """The span of a request that is being answered; what it was about is told by `answered`.

        Args:
            traceparent: the caller's, of a caller that is believed; else None.
        """
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {} if traceparent is None else {"traceparent": traceparent}
        with self._tracer.start_as_current_span(
            method,
            context=TraceContextTextMapPropagator().extract(carrier, Context()),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
            record_exception=False,  # its words may quote what was sent
            set_status_on_exception=False,
        ) as span:
            yield span

    def answered(self, span: Span, method: str, route: str, status: int) -> None:
        """Say what a request's span was about."""
        from opentelemetry.trace import StatusCode

        span.update_name(f"{method} {route}")
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            span.set_status(StatusCode.ERROR)

    @contextmanager
    def asking(self, name: str, attributes: Mapping[str, str | int]) -> Iterator[Span]:
        """The span of a question to somebody else, such as a node."""
        from opentelemetry.trace import SpanKind, StatusCode

        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as exc:
                span.set_attribute("error.type", type(exc).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def asked(
        self, name: str, seconds: float, attributes: Mapping[str, str | int], error: str = ""
    ) -> None:
        """The span of a question that has just been answered, such as a statement.

        Args:
            seconds: it took.
            error: kind of its failure; "": it went well.
        """
        from opentelemetry.trace import SpanKind, StatusCode

        now = time_ns()
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, start_time=now - int(seconds * 1e9)
        )
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end(now)


TRACES = Traces()
"""Those of this process."""


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSettings("RENOWN_TRACES_URL: write http:// or https:// with a host")
    return parts._replace(path=parts.path if parts.path.strip("/") else _TRACES_PATH).geturl()

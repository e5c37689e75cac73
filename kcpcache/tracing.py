"""OpenTelemetry traces: a span for every request, and one for every plan that a controller carries out.

Off, and nothing of it imported, unless the standard environment names where to: ``OTEL_EXPORTER_OTLP_ENDPOINT`` or
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` (OTLP over HTTP; all other ``OTEL_…`` variables count, too). Spans are made when
what they tell of is over: that costs nothing while it goes on.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import kcpcache
from kcpcache.api.exchange import Exchange
from kcpcache.runtime.controller import Outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SERVER_ERROR: Final = 500
_SECOND: Final = 1_000_000_000


class TracingError(Exception):
    """Traces are wanted and cannot be made; one line that says what to do."""


def tracing_of(environ: Mapping[str, str]) -> "Tracing | None":
    """What the environment asks for; None where it does not. Raises TracingError."""
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise TracingError(
            f"{' or '.join(ENDPOINTS)} is set, but OpenTelemetry is not installed: pip install 'kcpcache[tracing]'"
        ) from None
    name = environ.get("OTEL_SERVICE_NAME") or "kcpcache"
    resource = Resource.create({"service.name": name, "service.version": kcpcache.__version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_only_warn)
    return Tracing(provider)


def _only_warn(record: logging.LogRecord) -> bool:
    """Spans that nobody took are a pity, and no error of this server's."""
    record.levelno = min(record.levelno, logging.WARNING)
    record.levelname = logging.getLevelName(record.levelno)
    return True


class Tracing:
    """Makes spans, which a thread of the provider's sends in batches. Times are of ``time.perf_counter``."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("kcpcache", kcpcache.__version__)
        self._server, self._internal = SpanKind.SERVER, SpanKind.INTERNAL
        self._incoming = TraceContextTextMapPropagator()

    def request(self, exchange: Exchange, began: float) -> None:
        """A request came to its end; it belongs to the trace that its ``traceparent`` header names, if any."""
        info, status = exchange.info, exchange.status
        what = exchange.resource.plural if exchange.resource else "path"
        attributes: dict[str, AttributeValue] = {
            "http.request.method": exchange.method,
            "url.path": exchange.scope["path"],
            "http.response.status_code": status,
            "http.response.body.size": exchange.sent_bytes,
        }
        if info is not None and info.is_resource:
            attributes |= {
                "k8s.verb": info.verb,
                "k8s.group": info.group,
                "k8s.version": info.version,
                "k8s.resource": info.resource,
                "k8s.subresource": info.subresource,
                "kcp.cluster": info.cluster,
            }
        headers = {name: exchange.header(name.encode()) for name in ("traceparent", "tracestate")}
        parent = self._incoming.extract({name: value for name, value in headers.items() if value})
        now = time.time_ns()
        span = self._tracer.start_span(
            f"{info.verb if info else exchange.method.lower()} {what}",
            context=parent,
            kind=self._server,
            attributes=attributes,
            start_time=now - int((time.perf_counter() - began) * _SECOND),
        )
        if status >= _SERVER_ERROR:
            self._fail(span)
        span.end(now)

    def reconciled(self, outcome: Outcome) -> None:
        """A controller has carried out a plan, or failed to."""
        now = time.time_ns()
        span = self._tracer.start_span(
            f"reconcile {outcome.controller}",
            kind=self._internal,
            attributes={
                "kcpcache.key": str(outcome.key),
                "kcpcache.changes": outcome.changes,
                "kcpcache.result": outcome.result,
            },
            start_time=now - int(outcome.seconds * _SECOND),
        )
        if outcome.result == "failed":
            self._fail(span)
        span.end(now)

    async def close(self) -> None:
        """Send what is left, as long as the exporter tries."""
        await asyncio.to_thread(self._provider.shutdown)

    @staticmethod
    def _fail(span: "Span") -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR))

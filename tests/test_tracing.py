import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from kcpcache.runtime.controller import Outcome
from kcpcache.tracing import Tracing, TracingError, tracing_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider)


class FakeExchange:
    """What of an ``Exchange`` a span is made of."""

    def __init__(self, status=200, **headers):
        self.info = self.resource = None
        self.method, self.scope, self.status, self.sent_bytes = "GET", {"path": "/version"}, status, 12
        self._headers = headers

    def header(self, name):
        return self._headers.get(name.decode(), "")


def test_a_request_becomes_a_span_of_the_trace_that_its_client_is_in(tracing, spans):
    tracing.request(FakeExchange(traceparent=f"00-{TRACE}-{PARENT}-01"), 0.0)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("get path", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.attributes["http.response.status_code"] == 200
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("traceparent", ["", "garbage", "00-0-0-00", "ff" * 400])
def test_a_client_without_a_trace_begins_one_whatever_it_sends(tracing, spans, traceparent):
    tracing.request(FakeExchange(status=503, traceparent=traceparent), 0.0)
    (span,) = spans.get_finished_spans()
    assert span.parent is None
    assert span.status.status_code is StatusCode.ERROR


def test_a_plan_that_was_carried_out_becomes_a_span_as_long_as_it_took(tracing, spans):
    tracing.reconciled(Outcome("replication", ("provider", "small"), "changed", 1, 2.0))
    tracing.reconciled(Outcome("replication", ("provider", "small"), "failed", 1, 0.0))
    done, failed = spans.get_finished_spans()
    assert done.name == "reconcile replication"
    assert done.end_time - done.start_time == 2_000_000_000
    assert dict(done.attributes) == {
        "kcpcache.key": "('provider', 'small')",
        "kcpcache.changes": 1,
        "kcpcache.result": "changed",
    }
    assert (done.status.status_code, failed.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_SDK_DISABLED": "true"}],
)
def test_without_an_endpoint_there_is_no_tracing(environ):
    assert tracing_of(environ) is None


def test_an_endpoint_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingError, match=r"pip install 'kcpcache\[tracing\]'"):
        tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_nothing_of_the_sdk_is_imported_while_tracing_is_off():
    script = (
        "import sys, kcpcache.server, kcpcache.tracing; kcpcache.tracing.tracing_of({}); "
        # FastAPI itself imports OpenTelemetry's interface where there is one.
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

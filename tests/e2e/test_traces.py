"""Traces as a collector gets them from a running server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from real_server import start_server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """An OTLP endpoint, and the spans that it got."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
            spans.extend(
                span for found in request.resource_spans for scope in found.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", spans
        finally:
            server.shutdown()
            thread.join()


def test_requests_and_plans_reach_the_collector_when_the_server_ends_at_the_latest(tmp_path: Path) -> None:
    with collector() as (endpoint, spans):
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        with start_server(tmp_path / "root", environ=environ) as server, server.client() as client:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            for _ in range(3):
                client.get("/api/v1/namespaces/default", headers=headers).raise_for_status()
    mine = [span for span in spans if span.trace_id.hex() == TRACE]
    assert [(span.name, span.parent_span_id.hex()) for span in mine] == [("get namespaces", PARENT)] * 3
    assert any(span.name.startswith("reconcile ") for span in spans)


def test_a_collector_that_is_not_there_holds_up_neither_requests_nor_the_end(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with start_server(tmp_path / "root", environ=environ) as server, server.client() as client:
        client.get("/api/v1/namespaces").raise_for_status()
        assert server.terminate() == 0

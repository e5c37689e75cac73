"""What every answer to bad input must be like, and the means to send it."""

import contextlib
import json
import select
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from real_server import Server, eventually

ROOT = "/clusters/root"
MAPS = f"{ROOT}/api/v1/namespaces/default/configmaps"
API = f"{ROOT}/apis/apiextensions.k8s.io/v1"
THINGS = f"{ROOT}/apis/fuzz.example.com/v1/things"
HTTP_LAYER = (501, 505)


def crd(plural: str, spec: dict[str, Any] | None = None) -> dict[str, Any]:
    """A CRD of cluster-wide objects; without a schema for their ``spec`` they keep whatever they are given."""
    kind = plural.removesuffix("s").capitalize()
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": spec or anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.fuzz.example.com"},
        "spec": {
            "group": "fuzz.example.com",
            "names": {"plural": plural, "kind": kind},
            "scope": "Cluster",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def established(http: httpx.Client, plural: str) -> None:
    """Wait until a CRD's objects are served."""
    eventually(lambda: http.get(f"{ROOT}/apis/fuzz.example.com/v1/{plural}").is_success)


def refusal(response: httpx.Response) -> int:
    """The code of an answer that is an error, and a whole one: a Status that agrees with the status line."""
    assert response.is_client_error or response.status_code in HTTP_LAYER, f"{response.status_code} {response.text}"
    assert response.headers["content-type"].partition(";")[0] == "application/json", response.headers
    check_status(response.json(), response.status_code)
    return response.status_code


def check_status(body: Any, code: int) -> None:
    """Whether this is a Status as clients decode it."""
    assert isinstance(body, dict), body
    assert (body["kind"], body["apiVersion"], body["status"], body["code"]) == ("Status", "v1", "Failure", code), body
    assert isinstance(body["message"], str), body
    assert body["message"], body
    assert isinstance(body.get("reason", ""), str), body
    assert body["metadata"] == {}, body
    assert "Traceback" not in body["message"], body
    details = body.get("details") or {}
    assert set(details) <= {"name", "group", "kind", "uid", "causes", "retryAfterSeconds"}, body
    for cause in details.get("causes", ()):
        assert all(isinstance(text, str) for text in cause.values()), body


def memory_mib(server: Server) -> float:
    """What the process holds in memory now."""
    return _of_process(server, "VmRSS")


def peak_mib(server: Server) -> float:
    """The most that it held since ``forget_peak``."""
    return _of_process(server, "VmHWM")


def forget_peak(server: Server) -> float:
    """Measure peaks from here on; what it holds now."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return memory_mib(server)


def _of_process(server: Server, what: str) -> float:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024


def raw_connection(server: Server, timeout: float = 10.0) -> ssl.SSLSocket:
    """TLS as the administrator, and nothing of HTTP yet."""
    context = ssl.create_default_context(cadata=server.authority())
    context.load_cert_chain(server.user_pem("kcp-admin"))
    plain = socket.create_connection(("127.0.0.1", server.port), timeout)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def exchange(server: Server, pieces: Iterable[bytes]) -> tuple[int, bytes, int]:
    """Send bytes until there is an answer: its status code (0: none came), all of it, and how many bytes were sent."""
    answer, sent = b"", 0
    with raw_connection(server) as connection:
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
                sent += len(piece)
                if answer := _arrived(connection):
                    break
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            while not _is_whole(answer) and (data := connection.recv(65536)):
                answer += data
    code = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
    return code, answer, sent


def _arrived(connection: ssl.SSLSocket) -> bytes:
    """What is there to read now."""
    if not select.select([connection], [], [], 0)[0]:
        return b""
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        return connection.recv(65536)
    except ssl.SSLWantReadError:
        return b""  # TLS had something to say, not HTTP
    finally:
        connection.settimeout(timeout)


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(separator) and bool(lengths) and len(body) >= int(lengths[0].partition(b":")[2])


def body_of(answer: bytes) -> Any:
    """The JSON in an answer as it came over the wire."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])

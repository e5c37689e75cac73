"""What uvicorn can do at best here: a bare ASGI application that sends bytes it was given, behind the same TLS.

``PUT /x`` keeps a body, ``GET /x`` sends it at once, ``GET /x?chunked`` in chunks, ``POST /x`` sends it back,
``GET /x?watch`` streams whatever is PUT from then on. Run by itself: ``python -m tests.bench.baseline FOLDER``.
"""

import asyncio
import base64
import contextlib
import datetime as dt
import ipaddress
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.bench.client import Pool
from tests.bench.kubeconfig import Target, load_kubeconfig
from tests.e2e.real_server import REPOSITORY, Lines

CHUNK_BYTES = 65_536
START_SECONDS = 60.0
QUEUED_EVENTS = 10_000
READY = "baseline is ready"
HEADERS = [(b"content-type", b"application/json")]


class Application:
    """The ASGI application. Routing is one look at the path, as little as can be done."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._watchers: set[asyncio.Queue[bytes]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "GET":
            body = self._bodies.get(scope["path"], b"{}")
            if scope["query_string"] == b"watch":
                await self._watch(receive, send)
            elif scope["query_string"] == b"chunked":
                await self._chunks(body, send)
            else:
                await _answer(send, body)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["method"] == "PUT":
            self._bodies[scope["path"]] = body
            for watcher in self._watchers:
                watcher.put_nowait(body)
        await _answer(send, body if scope["method"] == "POST" else b"{}")

    async def _chunks(self, body: bytes, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        for start in range(0, len(body), CHUNK_BYTES):
            part = body[start : start + CHUNK_BYTES]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _watch(self, receive: Any, send: Any) -> None:
        events: asyncio.Queue[bytes] = asyncio.Queue(QUEUED_EVENTS)
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        self._watchers.add(events)
        sending = asyncio.create_task(_stream(events, send))
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._watchers.discard(events)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _stream(events: asyncio.Queue[bytes], send: Any) -> None:
    while True:
        await send({"type": "http.response.body", "body": await events.get(), "more_body": True})


async def _answer(send: Any, body: bytes) -> None:
    headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Baseline(NamedTuple):
    """The running baseline; ``start_seconds`` is from starting the process to its being ready."""

    target: Target
    pool: Pool
    kubeconfig: Path
    start_seconds: float


@contextlib.asynccontextmanager
async def run_baseline(folder: Path, connections: int) -> AsyncIterator[Baseline]:
    """The baseline in a process of its own, until the block is left."""
    began = time.perf_counter()
    with _process(folder) as process:
        seconds = time.perf_counter() - began
        target = load_kubeconfig(folder / "kubeconfig", process.pid)
        async with Pool(target, connections) as pool:
            yield Baseline(target, pool, folder / "kubeconfig", seconds)


@contextlib.contextmanager
def _process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.bench.baseline", str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            Lines(process.stdout).until(lambda line: READY in line, START_SECONDS)
            yield process
        finally:
            process.kill()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback address, of the kind that the server makes for itself."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "baseline")]),
    )
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    paths = folder / "baseline.crt", folder / "baseline.key"
    paths[0].write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return paths


def _write_kubeconfig(folder: Path, port: int, certificate: bytes) -> None:
    cluster = {"server": f"https://127.0.0.1:{port}"}
    cluster["certificate-authority-data"] = base64.b64encode(certificate).decode()
    content = {
        "clusters": [{"name": "baseline", "cluster": cluster}],
        "contexts": [{"name": "baseline", "context": {"cluster": "baseline", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(content))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, folder: Path, certificate: Path) -> None:
        super().__init__(config)
        self._folder, self._certificate = folder, certificate

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        _write_kubeconfig(self._folder, port, self._certificate.read_bytes())
        print(READY, flush=True)  # noqa: T201 -- the parent waits for it


def main() -> None:
    folder = Path(sys.argv[1])
    certificate, key = _certificate(folder)
    config = uvicorn.Config(
        Application(),
        port=0,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=2_048,
        timeout_keep_alive=75,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
    )
    _Server(config, folder, certificate).run()


if __name__ == "__main__":
    main()

"""A server as its users run it: a process of its own, reached over TLS with what is in its kubeconfig."""

import base64
import contextlib
import json
import os
import queue
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx
import yaml

REPOSITORY = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "kcpcache")
READY_SECONDS = 60.0
GRACE_SECONDS = 10.0
_READY = re.compile(r"is ready at (https://\S+)")
_ALARMING = re.compile(r'"level": ?"(error|critical)"|Traceback')


class Line(NamedTuple):
    """A line of text (None: there are no more), and when it was read, on ``time.monotonic``."""

    text: str | None
    at: float


class Lines:
    """Lines that a thread of their own reads as they come; whoever asks for one says how long to wait."""

    def __init__(self, source: Iterable[str]) -> None:
        self._source = source
        self._queue: queue.Queue[Line] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        # Closing the source under the reader is how a watch is ended.
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError, ValueError, OSError):
            for line in self._source:
                self._queue.put(Line(line.rstrip("\n"), time.monotonic()))
        self._queue.put(Line(None, time.monotonic()))

    def next(self, timeout: float = 10.0) -> Line:
        """The next line. Fails where none comes in time."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no line within {timeout} s") from None

    def until(self, wanted: Callable[[str], bool], timeout: float = 10.0) -> Line:
        """The next line that is wanted; those before it are dropped. Fails at the end and after ``timeout``."""
        deadline, seen = time.monotonic() + timeout, []
        while (line := self.next(max(0.0, deadline - time.monotonic()))).text is not None:
            if wanted(line.text):
                return line
            seen.append(line.text)
        raise AssertionError(f"it ended without the line that was wanted, after {seen}")

    def rest(self, timeout: float = 10.0) -> list[str]:
        """All lines to the end."""
        deadline, found = time.monotonic() + timeout, []
        while (line := self.next(max(0.0, deadline - time.monotonic()))).text is not None:
            found.append(line.text)
        return found

    def join(self) -> None:
        """Wait for the reader, whose source is closed."""
        self._thread.join(5)


class Watch:
    """An open watch, event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = Lines(response.iter_lines())

    def next(self, timeout: float = 10.0) -> tuple[str, dict[str, Any], float]:
        """The next event: its type, its object and when it came (``time.monotonic``). Fails where none comes."""
        line = self._lines.next(timeout)
        assert line.text is not None, "the watch ended"
        event = json.loads(line.text)
        return event["type"], event["object"], line.at

    def names(self, count: int, timeout: float = 10.0) -> list[tuple[str, str]]:
        """The next ``count`` events as (type, name)."""
        found = [self.next(timeout)[:2] for _ in range(count)]
        return [(kind, obj["metadata"]["name"]) for kind, obj in found]

    def rest(self, timeout: float = 10.0) -> list[dict[str, Any]]:
        """What still comes until the server ends it."""
        return [json.loads(text) for text in self._lines.rest(timeout)]

    def join(self) -> None:
        """Wait for the reader."""
        self._lines.join()


class Server:
    """A running process. ``root_dir`` holds its data, ``log`` what it wrote to stderr."""

    def __init__(self, process: subprocess.Popen[str], root_dir: Path, log: Path, url: str) -> None:
        self.process, self.root_dir, self.log, self.url = process, root_dir, log, url
        self.kubeconfig = root_dir / "admin.kubeconfig"
        self.port = int(url.rpartition(":")[2])

    @contextlib.contextmanager
    def client(
        self, user: str | None = "kcp-admin", *, token: str | None = None, certificate: tuple[Path, Path] | None = None
    ) -> Iterator[httpx.Client]:
        """HTTP as a user of the kubeconfig, as the owner of a token or certificate, or (``user=None``) as nobody."""
        context = ssl.create_default_context(cadata=self.authority())
        if certificate is not None:
            context.load_cert_chain(*certificate)
        elif token is None and user is not None:
            context.load_cert_chain(self.user_pem(user))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(base_url=self.url, verify=context, headers=headers, timeout=20, trust_env=False) as client:
            yield client

    def authority(self) -> str:
        """The certificate of the CA that the kubeconfig trusts, PEM."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        return base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()

    def user_pem(self, name: str) -> Path:
        config = yaml.safe_load(self.kubeconfig.read_text())
        user = next(found["user"] for found in config["users"] if found["name"] == name)
        path = self.log.parent / f"{name}.pem"
        parts = (user["client-certificate-data"], user["client-key-data"])
        path.write_bytes(b"\n".join(base64.b64decode(part) for part in parts))
        return path

    @contextlib.contextmanager
    def watch(self, path: str, resource_version: str | None = None, **client: Any) -> Iterator[Watch]:
        """An open watch of a collection, from after ``resource_version`` on."""
        query = {"watch": "1"} | ({"resourceVersion": resource_version} if resource_version is not None else {})
        with self.client(**client) as http, http.stream("GET", path, params=query, timeout=60) as response:
            if response.status_code != httpx.codes.OK:
                raise AssertionError(f"{response.status_code} {response.read()!r}")
            watch = Watch(response)
            try:
                yield watch
            finally:
                _shut_down(response)
                watch.join()

    def terminate(self) -> int:
        """SIGTERM; the exit code. Fails where it takes longer than it may."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(GRACE_SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def complaints(self) -> list[str]:
        """Lines of the log that no healthy server writes."""
        return [line for line in self.log.read_text().splitlines() if _ALARMING.search(line)]


def _shut_down(response: httpx.Response) -> None:
    """End the connection under a reader that waits in another thread."""
    stream = response.extensions["network_stream"]
    with contextlib.suppress(OSError):
        stream.get_extra_info("socket").shutdown(2)


def command(*arguments: object) -> list[str]:
    """The command line of the program."""
    return [*PROGRAM, *map(str, arguments)]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the program: nothing of the caller's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KCPCACHE_")} | dict(more or {})


@contextlib.contextmanager
def start_server(
    root_dir: Path,
    *flags: object,
    port: int = 0,
    environ: Mapping[str, str] | None = None,
    program: Sequence[object] = PROGRAM,
) -> Iterator[Server]:
    """``kcpcache start`` until it says that it is ready; ended, and its log looked at, when the block is left."""
    log = root_dir.with_name(f"{root_dir.name}.log")
    arguments = [str(word) for word in (*program, "start", "--root-dir", root_dir, "--port", port, *flags)]
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            arguments, cwd=root_dir.parent, env=environment(environ), stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    with process:
        try:
            server = Server(process, root_dir, log, ready_url(process.stdout, log))
            yield server
            if process.poll() is None:
                assert server.terminate() == 0
            assert not server.complaints()
        finally:
            if process.poll() is None:
                process.kill()


def ready_url(stdout: IO[str] | None, log: Path) -> str:
    """The address that a server prints once it is ready. Fails with its log where it does not get so far."""
    assert stdout is not None
    try:
        line = Lines(stdout).until(lambda text: _READY.search(text) is not None, READY_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"the server did not get ready: {error}; its log: {log.read_text()}") from None
    found = _READY.search(line.text or "")
    assert found is not None
    return found[1]


def eventually(check: Callable[[], Any], timeout: float = 10.0) -> Any:
    """The first true result of ``check``; asks again and again, and fails after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {timeout} s; it is {found!r}"
        time.sleep(0.05)
    return found

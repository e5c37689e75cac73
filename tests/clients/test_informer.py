"""P4, P6: informers whose connections break at random hold in the end what the server holds; nothing missed or doubled.

With 10,000 objects; ``KCPCACHE_INFORMER_OBJECTS`` says how many if it should be others.
"""

import contextlib
import os
import random
import ssl
import threading
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from itertools import repeat
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_world import Workspace, workspace_at
from fragile_port import FragilePort, fragile_port
from raw_informer import Informer
from real_server import Server, eventually

OBJECTS = int(os.environ.get("KCPCACHE_INFORMER_OBJECTS", "10000"))
WRITERS, FILLERS, SECONDS = 4, 32, 5.0
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class Writer:
    """Creates, changes and deletes ConfigMaps of its own at random, until it is told to stop."""

    def __init__(self, http: httpx.Client, path: str, number: int) -> None:
        self._http, self._path, self._number = http, path, number
        self._random = random.Random(number)
        self._names: list[str] = []
        self._made = 0
        self.writes = 0

    def owns(self, count: int) -> list[str]:
        """Names of so many objects, which are taken to be there."""
        return [self._named() for _ in range(count)]

    def write(self, stop: threading.Event) -> None:
        """Write until then."""
        while not stop.is_set():
            chance = self._random.random()
            if chance < 0.2 or not self._names:
                self._create()
            elif chance < 0.8:
                name = self._random.choice(self._names)
                body = {"data": {"a": str(self.writes), "of": "x" * self._random.randrange(200)}}
                assert self._http.patch(f"{self._path}/{name}", json=body, headers=MERGE_PATCH).is_success
            else:
                name = self._names.pop(self._random.randrange(len(self._names)))
                assert self._http.delete(f"{self._path}/{name}").is_success
                if chance > 0.95:
                    self._create(name)
            self.writes += 1

    def _create(self, name: str = "") -> None:
        name = self._named(name)
        response = self._http.post(self._path, json={"metadata": {"name": name}, "data": {"a": "0"}})
        assert response.is_success, response.text

    def _named(self, name: str = "") -> str:
        name = name or f"of-{self._number}-{self._made}"
        self._made += 1
        self._names.append(name)
        return name


def in_threads(*work: Any) -> list[threading.Thread]:
    """Start each of these tuples of a function and its arguments."""
    threads = [threading.Thread(target=function, args=arguments) for function, *arguments in work]
    for thread in threads:
        thread.start()
    return threads


def fill(connection: HTTPSConnection, path: str, names: list[str]) -> None:
    """Create these objects one after another; many do so at once, so that the server commits many at a time."""
    for name in names:
        body = f'{{"metadata": {{"name": "{name}"}}, "data": {{"a": "0"}}}}'
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == httpx.codes.CREATED, answer.read()
        answer.read()
    connection.close()


@pytest.fixture(scope="module")
def crowd(server: Server, workspace: Workspace) -> Iterator[list[Writer]]:
    """Writers, and the objects that are there before anyone watches."""
    path = f"/clusters/{workspace.path}/api/v1/namespaces/default/configmaps"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(WRITERS)]
        writers = [Writer(http, path, number) for number, http in enumerate(clients)]
        names = [name for writer in writers for name in writer.owns(OBJECTS // WRITERS)]
        context = ssl.create_default_context(cadata=server.authority())
        context.load_cert_chain(server.user_pem("kcp-admin"))
        connections = [HTTPSConnection("127.0.0.1", server.port, context=context) for _ in range(FILLERS)]
        shares = [names[place::FILLERS] for place in range(FILLERS)]
        for thread in in_threads(*((fill, *share) for share in zip(connections, repeat(path), shares, strict=False))):
            thread.join()
        assert len(listed(clients[0], path)[0]) == len(names)
        yield writers


@pytest.fixture
def port(server: Server) -> Iterator[FragilePort]:
    with fragile_port(server.port) as port:
        yield port


def listed(http: httpx.Client, path: str) -> tuple[dict[str, Any], int]:
    """What the server holds, by name, and as of which revision."""
    found = http.get(path).raise_for_status().json()
    return {obj["metadata"]["name"]: obj for obj in found["items"]}, int(found["metadata"]["resourceVersion"])


@pytest.mark.parametrize("streaming", [False, True], ids=["list", "sendInitialEvents"])
def test_informers_whose_connections_break_hold_what_the_server_holds(
    server: Server, workspace: Workspace, crowd: list[Writer], port: FragilePort, tmp_path: Path, streaming: bool
):
    chance = random.Random(7)
    url = workspace_at(server, workspace.path, tmp_path, port.port).url
    path = f"{url}/api/v1/namespaces/default/configmaps"
    own = f"/clusters/{workspace.path}/api/v1/namespaces/default/configmaps"
    before = sum(writer.writes for writer in crowd)
    stop = threading.Event()
    with contextlib.ExitStack() as stack, server.client() as http:
        informers = [Informer(stack.enter_context(server.client()), path, streaming=streaming) for _ in range(3)]
        writing = in_threads(*((writer.write, stop) for writer in crowd))
        for informer in informers:
            informer.start()
        for informer in informers:
            assert informer.synced.wait(30)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            stop.wait(chance.uniform(0.05, 0.5))
            port.cut()
        stop.set()
        for thread in writing:
            thread.join()
        # A last write, behind which everything before it has come.
        assert http.post(own, json={"metadata": {"name": f"last-{streaming:d}"}}).is_success
        held, revision = listed(http, own)
        for informer in informers:
            eventually(lambda informer=informer: informer.position >= revision, 20)
        for informer in informers:
            informer.stop()
        port.cut()
        for informer in informers:
            informer.join()
    assert sum(writer.writes for writer in crowd) - before > 100
    for informer in informers:
        assert informer.complaints == []
        assert {name: seen.obj for name, seen in informer.cache.items()} == held
        assert informer.resumes > 3
        assert informer.events > 100


def test_a_resumed_watch_of_every_cut_tells_each_write_exactly_once(
    server: Server, workspace: Workspace, port: FragilePort, tmp_path: Path
):
    """The stricter form: one object, every revision that its writer was told is seen, in order, across the cuts."""
    url = workspace_at(server, workspace.path, tmp_path, port.port).url
    secrets = "/api/v1/namespaces/default/secrets"
    told: list[int] = []
    seen: list[int] = []
    with server.client() as through, server.client() as http, server.client() as writer:
        position = http.get(f"/clusters/{workspace.path}{secrets}").json()["metadata"]["resourceVersion"]

        def write(count: int) -> None:
            for number in range(count):
                body = {"metadata": {"name": f"one-{number}"}, "stringData": {"a": str(number)}}
                made = writer.post(f"/clusters/{workspace.path}{secrets}", json=body).json()
                told.append(int(made["metadata"]["resourceVersion"]))

        (thread,) = in_threads((write, 300))
        cuts = 0
        deadline = time.monotonic() + 30
        while len(seen) < 300 and time.monotonic() < deadline:
            query = {"watch": "1", "resourceVersion": position, "timeoutSeconds": "5"}
            with (
                contextlib.suppress(httpx.TransportError),
                through.stream("GET", f"{url}{secrets}", params=query) as answer,
            ):
                for line in answer.iter_lines():
                    metadata = httpx.Response(200, content=line).json()["object"]["metadata"]
                    position = metadata["resourceVersion"]
                    seen.append(int(position))
                    if len(seen) % 20 == 0:
                        port.cut()
                        cuts += 1
        thread.join()
    assert seen == told
    assert cuts == 15

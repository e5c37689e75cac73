"""A process that stands still, like a suspended machine: nothing is done twice, nothing is missed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from real_server import Server, command, environment, start_server

STOPPED_SECONDS = float(os.environ.get("KCPCACHE_STOPPED_SECONDS", "3"))
MAPS = "/api/v1/namespaces/default/configmaps"


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """SIGSTOP, and SIGCONT no sooner than after ``STOPPED_SECONDS``."""
    until = time.monotonic() + STOPPED_SECONDS
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
        time.sleep(max(0.0, until - time.monotonic()))
    finally:
        server.process.send_signal(signal.SIGCONT)


def made(http: httpx.Client, name: str) -> int:
    """Create a ConfigMap; its resourceVersion."""
    response = http.post(MAPS, json={"metadata": {"name": name}}, timeout=STOPPED_SECONDS + 20)
    assert response.status_code == httpx.codes.CREATED, response.text
    return int(response.json()["metadata"]["resourceVersion"])


def second(root_dir: Path) -> str:
    """What another process says that is started on the same directory."""
    arguments = command("start", "--root-dir", root_dir, "--port", 0)
    ran = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 1
    return ran.stderr


def test_a_process_that_stood_still_goes_on_where_it_was_and_nobody_took_its_place(tmp_path: Path):
    with start_server(tmp_path / "root") as server, server.client() as http, server.client() as other:
        versions = [made(http, "before")]
        with server.watch(MAPS, str(versions[0])) as watch, ThreadPoolExecutor(1) as thread:
            with stopped(server):
                meanwhile = thread.submit(made, other, "meanwhile")
                assert "in use by another process" in second(server.root_dir)
                assert not meanwhile.done()
            versions.append(meanwhile.result(timeout=20))
            versions.append(made(http, "after"))
            assert watch.names(2) == [("ADDED", "meanwhile"), ("ADDED", "after")]
        assert versions == sorted(set(versions))
        assert http.post(MAPS, json={"metadata": {"name": "meanwhile"}}).status_code == httpx.codes.CONFLICT
        assert http.get("/readyz").text == "ok"
        with server.watch(MAPS, str(versions[0])) as watch:
            assert watch.names(2) == [("ADDED", "meanwhile"), ("ADDED", "after")]

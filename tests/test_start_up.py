"""What a start must not wait for, nor hold in memory, before it is needed."""

import subprocess
import sys

HEAVY = {"cel_expr_python", "google.protobuf", "httpx", "jsonschema_rs", "prometheus_client", "rich"}


def test_the_server_is_imported_without_what_only_some_requests_need():
    program = "import kcpcache.logs, kcpcache.server, sys; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(answer.stdout.split())
    assert "kcpcache.server" in loaded
    assert not HEAVY & loaded


def test_a_server_that_has_started_has_needed_no_expressions():
    program = """
import asyncio, sys, tempfile
from pathlib import Path
from kcpcache.config import Settings
from kcpcache.server import Server

async def main():
    ready = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Settings(root_dir=Path(folder) / "root", port=0), lambda *_: ready.set())
        running = asyncio.create_task(server.run())
        await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        print(ready.is_set(), *sys.modules)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

asyncio.run(main())
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ready, *loaded = answer.stdout.split()
    assert ready == "True"
    assert not {"cel_expr_python", "google.protobuf"} & set(loaded)

"""What a start must not wait for, nor hold in memory, before it is needed."""

import subprocess
import sys

HEAVY = {"cel_expr_python", "google.protobuf", "httpx", "jsonschema_rs", "prometheus_client", "rich"}
STARTED_WITHOUT = {
    "cel_expr_python",
    "google.protobuf",
    "httpx",
    "jsonschema_rs",
    "prometheus_client",
    "pydantic.v1",
    "rich",
    "websockets",
}


def test_the_server_is_imported_without_what_only_some_requests_need():
    program = "import kcpcache.logs, kcpcache.server, sys; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(answer.stdout.split())
    assert "kcpcache.server" in loaded
    assert not HEAVY & loaded


def test_a_server_starts_without_what_only_some_requests_need_and_without_a_look_for_garbage():
    program = """
import gc, os, signal, sys, tempfile
from pathlib import Path
from kcpcache.cli import start
from kcpcache.config import Settings

def collections():
    return sum(generation["collections"] for generation in gc.get_stats())

def announce(*_):
    print(collections() - before, gc.isenabled(), *sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)

with tempfile.TemporaryDirectory() as folder:
    settings = Settings(root_dir=Path(folder) / "root", port=0)
    start._announce = announce
    gc.collect()
    before = collections()
    start._start(settings)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    collections, enabled, *loaded = answer.stdout.split()
    assert (collections, enabled) == ("0", "True")
    assert "kcpcache.server" in loaded
    assert not STARTED_WITHOUT & set(loaded)

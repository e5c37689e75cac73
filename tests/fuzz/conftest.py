"""One server per module, and proof at its end that nothing it was sent made it write an error to its log."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from hostile import API, crd, established
from real_server import Server, start_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in whose root workspace there is one CRD; leaving it fails where its log has an error or traceback."""
    with start_server(tmp_path_factory.mktemp("server") / "root") as server:
        with server.client() as http:
            assert http.post(f"{API}/customresourcedefinitions", json=crd("things")).is_success
            established(http, "things")
        yield server


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client

"""One server and one kubectl per module, unless a test wants its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_kubectl import Kubectl, kubectl_binary
from real_server import Server, start_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server") / "root") as server:
        yield server


@pytest.fixture(scope="module")
def kubectl(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(kubectl_binary(), server, tmp_path_factory.mktemp("kubectl"))

"""One server per module, reached by clients that other projects wrote; what starts it is shared with tests/e2e."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from client_world import Shared, Workspace, make_workspace, share_flavors
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
def workspace(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace ``root:ws``, empty, and a kubeconfig for it."""
    return make_workspace(server, "ws", tmp_path_factory.mktemp("ws"))


@pytest.fixture(scope="module")
def shared(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A consumer's workspace with flavors that are a provider's objects, seen through the cache."""
    home = tmp_path_factory.mktemp("shared")
    return share_flavors(server, Kubectl(kubectl_binary(), server, home / "kubectl"), home)

"""One server and one kubectl per module, unless a test wants its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_kubectl import MISSING, Kubectl, installed_kubectls, kubectl_binary
from real_server import Server, start_server

WITH_KUBECTL = {"kubectl", "story"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Skipped here, the tests of a file share one line of the summary; in CI each of them fails by itself.
    skipped = not installed_kubectls() and not os.environ.get("CI")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if skipped and not WITH_KUBECTL.isdisjoint(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(MISSING))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server") / "root") as server:
        yield server


@pytest.fixture(scope="module")
def kubectl(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(kubectl_binary(), server, tmp_path_factory.mktemp("kubectl"))

"""The commands that talk to a running server, as their users see them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cloud_co import EXAMPLE
from real_server import Server, start_server
from typer.testing import CliRunner

from kcpcache.cli.app import app

TOKENS = 'alice-token,alice,alice-uid,"system:authenticated"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("server")
    (root / "tokens.csv").write_text(TOKENS)
    with start_server(root / "root", "--token-auth-file", root / "tokens.csv") as server:
        yield server


@pytest.fixture(autouse=True)
def surroundings(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def kcpcache(*words: object, code: int = 0) -> str:
    """What a command printed, errors included; fails where it ends otherwise."""
    ran = CliRunner().invoke(app, [str(word) for word in words])
    assert ran.exit_code == code, f"{words}: exit {ran.exit_code}\n{ran.output}\n{ran.exception!r}"
    return ran.output


def make_workspace(server: Server, name: str, **labels: str) -> None:
    made = {"metadata": {"name": name, "labels": labels}, "spec": {"type": {"name": "universal", "path": "root"}}}
    collection = "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces"
    with server.client() as client:
        assert client.post(collection, json=made).is_success
        while client.get(f"{collection}/{name}").json().get("status", {}).get("phase") != "Ready":
            pass


def test_the_demo_tells_the_whole_story_twice_and_cleans_up(server: Server):
    told = kcpcache("demo")
    assert kcpcache("demo").count("mem-xlarge") == told.count("mem-xlarge")
    lines = [line.strip() for line in told.splitlines()]
    assert [line[0] for line in lines if line[1:3] == ". "] == [str(number) for number in range(1, 9)]
    assert "cpuflavors-v1: 3 selected, 3 in the cache" in lines
    assert "memflavors-v1: 2 selected, 2 in the cache" in lines
    bound = lines.index("root:demo:consumer sees memflavors:")
    assert [line.split()[0] for line in lines[bound + 1 : bound + 4]] == ["NAME", "mem-large", "mem-medium"]
    assert "root:demo:consumer tries to delete mem-large: 405" in lines
    assert "web    cpu-small   mem-medium           0s" in told
    shown = kcpcache("status")
    assert "workspaces  4 (4 Ready)" in shown
    seen = json.loads(kcpcache("status", "--json"))
    rows = {row["name"]: row for row in seen["cachedResources"]}
    assert rows["memflavors-v1"]["workspace"] == "root:demo:provider"
    assert (rows["memflavors-v1"]["local"], rows["memflavors-v1"]["cache"]) == (3, 3)
    assert rows["memflavors-v1"]["problems"] == []
    assert rows["memflavors-v1"]["waiting_seconds"] is not None
    # Without the right to see all at once, it is the same from workspace to workspace.
    walked = json.loads(kcpcache("status", "--json", "--context", "root"))
    assert walked["workspaces"] == seen["workspaces"]
    assert [row["name"] for row in walked["cachedResources"]] == [row["name"] for row in seen["cachedResources"]]
    assert kcpcache("demo", "--clean") == kcpcache("demo", "--clean") == "workspace root:demo and all in it are gone\n"
    assert list(json.loads(kcpcache("status", "--json"))["workspaces"]) == ["root"]


def test_a_watched_status_is_renewed_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch):
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("kcpcache.cli.status.time.sleep", sleep)
    kcpcache("status", "--watch", "--interval", "5", code=130)
    assert looks == [5.0, 5.0, 5.0]


def test_the_demo_leaves_a_workspace_of_that_name_alone(server: Server):
    make_workspace(server, "demo")
    try:
        assert "is there already, and not this demo's" in kcpcache("demo", code=1)
        assert "is not this demo's: it was left as it is" in kcpcache("demo", "--clean", code=1)
    finally:
        with server.client() as client:
            client.delete("/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces/demo")


def test_an_import_finds_its_order_and_goes_on_where_it_was_stopped(server: Server, tmp_path: Path):
    make_workspace(server, "imported")
    tree = tmp_path / "tree"
    tree.mkdir()
    for number, name in enumerate(("04-memflavors", "02-memflavors-crd")):  # the definition comes after its objects
        (tree / f"{number}.yaml").write_text((EXAMPLE / "provider" / f"{name}.yaml").read_text())
    in_namespace = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "later"},
        "data": {},
    }
    (tree / "0-config.json").write_text(json.dumps(in_namespace))
    bad = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not A Name"}}
    (tree / "bad.yaml").write_text(yaml.safe_dump(bad))
    failed = kcpcache("import", tree, "--workspace", "root:imported", code=1)
    assert "2 of 6 objects could not be applied" in failed
    assert "ConfigMap c" in failed
    assert 'namespaces "later" not found' in failed
    (tree / "bad.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: later}}")
    done = kcpcache("import", tree, "--workspace", ":root:imported")
    assert "4 of 6 objects were done before" in done
    assert "applied 2 objects to root:imported" in done
    assert "applied 6 objects to root:imported" in kcpcache("import", tree, "--workspace", "root:imported")
    with server.client() as client:
        at = "/clusters/root:imported/apis/cloud.example.com/v1/memflavors"
        assert len(client.get(at).json()["items"]) == 3


def test_what_cannot_be_imported_is_told(tmp_path: Path):
    assert "holds no manifests" in kcpcache("import", tmp_path, code=1)
    (tmp_path / "a.yaml").write_text("kind: x")
    assert "holds something without apiVersion and kind" in kcpcache("import", tmp_path, code=1)
    (tmp_path / "a.yaml").write_text("{apiVersion: x.io/v1, kind: X, metadata: {name: x}}")
    assert "root serves no X in x.io/v1" in kcpcache("import", tmp_path, code=1)
    assert "say which with --workspace" in kcpcache("import", tmp_path, "--context", "base", code=1)


def test_a_server_or_kubeconfig_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert 'context "x" does not exist' in kcpcache("status", "--context", "x", code=1)
    assert "does not exist" in kcpcache("status", "--kubeconfig", "missing", code=1)
    config = {
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x"}}],
        "current-context": "x",
    }
    (tmp_path / ".kcpcache").mkdir()
    (tmp_path / ".kcpcache" / "admin.kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.delenv("KUBECONFIG")
    refused = kcpcache("status", code=1)
    assert "was refused" in refused
    assert "is it started? kcpcache start" in refused


def test_a_server_in_order_passes_the_doctors_examination(server: Server):
    kcpcache("demo")
    found = kcpcache("doctor", "--root-dir", server.root_dir, "--verbose")
    assert "0 errors, 0 warnings" in found
    assert "copies of root:demo:provider/memflavors-v1: 3 copies are what their originals are" in found
    assert "orphans: every copy belongs to a CachedResource" in found
    assert "not looked at: that needs system:masters" in kcpcache(
        "doctor", "--context", "root", "--root-dir", server.root_dir
    )
    kcpcache("demo", "--clean")

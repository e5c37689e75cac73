"""kcp's own example for virtual resources, verbatim, from provider to consumer."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from real_kubectl import Kubectl, installed_kubectls, kubectl_binary
from real_server import REPOSITORY, Server, start_server

EXAMPLE = REPOSITORY.parent / "shared" / "examples" / "virtualresources"
PROVIDER, CONSUMER = "root:provider", "root:consumer"
IDENTITY_HASH = "676a1a997f7507fdfcfd1fcf35920efdff1297cd215cad4f486220c30a5c7090"
LABELLED = ["analytics-1", "analytics-2", "analytics-3", "analytics-4", "analytics-5", "database-1", "web-server-1"]
BINDING = """
apiVersion: apis.kcp.io/v1alpha2
kind: APIBinding
metadata: {name: virtualmachines}
spec: {reference: {export: {path: root:provider, name: virtualmachines}}}
"""
NEW_INSTANCE = """
apiVersion: machines.svm.io/v1alpha1
kind: Instance
metadata: {name: mine, labels: {app.kubernetes.io/part-of: instances}}
spec: {instanceType: small, name: mine, tier: basic}
"""


class Story(NamedTuple):
    """The example, applied and bound."""

    server: Server
    kubectl: Kubectl


def the_example() -> Path:
    """Where the example is; it is not part of this project. CI has it."""
    if not EXAMPLE.is_dir():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"kcp's example is not here: {EXAMPLE} is missing")
    return EXAMPLE


@pytest.fixture(scope="module", params=list(installed_kubectls()) or [None])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder, binary = the_example(), kubectl_binary(request.param)
    with start_server(tmp_path_factory.mktemp("server") / "root") as server:
        kubectl = Kubectl(binary, server, tmp_path_factory.mktemp("kubectl"))
        kubectl.workspaces("provider", "consumer")
        kubectl(PROVIDER, "apply", "-f", folder / "crd-instances.yaml")
        kubectl(PROVIDER, "wait", "--for=condition=Established", "crd/instances.machines.svm.io", "--timeout=10s")
        files = ("instances", "cached-resource-identity", "cached-resource-instances", "apiresourceschema-instances")
        more = ("apiresourceschema-virtualmachine", "apiexport")
        kubectl(PROVIDER, "apply", *(f"--filename={folder / name}.yaml" for name in (*files, *more)))
        phase = "--for=jsonpath={.status.phase}=Ready"
        kubectl(PROVIDER, "wait", phase, "cachedresource/instances", "--timeout=10s")
        kubectl(CONSUMER, "create", "-f", "-", stdin=BINDING)
        kubectl(CONSUMER, "wait", "--for=condition=Ready", "apibinding/virtualmachines", "--timeout=10s")
        yield Story(server, kubectl)


def essence(obj: dict[str, Any]) -> dict[str, Any]:
    """What a consumer sees of an object as its provider made it: all but where it is and which version it has."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in {"resourceVersion", "managedFields"}}
    annotations = {key: text for key, text in metadata["annotations"].items() if key != "kcp.io/cluster"}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def test_the_cached_resource_is_ready_with_the_known_identity_and_all_copies(story: Story):
    found = story.kubectl.json(PROVIDER, "cachedresource", "instances")
    status = found["status"]
    assert status["phase"] == "Ready"
    assert status["identityHash"] == IDENTITY_HASH
    assert status["resourceCounts"] == {"local": 7, "cache": 7}
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "IdentityValid": "True",
        "ResourceValid": "True",
        "ReplicationStarted": "True",
    }
    assert found["metadata"]["annotations"]["kcp.io/path"] == PROVIDER
    wide = story.kubectl(PROVIDER, "get", "cachedresources", "-o", "wide").split()
    assert wide[:6] == ["NAME", "RESOURCE", "AGE", "PHASE", "LOCAL", "CACHE"]
    assert [wide[6], wide[7], *wide[9:]] == ["instances", "instances", "Ready", "7", "7"]


def test_the_consumer_sees_exactly_the_labelled_instances_as_the_provider_made_them(story: Story):
    printed = story.kubectl(CONSUMER, "get", "instances.machines.svm.io").splitlines()
    assert [line.split()[0] for line in printed] == ["NAME", *LABELLED]
    seen = story.kubectl.json(CONSUMER, "instances.machines.svm.io")["items"]
    made = story.kubectl.json(PROVIDER, "inst", "-l", "app.kubernetes.io/part-of=instances")["items"]
    assert [essence(obj) for obj in seen] == [essence(obj) for obj in made]
    clusters = {obj["metadata"]["annotations"]["kcp.io/cluster"] for obj in seen}
    assert clusters == {story.kubectl.json("root", "workspace", "consumer")["spec"]["cluster"]}
    assert "NotFound" in story.kubectl.refused(CONSUMER, "get", "inst", "not-analytics")


def test_the_consumer_can_explain_select_and_print_the_instances(story: Story):
    explained = story.kubectl(CONSUMER, "explain", "instances.spec")
    assert "InstanceSpec holds the desired state of the Instance." in explained
    assert "The tier of the instance (e.g. basic, premium)" in explained
    text = story.kubectl(CONSUMER, "get", "inst", "web-server-1", "-o", "yaml")
    assert "instanceType: small\n" in text
    assert "cache.kcp.io/" not in text
    assert "kcp.io/shard" not in text
    assert story.kubectl.names(CONSUMER, "inst", "-l", "app.kubernetes.io/part-of!=instances") == []
    assert story.kubectl.names(CONSUMER, "inst", "-l", "app.kubernetes.io/part-of in (instances)") == LABELLED
    assert story.kubectl.names(CONSUMER, "inst", "--field-selector=metadata.name=database-1") == ["database-1"]
    resources = story.kubectl(CONSUMER, "api-resources", "--api-group=machines.svm.io", "-o", "wide").splitlines()
    verbs = {line.split()[0]: line for line in resources}["instances"]
    assert "get" in verbs
    assert "watch" in verbs
    assert "create" not in verbs
    assert "delete" not in verbs


def test_no_write_of_the_consumer_gets_through(story: Story, tmp_path: Path):
    kubectl = story.kubectl

    def both_sides() -> list[Any]:
        return [kubectl.json(workspace, "instances.machines.svm.io")["items"] for workspace in (PROVIDER, CONSUMER)]

    before = both_sides()
    changed = tmp_path / "changed.json"
    mine = kubectl.json(CONSUMER, "inst", "web-server-1")
    changed.write_text(json.dumps({**mine, "spec": {**mine["spec"], "tier": "premium"}}))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i "s/tier: basic/tier: premium/" "$@"\n')
    editor.chmod(0o755)
    writes: list[tuple[tuple[object, ...], dict[str, Any]]] = [
        (("create", "-f", "-"), {"stdin": NEW_INSTANCE}),
        (("apply", "-f", "-"), {"stdin": NEW_INSTANCE}),
        (("apply", "-f", changed), {}),
        (("apply", "--server-side", "--force-conflicts", "-f", "-"), {"stdin": NEW_INSTANCE}),
        (("replace", "-f", changed), {}),
        (("edit", "inst", "web-server-1"), {"env": {"KUBE_EDITOR": str(editor), "TMPDIR": str(tmp_path)}}),
        (("label", "inst", "web-server-1", "mine=yes"), {}),
        (("annotate", "inst", "web-server-1", "mine=yes"), {}),
        (("patch", "inst", "web-server-1", "--type=merge", "-p", '{"spec":{"tier":"premium"}}'), {}),
        (("delete", "inst", "web-server-1"), {}),
        (("delete", "inst", "--all"), {}),
    ]
    with ThreadPoolExecutor(4) as pool:
        refusals = list(pool.map(lambda write: kubectl.refused(CONSUMER, *write[0], **write[1]), writes))
    assert [text for text in refusals if "read-only" not in text] == []
    assert both_sides() == before


def test_a_watch_of_the_consumer_follows_the_provider(story: Story):
    with story.kubectl.watch(CONSUMER, "inst", "--output-watch-events", "--no-headers") as lines:
        assert sorted(lines.next().text.split()[1] for _ in LABELLED) == LABELLED
        patch = '[{"op":"replace","path":"/spec/tier","value":"basic"}]'
        story.kubectl(PROVIDER, "patch", "inst", "analytics-2", "--type=json", "-p", patch)
        assert lines.next().text.split()[:2] == ["MODIFIED", "analytics-2"]
        story.kubectl(PROVIDER, "delete", "inst", "analytics-5")
        assert lines.next().text.split()[:2] == ["DELETED", "analytics-5"]

from pathlib import Path

import pytest

from kcpcache.client.manifests import ManifestError, files_below, in_order, read_manifests

FILE = Path("a.yaml")


def kinds(text: str) -> list[tuple[str, int]]:
    return [(each.obj["kind"], each.index) for each in read_manifests(FILE, text)]


def test_documents_and_lists_are_read_in_order():
    text = """
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
# nothing
---
apiVersion: v1
kind: List
items: [{apiVersion: v1, kind: Secret, metadata: {name: b}}, {apiVersion: v1, kind: Namespace, metadata: {name: c}}]
"""
    assert kinds(text) == [("ConfigMap", 0), ("Secret", 1), ("Namespace", 2)]
    assert str(read_manifests(FILE, text)[1]) == "Secret b (a.yaml)"
    assert read_manifests(FILE, "") == []


def test_what_looks_like_a_date_is_text_and_what_looks_like_a_sum_too():
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: 2026-03-01}, data: {at: 2026-03-01T10:00:00Z, sum: =}}"
    (found,) = read_manifests(FILE, text)
    assert found.obj["metadata"]["name"] == "2026-03-01"
    assert found.obj["data"] == {"at": "2026-03-01T10:00:00Z", "sum": "="}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- a", "a.yaml holds something without apiVersion and kind"),
        ("kind: ConfigMap", "without apiVersion and kind"),
        ("{apiVersion: v1, kind: ConfigMap, metadata: {generateName: x}}", "a ConfigMap without metadata.name"),
        ("{apiVersion: v1, kind: ConfigMap}", "a ConfigMap without metadata.name"),
        ("{apiVersion: 5, kind: [x], metadata: {name: x}}", "without apiVersion and kind"),
        ("{apiVersion: v1, kind: List, items: 5}", "a List whose items are no list"),
        ("&a {apiVersion: v1, kind: List, items: [*a]}", "a list that contains itself"),
        ("[" * 100_000 + "]" * 100_000, "a.yaml is not YAML: it is nested more than 1000 levels deep"),
        ("[" * 900 + "]" * 900 + " " * 1000, "without apiVersion and kind"),
        ("{", "a.yaml is not YAML"),
    ],
)
def test_what_is_no_manifest_is_told_with_its_file(text, why):
    with pytest.raises(ManifestError) as caught:
        read_manifests(FILE, text)
    assert why in str(caught.value)


def test_what_others_need_comes_first():
    names = (
        "Widget",
        "APIBinding",
        "APIExport",
        "APIResourceSchema",
        "CustomResourceDefinition",
        "Namespace",
        "Gadget",
    )
    text = "\n---\n".join(f"{{apiVersion: v1, kind: {name}, metadata: {{name: x}}}}" for name in names)
    assert [each.obj["kind"] for each in in_order(read_manifests(FILE, text))] == [
        "Namespace",
        "CustomResourceDefinition",
        "APIResourceSchema",
        "APIExport",
        "APIBinding",
        "Widget",
        "Gadget",
    ]


def test_a_trees_files_are_found_by_path_without_hidden_ones(tmp_path: Path):
    for name in ("b.yml", "a/z.json", "a/y.yaml", "a/readme.md", ".git/x.yaml", "a/.hidden.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)] == ["a/y.yaml", "a/z.json", "b.yml"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifests(tmp_path)

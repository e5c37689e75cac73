import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.jsonpath import compile_jsonpath

OBJECT = {
    "metadata": {"name": "n", "labels": {"region": "eu", "a.b/c": "dotted"}},
    "spec": {"replicas": 3, "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}], "on": True},
    "status": {
        "conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True", "n": 1}],
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata.name", ["n"]),
        ("{.metadata.name}", ["n"]),
        ("$.metadata.name", ["n"]),
        ("metadata.name", ["n"]),
        (".metadata.labels['region']", ["eu"]),
        ('.metadata.labels["region"]', ["eu"]),
        (".metadata.labels['a.b/c']", ["dotted"]),
        (r".metadata.labels.a\.b/c", ["dotted"]),
        (r".metadata.labels['a\.b/c']", ["dotted"]),
        (".spec.replicas", [3]),
        (".spec.ports[0].port", [1]),
        (".spec.ports[-1].port", [2]),
        (".spec.ports[7].port", []),
        (".spec.ports[0:1].name", ["a"]),
        (".spec.ports[:].name", ["a", "b"]),
        (".spec.ports[*].name", ["a", "b"]),
        (".spec.ports.*.name", ["a", "b"]),
        ("..port", [1, 2]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type != "Ready")].status', ["False"]),
        (".status.conditions[?(@.n)].type", ["Ready"]),
        (".status.conditions[?(@.n>=1)].type", ["Ready"]),
        (".status.conditions[?(@.n==true)].type", []),
        ('.spec.ports[?(@.port > "a")].name', []),
        (".missing.field", []),
        (".spec.replicas.deeper", []),
    ],
)
def test_a_path_finds_what_it_names(path, found):
    assert compile_jsonpath(path)(OBJECT) == found


@pytest.mark.parametrize("path", ["[", ".a[", ".a[?(@.b]", ".a[x]", ".a..", "a b", ".a[1", "x" * 3000, ".a.", ".a]"])
def test_a_path_that_cannot_be_understood_is_refused_when_it_is_compiled(path):
    with pytest.raises(ValueError, match="JSONPath"):
        compile_jsonpath(path)


@given(st.text(alphabet=".[]*?()@='\"ab01:-\\<>! ", max_size=25), st.sampled_from([OBJECT, [], 1, None, {"a": [{}]}]))
def test_any_text_is_refused_or_becomes_a_path_that_never_fails(path, value):
    try:
        find = compile_jsonpath(path)
    except ValueError:
        return
    assert isinstance(find(value), list)


def test_a_path_that_finds_combinatorially_many_values_is_cut_off():
    value: dict = {}
    for _ in range(150):
        value = {"a": value}
    assert len(compile_jsonpath("..a" * 20)(value)) <= 1000

from types import SimpleNamespace

import pytest

from kcpcache.registry.workspace_types import (
    TypeReference,
    chain,
    default_bindings,
    initializers,
    parse_reference,
    reference_of,
    search,
)


def workspace_type(cluster, name, *extends, initializer=False, bindings=()):
    return {
        "metadata": {"name": name, "annotations": {"kcp.io/cluster": cluster}},
        "spec": {
            "initializer": initializer,
            "extend": {"with": [{"name": one, "path": path} for path, one in extends]},
            "defaultAPIBindings": [{"export": export, **({"path": path} if path else {})} for path, export in bindings],
        },
    }


TYPES = (
    workspace_type("root", "base", initializer=True, bindings=[("", "tenancy")]),
    workspace_type("root", "universal", ("", "base"), bindings=[("root", "tenancy"), ("root:x", "e")]),
    workspace_type("o1", "team", ("root", "universal"), ("", "loop"), initializer=True),
    workspace_type("o1", "loop", ("", "team")),
    workspace_type("o1", "broken", ("root", "missing")),
)
PATHS = {"root": "root", "o1": "root:org", "w1": "root:org:ws"}


class Clusters:
    def resolve(self, path):
        return next((name for name, known in PATHS.items() if path in {name, known}), None)

    def path(self, name):
        return PATHS.get(name, name)


@pytest.fixture
def lookup():
    found = {(t["metadata"]["annotations"]["kcp.io/cluster"], t["metadata"]["name"]): t for t in TYPES}
    return SimpleNamespace(clusters=Clusters(), get=lambda _resource, cluster, name: found.get((cluster, name)))


def test_a_reference_is_read_back_from_its_text():
    reference = TypeReference("root:org", "team")
    assert parse_reference(str(reference)) == reference
    assert reference_of({"name": "team"}, path="root") == TypeReference("root", "team")


@pytest.mark.parametrize(
    ("name", "cluster", "found"),
    [
        ("team", "w1", TypeReference("root:org", "team")),
        ("universal", "w1", TypeReference("root", "universal")),
        ("universal", "unknown", TypeReference("root", "universal")),
        ("nothing", "w1", None),
    ],
)
def test_a_type_without_a_path_is_looked_for_upwards(lookup, name, cluster, found):
    assert search(lookup, name, cluster=cluster) == found


def test_a_chain_has_every_extended_type_once_even_in_circles(lookup):
    types = chain(lookup, TypeReference("root:org", "team"))
    assert [found["metadata"]["name"] for found in types] == ["team", "universal", "loop", "base"]


def test_a_chain_with_a_missing_type_is_none(lookup):
    assert chain(lookup, TypeReference("root:org", "broken")) is None
    assert chain(lookup, TypeReference("root:nowhere", "team")) is None


def test_initializers_are_the_types_own_and_then_the_default_bindings(lookup):
    types = chain(lookup, TypeReference("root:org", "team"))
    assert initializers(types) == ("o1:team", "root:base", "system:apibindings")
    assert initializers(()) == ()


def test_each_default_binding_is_named_once(lookup):
    types = chain(lookup, TypeReference("root:org", "team"))
    assert list(default_bindings(lookup, types)) == [("root", "tenancy"), ("root:x", "e")]

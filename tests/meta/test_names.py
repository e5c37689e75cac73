import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.names import (
    GroupResource,
    GroupVersionResource,
    api_version,
    dns1123_label_errors,
    dns1123_subdomain_errors,
    is_logical_cluster_path,
    label_value_errors,
    path_segment_errors,
    qualified_name_errors,
    split_api_version,
)

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def test_names_read_as_kubectl_prints_them():
    assert str(GroupResource("", "configmaps")) == "configmaps"
    assert str(GroupResource("example.com", "things")) == "things.example.com"
    assert str(GroupVersionResource("", "v1", "configmaps")) == "configmaps.v1"
    assert str(GroupVersionResource("example.com", "v1", "things")) == "things.v1.example.com"
    assert GroupVersionResource("example.com", "v1", "things").group_resource == ("example.com", "things")


@given(st.text(st.characters(exclude_characters="/"), max_size=5), st.text(st.characters(exclude_characters="/")))
def test_an_api_version_splits_into_what_it_was_joined_from(group, version):
    assert split_api_version(api_version(group, version)) == (group, version)


@pytest.mark.parametrize("name", ["a", "a-b", "0", "a" * 63])
def test_dns_labels_are_accepted(name):
    assert dns1123_label_errors(name) == []


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a..b", "a_b", "ä", "a\n", "a b", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_other_labels_are_refused_in_kubes_words(name):
    assert dns1123_label_errors(name) == [LABEL]


def test_a_subdomain_is_no_label_for_its_dots():
    assert dns1123_label_errors("a.b") == ["must not contain dots"]


def test_a_long_label_is_refused():
    assert dns1123_label_errors("a" * 64) == ["must be no more than 63 characters"]


@pytest.mark.parametrize("name", ["a.b", "a-b.c-d", "0.0", "a" * 253])
def test_dns_subdomains_are_accepted(name):
    assert dns1123_subdomain_errors(name) == []


@pytest.mark.parametrize("name", ["", ".", "a..b", "a.", ".a", "a.-b", "A.b", "a/b", "a%b", "..", "a\n"])
def test_other_subdomains_are_refused(name):
    (text,) = dns1123_subdomain_errors(name)
    assert text.startswith("a lowercase RFC 1123 subdomain must consist of")


def test_a_hostile_name_of_a_megabyte_is_refused_in_no_time():
    assert len(dns1123_subdomain_errors("a" * 1_000_000 + "!")) == 2
    assert len(qualified_name_errors("a-" * 500_000)) == 2


@pytest.mark.parametrize("name", ["system:node", "A", "a b", "ü", "a.b"])
def test_names_of_rbac_are_path_segments(name):
    assert path_segment_errors(name) == []


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        (".", ["may not be '.'"]),
        ("..", ["may not be '..'"]),
        ("a/b", ["may not contain '/'"]),
        ("a%b/c", ["may not contain '/'", "may not contain '%'"]),
        ("a\x00", ["may not contain control characters"]),
        ("a\n", ["may not contain control characters"]),
        ("\x9f", ["may not contain control characters"]),
    ],
)
def test_what_no_path_or_key_can_hold_is_refused(name, errors):
    assert path_segment_errors(name) == errors


@pytest.mark.parametrize("name", ["a", "A_b.c-d", "example.com/Name", "a" * 253 + "/" + "b" * 63, "0/0"])
def test_qualified_names_are_accepted(name):
    assert qualified_name_errors(name) == []


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("", ["name part must be non-empty", "name part must consist of alphanumeric"]),
        ("a/", ["name part must be non-empty", "name part must consist of alphanumeric"]),
        ("/a", ["prefix part must be non-empty"]),
        ("A/a", ["prefix part a lowercase RFC 1123 subdomain must"]),
        ("a" * 254 + "/a", ["prefix part must be no more than 253 characters"]),
        ("a" * 64, ["name part must be no more than 63 characters"]),
        ("-a", ["name part must consist of alphanumeric"]),
        ("a b", ["name part must consist of alphanumeric"]),
        ("a/b/c", ["a qualified name must consist of alphanumeric"]),
    ],
)
def test_other_qualified_names_are_refused_with_the_part_that_is_wrong(name, start):
    found = qualified_name_errors(name)
    assert len(found) == len(start)
    assert all(text.startswith(wanted) for text, wanted in zip(found, start, strict=True))


@pytest.mark.parametrize(("value", "count"), [("", 0), ("A.b_c-1", 0), ("-", 1), ("a b", 1), ("a" * 64, 1), ("ü", 1)])
def test_label_values_are_checked(value, count):
    assert len(label_value_errors(value)) == count


@pytest.mark.parametrize("path", ["root", "root:org:ws", "2x7f0k", "system:admin", "user:anna"])
def test_workspace_paths_are_recognised(path):
    assert is_logical_cluster_path(path)


@pytest.mark.parametrize(
    "path",
    ["", ":", "root:", ":root", "Root", "a/b", "..", "*", "root:..", "root::a", "system:a/b", "user:a\x00", "user:"],
)
def test_what_is_no_workspace_path_is_recognised(path):
    assert not is_logical_cluster_path(path)

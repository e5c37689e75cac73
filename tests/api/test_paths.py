import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.api.paths import RequestInfo, ServicePath, parse
from kcpcache.meta.errors import BadRequestError, MethodNotAllowedError, NotFoundError, StatusError


def parsed(path: str, query: str = "", method: str = "GET") -> RequestInfo:
    return parse(path.encode(), query.encode(), method)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/configmaps", ("", "v1", "configmaps", "", "", "")),
        ("/api/v1/namespaces/ns/configmaps", ("", "v1", "configmaps", "ns", "", "")),
        ("/api/v1/namespaces/ns/configmaps/x", ("", "v1", "configmaps", "ns", "x", "")),
        ("/api/v1/namespaces", ("", "v1", "namespaces", "", "", "")),
        ("/api/v1/namespaces/ns", ("", "v1", "namespaces", "", "ns", "")),
        ("/api/v1/namespaces/ns/status", ("", "v1", "namespaces", "", "ns", "status")),
        ("/api/v1/namespaces/ns/finalize", ("", "v1", "namespaces", "", "ns", "finalize")),
        ("/api/v1/namespaces/ns/serviceaccounts/a/token", ("", "v1", "serviceaccounts", "ns", "a", "token")),
        ("/apis/a.example/v1/things/x/scale", ("a.example", "v1", "things", "", "x", "scale")),
        ("/apis/a.example/v1/namespaces/ns/clusters/x", ("a.example", "v1", "clusters", "ns", "x", "")),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aadmin", (
            "rbac.authorization.k8s.io", "v1", "clusterroles", "", "system:admin", "")),
        ("/apis/tenancy.kcp.io/v1alpha1/workspaces/~", ("tenancy.kcp.io", "v1alpha1", "workspaces", "", "~", "")),
    ],
)  # fmt: skip
def test_a_resource_path_names_group_version_resource_namespace_name_and_subresource(path, expected):
    info = parsed(path)
    assert info.is_resource
    assert (info.group, info.version, info.resource, info.namespace, info.name, info.subresource) == expected


@pytest.mark.parametrize(
    ("path", "cluster", "rest", "explicit"),
    [
        ("/api/v1/configmaps", "root", "/api/v1/configmaps", False),
        ("/clusters/root:org:ws/api/v1/configmaps", "root:org:ws", "/api/v1/configmaps", True),
        ("/clusters/2xk9a/apis", "2xk9a", "/apis", True),
        ("/clusters/*/apis/g/v1/things", "*", "/apis/g/v1/things", True),
        ("/clusters/system:admin/", "system:admin", "/", True),
        ("/clusters/user:me/version", "user:me", "/version", True),
    ],
)
def test_the_cluster_is_the_url_s_or_root(path, cluster, rest, explicit):
    info = parsed(path)
    assert (info.cluster, info.path, info.explicit_cluster) == (cluster, rest, explicit)


@pytest.mark.parametrize(
    ("path", "service", "cluster"),
    [
        ("/services/replication/2xk/fl/clusters/*/apis/g/v1/f", ServicePath("replication", ("2xk", "fl")), "*"),
        ("/services/replication/root:p/f:abc/clusters/x/apis", ServicePath("replication", ("root:p", "f:abc")), "x"),
        ("/services/apiexport/p/e.test/clusters/c/api/v1", ServicePath("apiexport", ("p", "e.test")), "c"),
        ("/services/initializingworkspaces/root:universal/clusters/*/apis/core.kcp.io/v1alpha1/logicalclusters",
         ServicePath("initializingworkspaces", ("root:universal",)), "*"),
        ("/services/cache/shards/*/clusters/*/apis/g/v1/f:abc", ServicePath("cache", ("*",)), "*"),
        ("/services/cache/shards/alpha/clusters/c/apis", ServicePath("cache", ("alpha",)), "c"),
    ],
)  # fmt: skip
def test_a_service_path_names_a_virtual_workspace_and_the_cluster_behind_it(path, service, cluster):
    info = parsed(path)
    assert info.service == service
    assert info.cluster == cluster


def test_a_resource_may_carry_an_identity_hash():
    info = parsed("/clusters/*/apis/g.example/v1/things:0a1b2c")
    assert (info.resource, info.identity_hash) == ("things", "0a1b2c")


@pytest.mark.parametrize(
    ("method", "path", "query", "verb"),
    [
        ("GET", "/api/v1/configmaps", "", "list"),
        ("GET", "/api/v1/configmaps", "watch=true", "watch"),
        ("GET", "/api/v1/configmaps", "watch=1&limit=5", "watch"),
        ("GET", "/api/v1/configmaps", "watch", "watch"),
        ("GET", "/api/v1/configmaps", "watch=false", "list"),
        ("GET", "/api/v1/configmaps", "watch=0", "list"),
        ("GET", "/api/v1/namespaces/n/configmaps/x", "watch=true", "get"),
        ("HEAD", "/api/v1/namespaces/n/configmaps/x", "", "get"),
        ("POST", "/api/v1/namespaces/n/configmaps", "", "create"),
        ("POST", "/api/v1/namespaces/n/serviceaccounts/x/token", "", "create"),
        ("PUT", "/api/v1/namespaces/n/configmaps/x", "", "update"),
        ("PATCH", "/api/v1/namespaces/n/configmaps/x", "", "patch"),
        ("DELETE", "/api/v1/namespaces/n/configmaps/x", "", "delete"),
        ("DELETE", "/api/v1/namespaces/n/configmaps", "", "deletecollection"),
        ("GET", "/apis", "", "get"),
        ("POST", "/healthz", "", "post"),
    ],
)
def test_the_verb_follows_from_method_and_query(method, path, query, verb):
    assert parsed(path, query, method).verb == verb


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/v1/namespaces/n/configmaps"),
        ("PATCH", "/api/v1/configmaps"),
        ("POST", "/api/v1/namespaces/n/configmaps/x"),
        ("OPTIONS", "/api/v1/configmaps"),
        ("BREW", "/api/v1/configmaps"),
    ],
)
def test_a_method_that_no_resource_has_is_not_allowed(method, path):
    with pytest.raises(MethodNotAllowedError):
        parsed(path, method=method)


@pytest.mark.parametrize(
    "path",
    [
        "/clusters/a/clusters/b/api/v1/configmaps",
        "/clusters/a/services/cache/shards/x/clusters/y/apis",
        "/clusters",
        "/services/unknown/a/b/clusters/c/apis",
        "/services/replication/a/clusters/c/apis",
        "/services/replication/a/b/apis",
        "/services/cache/shard/x/clusters/c/apis",
        "/services",
        "/api/v1/watch/configmaps",
        "/apis/g/v1/watch/namespaces/n/things",
        "/api//v1/configmaps",
        "/apis/g/v1/things/a/b/c",
        "/apis/g/v1/Things",
        "/apis/g/v1/things:",
        "/apis/g/v1/things:xyz:w",
        "/apis/G/v1/things",
    ],
)
def test_a_path_that_means_nothing_is_not_found(path):
    with pytest.raises(NotFoundError):
        parsed(path)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/n/configmaps/..%2fsecret",
        "/api/v1/namespaces/n/configmaps/..",
        "/api/v1/namespaces/../configmaps/x",
        "/api/v1/namespaces/n/configmaps/%2e%2e",
        "/api/v1/namespaces/n/configmaps/a%00b",
        "/api/v1/namespaces/n/configmaps/a%0ab",
        "/api/v1/namespaces/n/configmaps/a%2Fb",
        "/api/v1/namespaces/n/configmaps/a%252fb",
        "/api/v1/namespaces/n/configmaps/%ff",
        "/clusters/Root/api",
        "/api/v1/namespaces/root:a/configmaps",
        "/api/v1/namespaces/root%3Aa/configmaps/b",
        "/clusters/a::b/api",
        "/clusters/a%2fb/api",
        "api/v1",
        "/" + "x" * 10_000,
    ],
)
def test_what_no_name_may_contain_is_a_bad_request(path):
    with pytest.raises(BadRequestError):
        parsed(path)


@pytest.mark.parametrize("query", ["a=%ff", "&".join(f"a{i}=1" for i in range(200)), "a=\xff"])
def test_a_query_that_cannot_be_read_is_a_bad_request(query):
    with pytest.raises(BadRequestError):
        parsed("/api", query)


def test_authorisation_sees_a_namespace_in_itself_and_the_name_that_a_selector_picks():
    assert parsed("/api/v1/namespaces/ns/status").authorized_namespace == "ns"
    assert parsed("/api/v1/namespaces/ns/configmaps").authorized_namespace == "ns"
    assert parsed("/api/v1/configmaps", "fieldSelector=metadata.name%3Dx").authorized_name == "x"
    assert parsed("/api/v1/configmaps", "watch=1&fieldSelector=metadata.name=x,a=b").authorized_name == "x"
    assert parsed("/api/v1/configmaps", "fieldSelector=metadata.name!%3Dx").authorized_name == ""
    assert parsed("/api/v1/configmaps", "fieldSelector=!!").authorized_name == ""


_PIECES = st.sampled_from(
    ["api", "apis", "v1", "clusters", "services", "replication", "namespaces", "*", "..", "%2f", "%00", "a:b", "", "x"]
)


@given(
    st.one_of(
        st.binary(max_size=80), st.lists(_PIECES, max_size=12).map(lambda parts: "/".join(["", *parts]).encode())
    ),
    st.binary(max_size=40),
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]),
)
def test_parsing_anything_raises_status_errors_only_and_lets_no_slash_through(path, query, method):
    try:
        info = parse(path, query, method)
    except StatusError as error:
        assert 400 <= error.code < 500  # noqa: PT017 -- not every example raises
    else:
        for text in (info.name, info.namespace, info.resource, info.group, info.version, info.subresource):
            assert "/" not in text
            assert "\x00" not in text
            assert text not in {".", ".."}


def test_a_head_request_never_opens_a_watch():
    assert parse(b"/api/v1/namespaces", b"watch=1", "HEAD").verb == "list"
    assert parse(b"/api/v1/namespaces", b"watch=1", "GET").verb == "watch"

from urllib.parse import urlsplit

import pytest

from kcpcache.client.workspaces import cluster_of, cluster_url, url_of


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://x:6443/clusters/root:foo", ("https://x:6443", "root:foo")),
        ("https://x/clusters/root:foo/apis", ("https://x", "root:foo")),
        ("https://x/prefix/clusters/root", ("https://x/prefix", "root")),
        ("https://x/clusters/user:a%2Cb", ("https://x", "user:a,b")),
        ("https://x", None),
        ("https://x/clusters/", None),
        ("https://x/clusters/A", None),
    ],
)
def test_a_url_tells_its_workspace(url, found):
    told = cluster_of(url)
    assert (told and (told[0].geturl(), told[1])) == found


def test_a_workspace_has_its_url():
    assert url_of(urlsplit("https://x/p/"), "root:foo") == "https://x/p/clusters/root:foo"
    assert url_of(urlsplit("https://x"), "user:a b") == "https://x/clusters/user:a%20b"


def test_a_clusters_name_may_hold_what_a_url_may_not():
    assert cluster_url("root:a", "/apis") == "/clusters/root:a/apis"
    assert cluster_url("user:a b/c", "/apis") == "/clusters/user:a%20b%2Fc/apis"

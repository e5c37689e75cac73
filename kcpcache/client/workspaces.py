"""Where workspaces are: their paths in URLs, and the groups of APIs in which kcp keeps them."""

from urllib.parse import SplitResult, quote, unquote, urlsplit

from kcpcache.meta.names import is_logical_cluster_path

TENANCY = "/apis/tenancy.kcp.io/v1alpha1"
APIS = "/apis/apis.kcp.io/v1alpha2"
_PREFIX = "/clusters/"


def cluster_url(cluster: str, path: str) -> str:
    """``path`` in a logical cluster, whose name or path may hold what a URL may not."""
    return f"/clusters/{quote(cluster, safe=':*~')}{path}"


def cluster_of(url: str) -> tuple[SplitResult, str] | None:
    """The URL without its ``/clusters/<path>``, and the path; None where the URL leads to no workspace."""
    parts = urlsplit(url)
    before, prefix, after = parts.path.partition(_PREFIX)
    path = unquote(after.split("/", 1)[0])
    if not prefix or not is_logical_cluster_path(path):
        return None
    return parts._replace(path=before), path


def url_of(base: SplitResult, path: str) -> str:
    """The URL of a workspace on the server at ``base``."""
    return base._replace(path=f"{base.path.rstrip('/')}{_PREFIX}{quote(path, safe=':')}").geturl()

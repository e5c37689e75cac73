"""What a request wants to do, and what was decided about it."""

import msgspec

from kcpcache.auth.user import User

ALL_CLUSTERS = "*"
"""In the place of a logical cluster: all of the shard."""


class Attributes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request as authorisation sees it; a msgspec struct, as every request makes one (0.15 µs).

    ``cluster`` is a logical cluster's name, or ``*``. For a resource: ``name`` is "" for list, create and the like,
    ``namespace`` "" for cluster-scoped ones, except for a namespace itself, where it is its name (as in kube).
    For anything else ``is_resource`` is False, ``path`` is the path within the cluster, and ``verb`` the lower-case
    HTTP method.
    """

    user: User
    verb: str
    cluster: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    is_resource: bool = True


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Allowed or not, and why; the reason of a plain denial is empty, as in kube."""

    allowed: bool
    reason: str = ""


def content_attributes(user: User, verb: str, cluster: str, export: str) -> Attributes:
    """The right to use an APIExport's virtual workspace with ``verb``, in the provider's cluster (behaviour §7)."""
    return Attributes(
        user=user,
        verb=verb,
        cluster=cluster,
        group="apis.kcp.io",
        version="v1alpha2",
        resource="apiexports",
        subresource="content",
        name=export,
    )


def bind_attributes(user: User, cluster: str, export: str) -> Attributes:
    """The right to bind to an APIExport, in the provider's cluster (behaviour §6)."""
    return Attributes(
        user=user,
        verb="bind",
        cluster=cluster,
        group="apis.kcp.io",
        version="v1alpha2",
        resource="apiexports",
        name=export,
    )

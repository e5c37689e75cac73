"""How keys are laid out, and the only place that joins or splits them.

* ``/registry/<group>/<resource>[:<identity>]/<cluster>[/<namespace>]/<name>``: what workspaces hold
* ``/cache/<shard>/<group>/<version>/<resource>:<identity>/<cluster>/<name>``: the cache store's copies

A caller makes a resource's prefix once and joins to it per object. Every prefix ends with "/", so that the
cluster ``a`` never sees ``ab``. A list is in the order of its keys, as in etcd: by cluster, namespace, name,
where a shorter segment comes after a longer one that goes on with "-" or "." (both sort before "/").
"""

import re
from typing import NamedTuple

REGISTRY = "/registry/"
"""Above everything that workspaces hold."""
CACHE = "/cache/"
"""Above everything in the cache store."""

_CORE_GROUP = "core"
# Lone surrogates have no UTF-8, and so no place in any store.
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[^/\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_SYSTEM_CLUSTER = "system:"


class ObjectKey(NamedTuple):
    """The part of a key below its resource; ``namespace`` is "" for cluster-scoped resources."""

    cluster: str
    namespace: str
    name: str


def _segment(text: str, what: str) -> str:
    if _SEGMENT.fullmatch(text) is None:
        raise ValueError(f"{what} {text!r} cannot be part of a storage key")
    return text


def _group(group: str) -> str:
    if group == _CORE_GROUP:
        raise ValueError(f'group {group!r} cannot be part of a storage key: it stands for the group ""')
    return _segment(group, "group") if group else _CORE_GROUP


def _resource(resource: str, identity: str) -> str:
    _segment(resource, "resource")
    if ":" in resource or ":" in identity:
        raise ValueError(f"resource {resource}:{identity} cannot be part of a storage key: one ':' too many")
    return f"{resource}:{_segment(identity, 'identity')}" if identity else resource


def _cluster(cluster: str) -> str:
    # A colon is what tells a workspace path from a logical cluster; only kcp's own system clusters have one.
    if ":" in cluster and cluster.count(":", len(_SYSTEM_CLUSTER) if cluster.startswith(_SYSTEM_CLUSTER) else 0):
        raise ValueError(f"{cluster!r} is a workspace path, not a logical cluster's name")
    return _segment(cluster, "cluster")


def registry_prefix(group: str, resource: str, *, identity: str = "") -> str:
    """``/registry/<group>/<resource>[:<identity>]/``: all objects of a resource, in all logical clusters.

    The core group is "". Raises ValueError where a part cannot be in a key.
    """
    return f"{REGISTRY}{_group(group)}/{_resource(resource, identity)}/"


def cache_prefix(shard: str, group: str, version: str, resource: str, identity: str) -> str:
    """``/cache/<shard>/<group>/<version>/<resource>:<identity>/``: all copies of one published resource.

    The version keeps two CachedResources of one group-resource apart. Raises ValueError where a part cannot
    be in a key, or the identity is empty.
    """
    where = f"{CACHE}{_segment(shard, 'shard')}/{_group(group)}/{_segment(version, 'version')}"
    return f"{where}/{_resource(resource, _segment(identity, 'identity'))}/"


def cluster_prefix(resource_prefix: str, cluster: str) -> str:
    """The resource's objects in one logical cluster. Raises ValueError."""
    return f"{resource_prefix}{_cluster(cluster)}/"


def namespace_prefix(resource_prefix: str, cluster: str, namespace: str) -> str:
    """The resource's objects in one namespace of one logical cluster. Raises ValueError."""
    return f"{resource_prefix}{_cluster(cluster)}/{_segment(namespace, 'namespace')}/"


def object_key(resource_prefix: str, cluster: str, name: str, *, namespace: str = "") -> str:
    """One object's key; ``namespace`` "" for cluster-scoped resources. Raises ValueError."""
    above = namespace_prefix(resource_prefix, cluster, namespace) if namespace else None
    return f"{above or cluster_prefix(resource_prefix, cluster)}{_segment(name, 'name')}"


def parse_key(resource_prefix: str, key: str) -> ObjectKey:
    """What ``object_key`` joined, taken apart. Raises ValueError where ``key`` is not of that resource."""
    if key.startswith(resource_prefix):
        segments = key[len(resource_prefix) :].split("/")
        if len(segments) == 2 and all(segments):  # noqa: PLR2004 - cluster and name
            return ObjectKey(segments[0], "", segments[1])
        if len(segments) == 3 and all(segments):  # noqa: PLR2004 - cluster, namespace and name
            return ObjectKey(*segments)
    raise ValueError(f"{key!r} is not an object's key below {resource_prefix!r}")


def after_prefix(prefix: str) -> str | None:
    """The first key above all keys that start with ``prefix``; None where nothing is above."""
    for index in range(len(prefix) - 1, -1, -1):
        code_point = ord(prefix[index]) + 1
        if code_point == 0xD800:  # noqa: PLR2004 - the surrogates are no characters
            code_point = 0xE000
        if code_point <= 0x10FFFF:  # noqa: PLR2004 - the last code point
            return prefix[:index] + chr(code_point)
    return None

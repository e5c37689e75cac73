"""What a reconciler answers: changes to make, each decided on a resourceVersion, and when to look again.

A reconciler is ``reconcile(state) -> Plan``: no I/O, no clock, no randomness, no task. Whatever it may look at is in
its frozen ``State``, already read; objects in it are as a client reads them (with ``metadata.resourceVersion``) and
must not be changed: copy first. A second pass over the state that a plan led to plans nothing.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object


class Target(NamedTuple):
    """One object in one workspace's storage. ``namespace`` is "" for cluster-scoped resources."""

    resource: GroupVersionResource
    cluster: str
    name: str
    namespace: str = ""


class CacheTarget(NamedTuple):
    """One copy, or one consumer record, in the cache store. ``cluster`` is the provider's logical cluster.

    A tuple, as replication keeps account of each by it, some twenty times: that costs a third of what it would.
    """

    shard: str
    resource: GroupVersionResource
    identity_hash: str
    cluster: str
    name: str


@dataclass(frozen=True, slots=True)
class Create:
    """Create the object, with its status where it has one; if it exists, that is a conflict (the key comes again)."""

    target: Target | CacheTarget
    object: Object


@dataclass(frozen=True, slots=True)
class Update:
    """Write the whole object but its status; ``object`` carries the resourceVersion that was decided on.

    ``status``: write that, too, which saves the write that would follow.
    """

    target: Target | CacheTarget
    object: Object
    status: bool = False


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """Write ``status``, and labels that mirror it; ``object`` carries the resourceVersion that was decided on."""

    target: Target
    object: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object if it is still at ``resource_version``; already gone is success.

    In a workspace this starts the graceful path: finalizers keep the object until they are removed.
    """

    target: Target | CacheTarget
    resource_version: str
    propagation_policy: str = "Background"


@dataclass(frozen=True, slots=True)
class PutCopy:
    """Write a copy whose stored form is known already, over the one at ``revision`` (0: where there is none).

    ``made_of`` is whatever the caches make its entry of, instead of decoding the value (None: they decode it).
    """

    target: CacheTarget
    value: bytes
    revision: int
    made_of: object = field(default=None, compare=False)


Change: TypeAlias = Create | Update | UpdateStatus | Delete | PutCopy


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes are applied in order; the first that fails discards the rest and the key is looked at again.

    Deletes that follow each other have no order among them.
    """

    changes: tuple[Change, ...] = ()
    requeue_after: timedelta | None = None


NOTHING = Plan()

"""``~`` among root's workspaces: the caller's own, made when it is first asked for (behaviour §8)."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec
import orjson

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer, forbid
from kcpcache.auth.subjects import subjects_in
from kcpcache.auth.user import User
from kcpcache.meta.errors import (
    AlreadyExistsError,
    ForbiddenError,
    ServiceUnavailableError,
    TooManyRequestsError,
    forbidden,
)
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import PATH_ANNOTATION, Object, annotations_of, metadata, nested
from kcpcache.registry import workspace_types
from kcpcache.registry.entry import encode, entry_of
from kcpcache.registry.logical_clusters import LOGICAL_CLUSTER_NAME, LOGICAL_CLUSTERS, ROOT
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.view import NO_ADMISSION, Item, Listing, ListOptions, View, Watch, WriteOptions

HOME: Final = "~"
HOME_TYPE: Final = workspace_types.TypeReference(ROOT, "home")
_WORKSPACES: Final = GroupResource("tenancy.kcp.io", "workspaces")
_OWNER_ANNOTATION: Final = "experimental.tenancy.kcp.io/owner"
_TYPE_ANNOTATION: Final = "internal.tenancy.kcp.io/type"
_PHASE_LABEL: Final = "tenancy.kcp.io/phase"
_NOT_IN_A_PATH: Final = re.compile(r"[:/%\x00-\x1f\x7f-\x9f]")
"""A colon would make one user's path that of a workspace below another's; the rest no URL can hold."""
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME_LENGTH: Final = 16
_RETRY_SECONDS: Final = 1


def home_cluster_name(user: str) -> str:
    """The logical cluster of a user's home: always the same, in base36, and nobody can find a user with another's."""
    number = int.from_bytes(hashlib.sha224(f"user:{user}".encode()).digest())
    digits = ""
    for _ in range(_NAME_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return digits


class HomeWorkspaces:
    """Makes and shows home workspaces. ``external_url`` is the shard's, without a final slash."""

    def __init__(
        self, lookup: Lookup, authorizer: Authorizer, *, external_url: str, clock: Callable[[], datetime]
    ) -> None:
        self._lookup, self._authorizer, self._external_url, self._clock = lookup, authorizer, external_url, clock

    def seen_by(self, attributes: Attributes, view: View) -> View:
        """The view for a request on ``~``: in root's workspaces the caller's home, elsewhere ``view``."""
        if attributes.cluster != ROOT or (attributes.group, attributes.resource) != _WORKSPACES:
            return view
        return _HomeView(self, attributes, view)

    async def home(self, attributes: Attributes) -> Item:
        """The home of the caller as a Workspace. Raises TooManyRequestsError until it is Ready; ForbiddenError."""
        user = attributes.user
        if not user.name or _NOT_IN_A_PATH.search(user.name):
            raise _refused("its name cannot be part of a workspace path", user)
        if user.name not in subjects_in(user, ROOT).names:
            raise _refused("its credentials are for another workspace", user)
        cluster = home_cluster_name(user.name)
        found = self._lookup.get(LOGICAL_CLUSTERS, cluster, LOGICAL_CLUSTER_NAME)
        if found is None:
            wanted = msgspec.structs.replace(attributes, verb="create")
            decision = self._authorizer.authorize(wanted)
            if not decision.allowed:
                raise forbid(wanted, decision)
            await self._create(user, cluster)
        elif annotations_of(found).get(PATH_ANNOTATION) != f"user:{user.name}":
            raise _refused("the logical cluster that it would have is another workspace's", user)
        state = self._lookup.clusters.get(cluster)
        if found is None or state is None or state.deleting or state.state != "ready":
            why = f"the home workspace of {user.name} is being made, please try again"
            raise TooManyRequestsError(why, retry_after_seconds=_RETRY_SECONDS)
        return self._as_workspace(found, cluster)

    async def _create(self, user: User, cluster: str) -> None:
        types = workspace_types.chain(self._lookup, HOME_TYPE)
        if types is None:
            raise ServiceUnavailableError(f"WorkspaceType {HOME_TYPE} cannot be resolved")
        obj: Object = {
            "metadata": {
                "name": LOGICAL_CLUSTER_NAME,
                "annotations": {
                    PATH_ANNOTATION: f"user:{user.name}",
                    _TYPE_ANNOTATION: str(HOME_TYPE),
                    _OWNER_ANNOTATION: orjson.dumps(user.to_user_info()).decode(),
                },
            },
            "spec": {"directlyDeletable": True, "initializers": list(workspace_types.initializers(types))},
        }
        definition = self._lookup.system.definition(LOGICAL_CLUSTERS.group_resource)
        assert definition is not None, "every server has LogicalClusters"  # noqa: S101 -- tells the type checker
        view = StoredView(self._lookup.caches, definition, definition.storage, cluster, self._clock)
        try:
            await view.create("", obj, WriteOptions(), NO_ADMISSION)
        except AlreadyExistsError:
            return  # somebody else with this name asked at the same moment

    def _as_workspace(self, logical_cluster: Object, cluster: str) -> Item:
        """There is no such object in root: it is made of the LogicalCluster, which has no parent."""
        meta = metadata(logical_cluster)
        path = annotations_of(logical_cluster)[PATH_ANNOTATION]
        phase = str(nested(logical_cluster, "status", "phase"))
        obj = {
            "apiVersion": "tenancy.kcp.io/v1alpha1",
            "kind": "Workspace",
            "metadata": {
                "name": HOME,
                "uid": meta["uid"],
                "creationTimestamp": meta["creationTimestamp"],
                "labels": {_PHASE_LABEL: phase},
                "annotations": {_OWNER_ANNOTATION: annotations_of(logical_cluster)[_OWNER_ANNOTATION]},
            },
            "spec": {
                "URL": f"{self._external_url}/clusters/{quote(path, safe=':@+,;=!$()*~')}",
                "cluster": cluster,
                "type": {"name": HOME_TYPE.name, "path": HOME_TYPE.path},
            },
            "status": {"phase": phase},
        }
        revision = int(meta["resourceVersion"])
        return Item(entry_of(encode(obj), cluster=ROOT, namespace="", name=HOME, revision=revision))


class _HomeView(ReadOnlyView):
    """One user's ``~`` (see ``view.View``)."""

    origin = "its LogicalCluster, which can be deleted"

    def __init__(self, homes: HomeWorkspaces, attributes: Attributes, behind: View) -> None:
        self.definition, self.version, self.cluster = behind.definition, behind.version, behind.cluster
        self._homes, self._attributes, self._behind = homes, attributes, behind

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``HomeWorkspaces.home``."""
        return await self._homes.home(self._attributes)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await self._behind.list(options)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return await self._behind.watch(options)


def _refused(why: str, user: User) -> ForbiddenError:
    return forbidden(*_WORKSPACES, HOME, f'User "{user.name}" cannot have a home workspace: {why}')

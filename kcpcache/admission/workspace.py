"""Workspaces (behaviour §8): of which type, where, by whom; and LogicalClusters, which are not for users to make."""

import orjson

from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.subjects import subjects_in
from kcpcache.auth.user import SYSTEM_KCP_ADMIN, User
from kcpcache.meta.errors import ForbiddenError, forbidden
from kcpcache.meta.objects import REQUIRED_GROUPS_ANNOTATION, Object, annotations_of, cluster_of, name_of, nested
from kcpcache.registry import workspace_types
from kcpcache.registry.logical_clusters import LOGICAL_CLUSTER_NAME, LOGICAL_CLUSTERS
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.workspace_types import TypeReference, parse_reference, reference_of

OWNER_ANNOTATION = "experimental.tenancy.kcp.io/owner"
FINALIZER = "core.kcp.io/logicalcluster"
"""On a LogicalCluster while it has content, and on its Workspace while there is the LogicalCluster."""


class WorkspaceTypeAllowed:
    """A new Workspace gets a type that exists, that its creator may use, and that its place allows."""

    def __init__(self, lookup: Lookup, authorizer: Authorizer) -> None:
        self._lookup, self._authorizer = lookup, authorizer

    async def mutate(self, request: Request) -> None:
        """Fill in type and path, note the owner, add the type's labels: the response already shows them."""
        obj, attributes = request.new, request.attributes
        if request.operation != "CREATE" or obj is None or not isinstance(obj.get("spec", {}), dict):
            return
        spec = obj.setdefault("spec", {})
        reference = self._reference(spec.get("type"), attributes.cluster, name_of(obj))
        spec["type"] = {"name": reference.name, "path": reference.path}
        meta = obj["metadata"]
        given = meta.get("annotations") or {}
        if OWNER_ANNOTATION not in given or not attributes.user.is_master:
            owner = orjson.dumps(attributes.user.to_user_info()).decode()
            meta["annotations"] = {**given, OWNER_ANNOTATION: owner}
        self._inherit_groups(attributes, meta)
        for found in workspace_types.chain(self._lookup, reference) or ():
            labels = nested(found, "spec", "additionalWorkspaceLabels", default=None) or {}
            if labels:
                meta["labels"] = {**labels, **(meta.get("labels") or {})}

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError that says what the place or the type does not allow."""
        obj, attributes = request.new, request.attributes
        if obj is None:
            return
        if not attributes.user.is_master:
            _check_server_fields(request.old, obj)
            _check_finalizer(request)
        if request.operation != "CREATE":
            return
        name = name_of(obj)
        reference = reference_of(obj["spec"]["type"], path="")
        types = self._usable_types(reference, attributes.user, name)
        parent = self._type_of(attributes.cluster)
        parents = (workspace_types.chain(self._lookup, parent) if parent else None) or ()
        self._check_limits("Children", parents, types, name, f"workspace type {reference} is not allowed in {parent}")
        self._check_limits("Parents", types, parents, name, f"workspace type {reference} is not allowed below {parent}")

    def _inherit_groups(self, attributes: Attributes, meta: Object) -> None:
        """Whoever is kept out of a workspace is kept out of new ones below it; system:masters may say otherwise."""
        given = meta.get("annotations") or {}
        if attributes.user.is_master and REQUIRED_GROUPS_ANNOTATION in given:
            return
        parent = self._lookup.get(LOGICAL_CLUSTERS, attributes.cluster, LOGICAL_CLUSTER_NAME)
        required = annotations_of(parent or {}).get(REQUIRED_GROUPS_ANNOTATION)
        given = {key: value for key, value in given.items() if key != REQUIRED_GROUPS_ANNOTATION}
        meta["annotations"] = given if required is None else {**given, REQUIRED_GROUPS_ANNOTATION: required}

    def _reference(self, given: Object | None, cluster: str, name: str) -> TypeReference:
        """The type that is asked for, or the default of the parent's type; its path looked up where it has none."""
        path = self._lookup.clusters.path(cluster)
        if given:
            wanted = reference_of(given, path="")
        else:
            parent = self._type_of(cluster)
            found = workspace_types.find(self._lookup, parent) if parent else None
            default = nested(found, "spec", "defaultChildWorkspaceType")
            if not default:
                raise _refused(name, f"spec.type must be set: the type of {path} has no default for its children")
            wanted = reference_of(default, path=parent.path if parent else path)
        if wanted.path:
            return wanted
        found_at = workspace_types.search(self._lookup, wanted.name, cluster=cluster)
        if found_at is None:
            raise _refused(name, f"workspace type {wanted.name} was found neither in {path} nor in any workspace above")
        return found_at

    def _type_of(self, cluster: str) -> TypeReference | None:
        found = self._lookup.clusters.get(cluster)
        return parse_reference(found.type) if found is not None and found.type else None

    def _usable_types(self, reference: TypeReference, user: User, name: str) -> tuple[Object, ...]:
        """The type and all that it extends, which ``user`` may use. Raises ForbiddenError.

        A type that is not there is refused like one that is not for the user: he does not learn which it is, unless
        he would be allowed to use one of that name.
        """
        types = []
        for wanted, found in workspace_types.walk(self._lookup, reference):
            if not self._may_use(wanted, user):
                why = f'user "{user.name}" is not allowed to use workspace type {wanted}, or there is none'
                raise _refused(name, why)
            if found is None:
                raise _refused(name, f"workspace type {wanted} does not exist")
            types.append(found)
        return tuple(types)

    def _may_use(self, wanted: TypeReference, user: User) -> bool:
        group, version, resource = workspace_types.WORKSPACE_TYPES
        attributes = Attributes(
            user=user,
            verb="use",
            cluster=self._lookup.clusters.resolve(wanted.path) or wanted.path,
            group=group,
            version=version,
            resource=resource,
            name=wanted.name,
        )
        return self._authorizer.authorize_reference(attributes).allowed

    def _check_limits(
        self, side: str, limiting: tuple[Object, ...], other: tuple[Object, ...], name: str, why: str
    ) -> None:
        """Every type of ``limiting`` with a limit must name some type of ``other`` (behaviour §8, through extend)."""
        there = {f"{self._lookup.clusters.path(cluster_of(found))}:{name_of(found)}" for found in other}
        for found in limiting:
            limit = nested(found, "spec", f"limitAllowed{side}")
            if not limit:
                continue
            path = self._lookup.clusters.path(cluster_of(found))
            named = {str(reference_of(value, path=path)) for value in limit.get("types") or ()}
            if limit.get("none") or (named and not named & there):
                raise _refused(name, why)


class LogicalClustersAreMade(MutateNothing):
    """LogicalClusters come and go with their Workspaces; users may only read them (and delete what says so).

    Administrators of all workspaces may take initializers off, as in kcp: else a workspace whose initializer nobody
    serves any more would wait for ever. Its owner may not, or what his workspace's type demands would bind nobody.
    """

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError."""
        attributes = request.attributes
        if attributes.user.is_master:
            return
        why = "LogicalCluster is made and kept by the server"
        if request.operation == "DELETE":
            if nested(request.old, "spec", "directlyDeletable"):
                return
            why = "LogicalCluster goes with its Workspace; this one cannot be deleted directly"
        elif attributes.subresource == "status":
            groups = subjects_in(attributes.user, attributes.cluster).groups
            if SYSTEM_KCP_ADMIN in groups and _only_initializers_go(request.old or {}, request.new or {}):
                return
            why = "the status is written by the server; initializers go through the virtual workspace of their type"
        elif request.operation == "UPDATE":
            _check_finalizer(request)
            before, now = (nested(obj, "spec", default={}) for obj in (request.old, request.new))
            if before == now:
                return
        raise forbidden("core.kcp.io", "logicalclusters", attributes.name, why)


def _only_initializers_go(old: Object, new: Object) -> bool:
    before, after = (dict(nested(obj, "status", default={})) for obj in (old, new))
    had, has = (set(status.pop("initializers", None) or ()) for status in (before, after))
    return before == after and has <= had


def _check_server_fields(old: Object | None, new: Object) -> None:
    """Where a workspace is, and whom it lets in, only the server writes there. Raises ForbiddenError."""
    for field in ("cluster", "URL"):
        if nested(new, "spec", field, default="") != nested(old, "spec", field, default=""):
            raise _refused(name_of(new), f"spec.{field} can only be set by system privileged users")
    before, after = (annotations_of(obj).get(REQUIRED_GROUPS_ANNOTATION) for obj in (old or new, new))
    if before != after:
        raise _refused(
            name_of(new), f"annotation {REQUIRED_GROUPS_ANNOTATION} can only be changed on the LogicalCluster"
        )


def _check_finalizer(request: Request) -> None:
    """Without it, what is in a logical cluster would stay for ever, and be nobody's. Raises ForbiddenError."""
    attributes = request.attributes
    old, new = (nested(obj, "metadata", default={}) for obj in (request.old, request.new))
    held = "deletionTimestamp" in old and FINALIZER in (old.get("finalizers") or ())
    if held and FINALIZER not in (new.get("finalizers") or ()):
        why = f"finalizer {FINALIZER} goes when everything in the logical cluster is deleted"
        raise forbidden(attributes.group, attributes.resource, request.name, why)


def _refused(name: str, why: str) -> ForbiddenError:
    return forbidden("tenancy.kcp.io", "workspaces", name, why)

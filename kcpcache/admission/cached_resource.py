"""CachedResources (behaviour §3.1) and endpoint slices (§4): one per resource, cluster scoped, nobody else's."""

from kcpcache.admission.chain import MutateNothing, Request, ValidateNothing
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.meta.errors import forbidden
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import name_of, nested
from kcpcache.meta.virtual_resources import (
    CACHED_RESOURCES,
    cached_resource_reference,
    group_version_resource_of,
)
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import Serving
from kcpcache.registry.virtual_sources import REFERENCE_ALLOWED_ANNOTATION


class OneCachedResource(MutateNothing):
    """Exactly one CachedResource per group-version-resource, of a cluster-scoped resource."""

    def __init__(self, lookup: Lookup, serving: Serving) -> None:
        self._lookup, self._serving = lookup, serving

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError naming the resource and the workspace, or the field and the scope."""
        obj = request.new
        if obj is None or request.attributes.subresource:
            return
        wanted = group_version_resource_of(obj)
        if request.old is not None and group_version_resource_of(request.old) == wanted:
            return
        cluster, name = request.attributes.cluster, name_of(obj)
        self._refuse_namespaced(cluster, name, wanted.group_resource)
        others = self._lookup.list(CACHED_RESOURCES, cluster)
        if request.old is None and any(name_of(other) == name for other in others):
            return  # the store answers AlreadyExists
        for other in others:
            if wanted.version and name_of(other) != name and group_version_resource_of(other) == wanted:
                path = self._lookup.clusters.path(cluster)
                why = f"CachedResource {name_of(other)!r} already replicates {wanted} in workspace {path}"
                raise forbidden(CACHED_RESOURCES.group, CACHED_RESOURCES.resource, name, why.replace("'", '"'))

    def _refuse_namespaced(self, cluster: str, name: str, resource: GroupResource) -> None:
        found = self._serving.snapshot(cluster).resources.get(resource)
        if found is not None and found.definition.namespaced:
            why = f"spec.resource: {resource} is of scope Namespaced, and only cluster-scoped resources can be cached"
            raise forbidden(CACHED_RESOURCES.group, CACHED_RESOURCES.resource, name, why)


class ReferenceAllowed(ValidateNothing):
    """Notes on a slice that refers to another workspace's CachedResource whether its creator could read that one."""

    def __init__(self, lookup: Lookup, authorizer: Authorizer) -> None:
        self._lookup, self._authorizer = lookup, authorizer

    async def mutate(self, request: Request) -> None:
        """Set the annotation on creation; the reference cannot change later."""
        obj = request.new
        if obj is None or request.operation != "CREATE" or not isinstance(nested(obj, "spec", "cachedResource"), dict):
            return
        reference = cached_resource_reference(obj)
        cluster = request.attributes.cluster
        found = self._lookup.cluster_at(reference.path, beside=cluster)
        meta = obj["metadata"]
        (meta.get("annotations") or {}).pop(REFERENCE_ALLOWED_ANNOTATION, None)
        if found is not None and found != cluster and self._may_read(request, found, reference.name):
            meta["annotations"] = {
                **(meta.get("annotations") or {}),
                REFERENCE_ALLOWED_ANNOTATION: f"{found}/{reference.name}",
            }

    def _may_read(self, request: Request, cluster: str, name: str) -> bool:
        group, version, resource = CACHED_RESOURCES
        user = request.attributes.user
        wanted = (
            Attributes(user=user, verb=verb, cluster=cluster, group=group, version=version, resource=resource, name=n)
            for verb, n in (("get", name), ("list", ""))
        )
        return all(self._authorizer.authorize(attributes).allowed for attributes in wanted)

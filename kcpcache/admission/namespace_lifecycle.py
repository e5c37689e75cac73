"""Nothing is created in a namespace or workspace that is not there or is going away (as in kube-apiserver and kcp)."""

from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.meta.errors import StatusCause, forbidden, not_found
from kcpcache.meta.names import GroupResource
from kcpcache.registry.lookup import Lookup

_NAMESPACES = GroupResource("", "namespaces")
IMMORTAL = frozenset({"default"})


class NamespaceLifecycle(MutateNothing):
    """For every resource."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def validate(self, request: Request) -> None:
        """Raises NotFoundError for a missing namespace, ForbiddenError for what is being deleted."""
        attributes = request.attributes
        self._refuse_in_deleted_workspace(request)
        if (attributes.group, attributes.resource) == _NAMESPACES:
            if request.operation == "DELETE" and attributes.name in IMMORTAL and not attributes.user.is_master:
                raise forbidden("", "namespaces", attributes.name, "this namespace may not be deleted")
            return
        namespace = attributes.namespace
        if request.operation != "CREATE" or not namespace:
            return
        entry = self._lookup.cache(_NAMESPACES).get(attributes.cluster, namespace)
        if entry is None:
            raise not_found("", "namespaces", namespace)
        if entry.deleting:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            error = forbidden(attributes.group, attributes.resource, request.name, why)
            said = f"namespace {namespace} is being terminated"
            error.causes = (StatusCause("NamespaceTerminating", said, "metadata.namespace"),)
            raise error

    def _refuse_in_deleted_workspace(self, request: Request) -> None:
        attributes = request.attributes
        workspace = self._lookup.clusters.get(attributes.cluster)
        if request.operation == "CREATE" and workspace is not None and workspace.deleting:
            why = f"unable to create new content in workspace {workspace.path} because it is being deleted"
            raise forbidden(attributes.group, attributes.resource, attributes.name, why)

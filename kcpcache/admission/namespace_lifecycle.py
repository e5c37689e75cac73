"""Nothing is created in a namespace that is not there or is going away; ``default`` stays (as in kube-apiserver)."""

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
        """Raises NotFoundError for a missing namespace, ForbiddenError for one that is being deleted."""
        attributes = request.attributes
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
            error = forbidden(attributes.group, attributes.resource, str(request.attributes.name), why)
            error.causes = (StatusCause("NamespaceTerminating", f"namespace {namespace} is being terminated"),)
            raise error

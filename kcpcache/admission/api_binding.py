"""APIBindings and APIExports (behaviour §6): who may bind or have bound, and what an export may say."""

from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.auth.attributes import bind_attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.meta.errors import ForbiddenError, forbidden
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, copy, name_of, nested
from kcpcache.registry.kcp.conversion import V1ALPHA1, V1ALPHA2, convert_api_binding, convert_api_export
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.system import builtin_definitions
from kcpcache.registry.virtual_sources import API_EXPORTS


class MayBind(MutateNothing):
    """Creating an APIBinding, or an APIExportEndpointSlice, needs the verb ``bind`` on the APIExport, where that is."""

    def __init__(self, lookup: Lookup, authorizer: Authorizer) -> None:
        self._lookup, self._authorizer = lookup, authorizer

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError: the same one where the export does not exist, so that nobody can probe for it."""
        if request.operation != "CREATE" or request.new is None:
            return
        path, name = _reference(request.new)
        cluster = self._lookup.cluster_at(path, beside=request.attributes.cluster)
        exists = cluster is not None and self._lookup.get(API_EXPORTS, cluster, name) is not None
        if not exists or not _may_bind(self._lookup, self._authorizer, request, path, name):
            raise _no_permission(self._lookup, request, path, name)


class MayBindWhatIsNamed(MutateNothing):
    """Whoever names APIExports that others bind by it needs the verb ``bind`` on each: for WorkspaceTypes.

    Else a type's ``defaultAPIBindings`` would bind what its author may not. As in kcp, they need not exist yet.
    """

    def __init__(self, lookup: Lookup, authorizer: Authorizer) -> None:
        self._lookup, self._authorizer = lookup, authorizer

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError: the same one where the export's workspace does not exist."""
        if request.new is None or request.attributes.subresource:
            return
        before = _named_exports(request.old) if request.old else []
        for path, name in _named_exports(request.new):
            allowed = (path, name) in before or _may_bind(self._lookup, self._authorizer, request, path, name)
            if not allowed:
                raise _no_permission(self._lookup, request, path, name)


def _reference(obj: Object) -> tuple[str, str]:
    """Path and name of the APIExport of an APIBinding or an APIExportEndpointSlice."""
    reference = nested(obj, "spec", "reference", "export") or nested(obj, "spec", "export") or {}
    return str(reference.get("path") or ""), str(reference.get("name") or "")


def _named_exports(obj: Object) -> list[tuple[str, str]]:
    """Path and name of each APIExport in a WorkspaceType."""
    found = nested(obj, "spec", "defaultAPIBindings") or ()
    return [(str(one.get("path") or ""), str(one.get("export") or "")) for one in found]


def _may_bind(lookup: Lookup, authorizer: Authorizer, request: Request, path: str, name: str) -> bool:
    cluster = lookup.cluster_at(path, beside=request.attributes.cluster)
    user = request.attributes.user
    return authorizer.authorize_reference(bind_attributes(user, cluster or path, name)).allowed


def _no_permission(lookup: Lookup, request: Request, path: str, name: str) -> ForbiddenError:
    attributes = request.attributes
    export = f"{path or lookup.clusters.path(attributes.cluster)}:{name}"
    kind = (request.new or {}).get("kind", attributes.resource)
    why = f"unable to {request.operation.lower()} {kind}: no permission to bind to export {export}"
    return forbidden(attributes.group, attributes.resource, request.name, why)


class ClaimsNeedIdentity(MutateNothing):
    """A permission claim on a resource that is not built in must say whose it is. For exports and bindings."""

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError that names the claim."""
        if request.new is None or request.attributes.subresource:
            return
        new, old = _in_new_form(request.new), request.old and _in_new_form(request.old)
        before = nested(old, "spec", "permissionClaims", default=None) or []
        for index, claim in enumerate(nested(new, "spec", "permissionClaims", default=None) or []):
            key = GroupResource(claim.get("group") or "", str(claim.get("resource")))
            if not claim.get("identityHash") and key not in _without_identity() and claim not in before:
                attributes = request.attributes
                where = f"spec.permissionClaims[{index}].identityHash"
                why = f"{where}: {key} is not built in, so the claim must name the identity of its APIExport"
                raise forbidden(attributes.group, attributes.resource, name_of(request.new), why)


def _in_new_form(obj: Object) -> Object:
    """In v1alpha2, where annotations of the older version become what they say."""
    if obj.get("apiVersion") != V1ALPHA1:
        return obj
    convert = convert_api_export if obj.get("kind") == "APIExport" else convert_api_binding
    return convert(copy(obj), V1ALPHA2)


def _without_identity() -> frozenset[GroupResource]:
    apis = {GroupResource("apis.kcp.io", plural) for plural in ("apibindings", "apiexports", "apiresourceschemas")}
    more = {GroupResource("core.kcp.io", "logicalclusters"), GroupResource("tenancy.kcp.io", "workspaces")}
    return frozenset({*builtin_definitions(), *apis, *more})


class VirtualStorageAllowed(MutateNothing):
    """With the feature gate CachedAPIs off, no export may use ``storage.virtual``."""

    def __init__(self, *, cached_apis: bool) -> None:
        self._allowed = cached_apis

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError that names the gate."""
        if self._allowed or request.new is None or request.attributes.subresource:
            return
        entries: list[Object] = nested(_in_new_form(request.new), "spec", "resources", default=None) or []
        for index, entry in enumerate(entries):
            if nested(entry, "storage", "virtual") is not None:
                why = f"spec.resources[{index}].storage.virtual: virtual storage needs the feature gate CachedAPIs"
                raise forbidden("apis.kcp.io", "apiexports", name_of(request.new), why)

"""What is kcp's own: API groups under ``kcp.io``, status of bindings and exports, internal annotations."""

from kcpcache.admission.chain import MutateNothing, Request, ValidateNothing
from kcpcache.meta.errors import forbidden
from kcpcache.meta.objects import Object, nested

INTERNAL_ANNOTATIONS = ("internal.", "experimental.tenancy.kcp.io/owner", "kcp.io/path", "kcp.io/shard")
"""Prefixes of annotations that only the server (and system:masters) sets; ``internal.`` ones end in ``kcp.io/…``."""


def is_internal(key: str) -> bool:
    """Whether an annotation or label key is the server's."""
    if key.startswith("internal."):
        return key.partition("/")[0].endswith(".kcp.io")
    return key.startswith(INTERNAL_ANNOTATIONS[1:])


class ReservedMetadata(ValidateNothing):
    """Internal annotations stay as they are, whatever a client sends. For every resource."""

    async def mutate(self, request: Request) -> None:
        """Put back the old ones, drop new ones."""
        if request.new is None or request.attributes.user.is_master:
            return
        meta = request.new["metadata"]
        given = meta.get("annotations") or {}
        before = nested(request.old, "metadata", "annotations", default=None) or {}
        kept = {key: value for key, value in before.items() if is_internal(key)}
        found = {key: value for key, value in given.items() if not is_internal(key)} | kept
        if found != given:
            meta["annotations"] = found
            if not found:
                del meta["annotations"]


class ReservedGroups(MutateNothing):
    """Only the server defines types in ``kcp.io`` and below. For CRDs and APIResourceSchemas."""

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError."""
        if request.operation != "CREATE" or request.attributes.user.is_master:
            return
        group = str(nested(request.new, "spec", "group", default=""))
        if group == "kcp.io" or group.endswith(".kcp.io"):
            attributes = request.attributes
            why = f"group {group} is reserved: types of kcp.io and its subdomains are the server's own"
            raise forbidden(attributes.group, attributes.resource, _name(request.new), why)


class ReservedStatus(MutateNothing):
    """The status of APIBindings and APIExports decides who sees what: only system:masters may write it."""

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError."""
        attributes = request.attributes
        if attributes.subresource == "status" and not attributes.user.is_master:
            why = "the status is written by the server only"
            raise forbidden(attributes.group, f"{attributes.resource}/status", attributes.name, why)


def _name(obj: Object | None) -> str:
    return str(nested(obj, "metadata", "name", default=""))

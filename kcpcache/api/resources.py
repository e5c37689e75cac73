"""The verbs on objects: get, list, create, update, delete, deletecollection. Watch and patch have their own modules."""

from typing import Final

from kcpcache.api.call import CREATED, OK, Call
from kcpcache.api.decoding import decode_body
from kcpcache.api.options import delete_options, list_options, resource_version
from kcpcache.api.paths import RequestInfo
from kcpcache.auth.authorize import forbid
from kcpcache.meta.errors import (
    FieldError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    conflict,
    method_not_allowed,
)
from kcpcache.meta.names import GroupResource, api_version
from kcpcache.meta.objects import Object, copy, metadata
from kcpcache.registry.beside import computed
from kcpcache.registry.resource import ResourceDefinition
from kcpcache.registry.view import Written
from kcpcache.registry.write_checks import check_decodes

_RBAC, _EVENTS_GROUP = "rbac.authorization.k8s.io", "events.k8s.io"
CREATED_BY_UPDATE: Final = frozenset(
    {
        GroupResource("", "events"),
        GroupResource("", "limitranges"),
        GroupResource("coordination.k8s.io", "leases"),
        GroupResource(_EVENTS_GROUP, "events"),
        *(GroupResource(_RBAC, p) for p in ("clusterrolebindings", "clusterroles", "rolebindings", "roles")),
    }
)
"""Types of which a PUT may create the object (their strategies' ``AllowCreateOnUpdate`` in Kubernetes)."""


_UNCONDITIONAL: Final = frozenset(
    {
        *(("", p) for p in ("configmaps", "events", "limitranges", "namespaces", "resourcequotas", "secrets")),
        ("", "serviceaccounts"),
        *((_RBAC, p) for p in ("clusterrolebindings", "clusterroles", "rolebindings", "roles")),
        ("certificates.k8s.io", "certificatesigningrequests"),
        (_EVENTS_GROUP, "events"),
    }
)


def needs_version(definition: ResourceDefinition) -> bool:
    """Whether a PUT must name the version that it replaces (in Kubernetes: no ``AllowUnconditionalUpdate``)."""
    return definition.group_resource not in _UNCONDITIONAL


async def get(call: Call) -> None:
    """One object, or (subresource ``status`` and the like) the same object."""
    info = call.info
    version = resource_version(info.value("resourceVersion"))
    item = await call.view.get(info.namespace, info.name, resource_version=version)
    await call.respond_item(OK, item)


async def list_objects(call: Call) -> None:
    """A list, piece by piece."""
    shaper = call.shaper()
    listing = await call.view.list(list_options(call.info))
    if listing.unreadable:
        call.exchange.warnings.append(f"{listing.unreadable} {call.info.resource} cannot be read and are left out")
    await call.exchange.respond_chunks(OK, shaper.chunks(listing))


async def create(call: Call) -> None:
    """A new object: 201."""
    info, shaper = call.info, call.shaper()
    if info.subresource or call.definition.verbs == ("create",):
        await _review(call)
        return
    options = call.write_options()
    body = await call.decode(options)
    written = await call.view.create(info.namespace, body.object, options, call.admission(options))
    await call.exchange.respond(CREATED, shaper.item(written.item))


async def _review(call: Call) -> None:
    """What is answered and never stored."""
    info = call.info
    if info.subresource and "create" not in call.version.subresources.get(info.subresource, ()):
        raise method_not_allowed(info.group, f"{info.resource}/{info.subresource}", "create")
    options = call.write_options()
    obj = (await call.decode(options)).object
    if not info.subresource:
        obj.setdefault("apiVersion", api_version(info.group, info.version))
        obj.setdefault("kind", call.definition.kind)
    if info.namespace and not info.subresource and isinstance(obj.setdefault("metadata", {}), dict):
        obj["metadata"].setdefault("namespace", info.namespace)
    found = await call.services.reviews.review(info, obj, call.workspace.user, call.workspace.cluster)
    await call.exchange.respond_json(CREATED, found)


async def update(call: Call) -> None:
    """The object (or its status, …) replaced by the body."""
    info = call.info
    options = call.write_options()
    body = (await call.decode(options)).object
    pinned = bool(metadata(body).get("resourceVersion"))
    may_create = call.definition.group_resource in CREATED_BY_UPDATE and not info.subresource
    refusal = create_refusal(call) if may_create else None  # asked now: see ``patches.patch``

    def change(live: Object | None) -> Object:
        if live is None:
            if refusal is not None:
                raise refusal
            if may_create and pinned:  # a version means nothing where there is none to replace
                return {**body, "metadata": {**metadata(body), "resourceVersion": None}}
        elif _is_addressed(body, info):
            _check_preconditions(call, body, live)
        # Without a resourceVersion there may be a second attempt, and the first one changes what it gets.
        return body if pinned else copy(body)

    try:
        written = await call.view.update(
            info.namespace,
            info.name,
            change,
            options,
            call.admission(options),
            subresource=info.subresource,
            create_if_missing=may_create,
        )
    except NotFoundError:
        # A body that can be no object of the type is refused as that, whether or not there is one to replace.
        await computed(options.weight, check_decodes, call.definition, call.version, body, options)
        raise
    await respond_written(call, written)


def _check_preconditions(call: Call, body: Object, live: Object) -> None:
    """A PUT means the object with the uid that it names, and one version of it. Raises ConflictError, InvalidError."""
    info, meta = call.info, metadata(body)
    uid, live_uid = meta.get("uid"), metadata(live).get("uid")
    if uid and uid != live_uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live_uid}"
        raise conflict(info.group, info.resource, info.name, why)
    if not meta.get("resourceVersion") and needs_version(call.definition):
        why = "must be specified for an update"
        error = FieldError("FieldValueInvalid", "metadata.resourceVersion", f"Invalid value: 0x0: {why}")
        raise InvalidError(info.group, info.resource, info.name, [error])


def _is_addressed(body: Object, info: RequestInfo) -> bool:
    """Whether it is the URL's object; another's name or namespace is what is said first."""
    meta = metadata(body)
    return meta.get("name") == info.name and meta.get("namespace") in {None, "", info.namespace}


def create_refusal(call: Call) -> ForbiddenError | None:
    """Why a write that turns out to create may not: it needs the verb ``create`` as well."""
    if call.workspace.authorize is None:
        return None
    attributes = call.attributes
    wanted = type(attributes)(
        user=attributes.user,
        verb="create",
        cluster=attributes.cluster,
        group=attributes.group,
        version=attributes.version,
        resource=attributes.resource,
        namespace=attributes.namespace,
        name=attributes.name,
    )
    decision = call.workspace.authorize(wanted)
    return None if decision.allowed else forbid(wanted, decision)


async def respond_written(call: Call, written: Written) -> None:
    """Answer an update or patch."""
    await call.respond_item(CREATED if written.created else OK, written.item)


async def delete(call: Call) -> None:
    """Delete one object: a Status where it is gone, the object where finalizers hold it."""
    info = call.info
    options = delete_options(info, await _delete_body(call), warnings=call.exchange.warnings)
    written = await call.view.delete(info.namespace, info.name, options, call.admission(options))
    if not written.deleted:
        await call.respond_item(OK, written.item)
        return
    named = {"name": info.name, "group": info.group, "kind": info.resource, "uid": written.item.entry.uid}
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in named.items() if value},
    }
    await call.exchange.respond_json(OK, status)


async def delete_collection(call: Call) -> None:
    """Delete what the query selects; the answer lists what was deleted."""
    options = delete_options(call.info, await _delete_body(call), warnings=call.exchange.warnings)
    shaper = call.shaper()
    listing = await call.view.delete_collection(list_options(call.info), options, call.admission(options))
    await call.exchange.respond_chunks(OK, shaper.chunks(listing))


async def _delete_body(call: Call) -> Object:
    data = await call.exchange.body()
    if not data:
        return {}
    content_type = call.exchange.header(b"content-type")
    return (await decode_body(data, content_type, protobuf_allowed=True, strict=False)).object

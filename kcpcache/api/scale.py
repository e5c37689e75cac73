"""The scale subresource: an ``autoscaling/v1 Scale`` read from and written into any object that has replicas."""

from typing import Any, Final

from kcpcache.api.call import OK, Call
from kcpcache.api.options import resource_version
from kcpcache.api.patches import checked_patch_type, patch_function
from kcpcache.meta.errors import (
    BadRequestError,
    InvalidError,
    conflict,
    field_invalid,
    not_found,
    path_not_found,
)
from kcpcache.meta.objects import Object, metadata
from kcpcache.registry.resource import Scale
from kcpcache.registry.scale import SCALE_GROUP, SCALE_KIND, SCALE_VERSION, scale_of, set_replicas
from kcpcache.registry.view import Item

_MOST_REPLICAS: Final = 2**31 - 1


async def get_scale(call: Call) -> None:
    """The Scale of one object."""
    info = call.info
    version = resource_version(info.value("resourceVersion"))
    item = await call.view.get(info.namespace, info.name, resource_version=version)
    await call.exchange.respond_json(OK, scale_of(item.object(), _paths(call)))


async def update_scale(call: Call) -> None:
    """Replicas as the Scale in the body says."""
    options = call.write_options()
    body = (await call.decode(options)).object

    def change(live: Object | None) -> Object:
        return _scaled(call, live, body)

    await _write(call, change, options)


async def patch_scale(call: Call) -> None:
    """Replicas as the patched Scale says."""
    kind = checked_patch_type(call, scale=True)
    options = call.write_options()
    apply = patch_function(call, kind, await call.exchange.body(), options)

    def change(live: Object | None) -> Object:
        if live is None:
            raise not_found(call.info.group, call.info.resource, call.info.name)
        before = scale_of(live, _paths(call))
        version = before["metadata"].get("resourceVersion")
        patched = apply(before)
        if metadata(patched).get("resourceVersion") == version:
            metadata(patched).pop("resourceVersion", None)
        return _scaled(call, live, patched)

    await _write(call, change, options)


async def _write(call: Call, change: Any, options: Any) -> None:
    info = call.info
    written = await call.view.update(
        info.namespace, info.name, change, options, call.admission(options), subresource=info.subresource
    )
    item: Item = written.item
    await call.exchange.respond_json(OK, scale_of(item.object(), _paths(call)))


def _paths(call: Call) -> Scale:
    if call.version.scale is None:
        raise path_not_found()
    return call.version.scale


def _scaled(call: Call, live: Object | None, scale: Object) -> Object:
    """``live`` with the replicas of ``scale``. Raises InvalidError, BadRequestError, ConflictError."""
    info = call.info
    if live is None:
        raise not_found(info.group, info.resource, info.name)
    _check_identity(call, scale)
    spec = scale.get("spec", {})
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise BadRequestError("spec.replicas of a Scale must be an integer")
    if not 0 <= replicas <= _MOST_REPLICAS:
        wrong = field_invalid("spec.replicas", replicas, "must be greater than or equal to 0, and fit into 32 bits")
        raise InvalidError(SCALE_GROUP, SCALE_KIND, info.name, [wrong])
    asked = metadata(scale)
    uid = asked.get("uid")
    if uid and uid != metadata(live).get("uid"):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata(live).get('uid')}"
        raise conflict(info.group, info.resource, info.name, why)
    metadata(live).pop("resourceVersion", None)
    if asked.get("resourceVersion"):
        metadata(live)["resourceVersion"] = asked["resourceVersion"]
    set_replicas(live, _paths(call), replicas)
    return live


def _check_identity(call: Call, scale: Object) -> None:
    given = scale.get("apiVersion"), scale.get("kind")
    if given not in ((f"{SCALE_GROUP}/{SCALE_VERSION}", SCALE_KIND), (None, None)):
        raise BadRequestError(f"the object provided is unrecognized (must be of type Scale): {given[0]}, {given[1]}")
    name = metadata(scale).get("name")
    if name not in (None, "", call.info.name):
        raise BadRequestError(f"the name of the object ({name}) does not match the name on the URL ({call.info.name})")

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
from kcpcache.meta.jsonpath import compile_jsonpath
from kcpcache.meta.objects import Object, metadata
from kcpcache.registry.resource import Scale
from kcpcache.registry.view import Item

SCALE_GROUP, SCALE_VERSION, SCALE_KIND = "autoscaling", "v1", "Scale"
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


def scale_of(obj: Object, paths: Scale) -> Object:
    """The Scale of an object. What is missing, or no number, counts as 0."""
    meta = metadata(obj)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": _replicas(obj, paths.status_replicas_path)}
    selector = compile_jsonpath(paths.label_selector_path)(obj) if paths.label_selector_path else []
    if selector and isinstance(selector[0], str) and selector[0]:
        status["selector"] = selector[0]
    return {
        "kind": SCALE_KIND,
        "apiVersion": f"{SCALE_GROUP}/{SCALE_VERSION}",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": _replicas(obj, paths.spec_replicas_path)},
        "status": status,
    }


def _replicas(obj: Object, path: str) -> int:
    found = compile_jsonpath(path)(obj)
    return found[0] if found and isinstance(found[0], int) and not isinstance(found[0], bool) else 0


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
    *parents, last = _paths(call).spec_replicas_path.removeprefix(".").split(".")
    target = live
    for parent in parents:
        child = target.get(parent)
        target[parent] = child if isinstance(child, dict) else {}
        target = target[parent]
    target[last] = replicas
    return live


def _check_identity(call: Call, scale: Object) -> None:
    given = scale.get("apiVersion"), scale.get("kind")
    if given not in ((f"{SCALE_GROUP}/{SCALE_VERSION}", SCALE_KIND), (None, None)):
        raise BadRequestError(f"the object provided is unrecognized (must be of type Scale): {given[0]}, {given[1]}")
    name = metadata(scale).get("name")
    if name not in (None, "", call.info.name):
        raise BadRequestError(f"the name of the object ({name}) does not match the name on the URL ({call.info.name})")

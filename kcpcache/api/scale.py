"""The scale subresource: an ``autoscaling/v1 Scale`` read from and written into any object that has replicas."""

import re
from typing import Final

from kcpcache.api.call import OK, Call, check_metadata
from kcpcache.api.decoding import decode_yaml_object
from kcpcache.api.options import resource_version
from kcpcache.api.patches import (
    APPLY_PATCH,
    apply_configuration,
    checked_patch_type,
    complain_of_yaml,
    patch_function,
)
from kcpcache.meta.errors import (
    BadRequestError,
    ConflictError,
    InvalidError,
    StatusCause,
    conflict,
    field_invalid,
    not_found,
    path_not_found,
)
from kcpcache.meta.objects import Object, metadata
from kcpcache.registry.resource import Scale
from kcpcache.registry.scale import MOST_REPLICAS, SCALE_GROUP, SCALE_KIND, SCALE_VERSION, scale_of, set_replicas
from kcpcache.registry.view import Change, Item, WriteOptions
from kcpcache.registry.write_steps import warn

_REPLICAS: Final = ".spec.replicas"
_VERSION: Final = re.compile(r"using [^\s:]+")
"""In which version somebody else owns a field, as errors say it."""


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
    if unknown := call.unknown_fields(body):
        if options.field_validation == "Strict":
            why = f"strict decoding error: {', '.join(unknown)}"
            raise BadRequestError(f'Scale in version "v1" cannot be handled as a Scale: {why}')
        _warn_of(unknown, options)

    def change(live: Object | None) -> Object:
        return _scaled(call, live, body)

    await _write(call, change, options)


async def patch_scale(call: Call) -> None:
    """Replicas as the patched Scale says."""
    kind = checked_patch_type(call, scale=True)
    options = call.write_options(apply=kind == APPLY_PATCH)
    data = await call.exchange.body()
    if kind == APPLY_PATCH:
        await _apply_scale(call, data, options)
        return
    apply = patch_function(call, kind, data, options)

    def change(live: Object | None) -> Object:
        if live is None:
            raise not_found(call.info.group, call.info.resource, call.info.name)
        before = scale_of(live, _paths(call))
        version = before["metadata"].get("resourceVersion")
        patched = apply(before)
        _warn_of(call.unknown_fields(patched), options)
        if metadata(patched).get("resourceVersion") == version:
            metadata(patched).pop("resourceVersion", None)
        return _scaled(call, live, patched)

    await _write(call, change, options)


async def _apply_scale(call: Call, data: bytes, options: WriteOptions) -> None:
    """A server-side apply of a Scale: its manager owns the replicas in the object, as of subresource ``scale``."""
    body = await decode_yaml_object(data)
    scale = body.object
    check_metadata(scale)

    def change(live: Object | None) -> Object:
        if live is None:
            raise not_found(call.info.group, call.info.resource, call.info.name)
        if metadata(scale).get("managedFields") is not None:
            raise BadRequestError("metadata.managedFields must be nil")
        if scale.get("apiVersion") is None or scale.get("kind") is None:
            raise BadRequestError("an apply configuration must have its apiVersion and kind")
        configuration = {key: live[key] for key in ("apiVersion", "kind")}
        configuration["metadata"] = {"name": call.info.name}
        replicas = _replicas(scale)
        if "replicas" in scale.get("spec", {}):
            set_replicas(configuration, _paths(call), replicas)
        _check_identity(call, scale)
        try:
            applied = apply_configuration(call, live, configuration, options)
        except ConflictError as error:
            raise _conflict_about_replicas(error) from None
        complain_of_yaml(body.complaints, options)
        return _pinned(call, applied, live, scale)

    await _write(call, change, options)


def _warn_of(unknown: list[str], options: WriteOptions) -> None:
    if options.field_validation != "Ignore":
        warn(options, unknown)


def _conflict_about_replicas(error: ConflictError) -> ConflictError:
    """The conflict as one of Scales: what others own is ``spec.replicas`` of theirs, wherever the object keeps it."""
    fields = {cause.field for cause in error.causes}
    message = _VERSION.sub(f"using {SCALE_GROUP}/{SCALE_VERSION}", str(error))
    for field in fields:
        message = message.replace(field, _REPLICAS)
    causes = [
        StatusCause(cause.reason, _VERSION.sub(f"using {SCALE_GROUP}/{SCALE_VERSION}", cause.message), _REPLICAS)
        for cause in error.causes
    ]
    return ConflictError(message, causes=causes)


async def _write(call: Call, change: Change, options: WriteOptions) -> None:
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
    replicas = _replicas(scale)
    _pinned(call, live, live, scale)
    set_replicas(live, _paths(call), replicas)
    return live


def _replicas(scale: Object) -> int:
    spec = scale.get("spec", {})
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise BadRequestError("spec.replicas of a Scale must be an integer")
    if replicas > MOST_REPLICAS:  # a negative number is the object's to refuse
        wrong = field_invalid("spec.replicas", replicas, "must fit into 32 bits")
        raise InvalidError(SCALE_GROUP, SCALE_KIND, "", [wrong])
    return replicas


def _pinned(call: Call, obj: Object, live: Object, scale: Object) -> Object:
    """``obj`` with the resourceVersion that the Scale names, or none. Raises ConflictError for another uid."""
    info, asked = call.info, metadata(scale)
    uid = asked.get("uid")
    if uid and uid != metadata(live).get("uid"):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata(live).get('uid')}"
        raise conflict(info.group, info.resource, info.name, why)
    metadata(obj).pop("resourceVersion", None)
    if asked.get("resourceVersion"):
        metadata(obj)["resourceVersion"] = asked["resourceVersion"]
    return obj


def _check_identity(call: Call, scale: Object) -> None:
    given = scale.get("apiVersion"), scale.get("kind")
    if given not in ((f"{SCALE_GROUP}/{SCALE_VERSION}", SCALE_KIND), (None, None)):
        raise BadRequestError(f"the object provided is unrecognized (must be of type Scale): {given[0]}, {given[1]}")
    name = metadata(scale).get("name")
    if name not in (None, "", call.info.name):
        raise BadRequestError(f"the name of the object ({name}) does not match the name on the URL ({call.info.name})")

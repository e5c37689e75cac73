"""PATCH in its four kinds. A patch without a resourceVersion is applied again where another writer was faster."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import orjson

from kcpcache.api.call import Call, check_metadata
from kcpcache.api.decoding import decode_yaml_object, media_type, yaml_errors
from kcpcache.api.json_body import complaints as complaints_of
from kcpcache.api.json_body import decode_json, duplicate_fields
from kcpcache.api.resources import create_refusal, respond_written
from kcpcache.meta import managed_fields
from kcpcache.meta.errors import (
    REDACTED,
    BadRequestError,
    InvalidError,
    StatusError,
    UnsupportedMediaTypeError,
    conflict,
    field_invalid,
    not_found,
)
from kcpcache.meta.names import GroupResource, api_version
from kcpcache.meta.objects import Object, copy, metadata, timestamp
from kcpcache.meta.patch.json_patch import PatchRejectedError, apply_json_patch, undecodable
from kcpcache.meta.patch.merge_patch import apply_merge_patch
from kcpcache.meta.patch.strategic_merge_patch import apply_strategic_merge_patch
from kcpcache.registry.beside import LIGHT_BYTES, computed, keep
from kcpcache.registry.resource import ResourceDefinition
from kcpcache.registry.view import WriteOptions
from kcpcache.registry.write_steps import UndecodableError, warn

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

_SECRETS: Final = GroupResource("", "secrets")
_OPERATION: Final = frozenset({"op", "path", "from", "value"})

Patch: TypeAlias = Callable[[Object], Object]


def patch_types(definition: ResourceDefinition, *, scale: bool = False) -> tuple[str, ...]:
    """The content types that a PATCH of this resource (or of its Scale) takes, in kube's order."""
    if definition.origin == "builtin" and not scale:
        return (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH)
    return (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)


def checked_patch_type(call: Call, *, scale: bool = False) -> str:
    """The request's content type. Raises UnsupportedMediaTypeError with the ones that there are."""
    kind = media_type(call.exchange.header(b"content-type"))
    allowed = patch_types(call.definition, scale=scale)
    if kind not in allowed:
        raise UnsupportedMediaTypeError(
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(allowed)
        )
    return kind


async def patch(call: Call) -> None:
    """The object (or its status, …) changed by the body."""
    kind = checked_patch_type(call)
    options = call.write_options(apply=kind == APPLY_PATCH)
    data = await call.exchange.body()
    options.weight = len(data)
    if kind == APPLY_PATCH:
        change = await _apply_change(call, data, options)
    elif len(data) <= LIGHT_BYTES:
        change = _change(call, kind, data, options)
    else:
        change = await computed(len(data), _change, call, kind, data, options)
    try:
        written = await call.view.update(
            call.info.namespace,
            call.info.name,
            change,
            options,
            call.admission(options),
            subresource=call.info.subresource,
            create_if_missing=kind == APPLY_PATCH and not call.info.subresource,
        )
    except UndecodableError as error:
        text = _shown_patched(call, change) or data.decode(errors="replace")
        raise _rejected_patch(call, text, error.why) from error
    await respond_written(call, written)


def _change(call: Call, kind: str, data: bytes, options: WriteOptions) -> Callable[[Object | None], Object]:
    return _Patched(call, patch_function(call, kind, data, options))


class _Patched:
    """Patches the live object, and keeps what came out, which an error may have to show."""

    def __init__(self, call: Call, apply: Patch) -> None:
        self._info, self._apply = call.info, apply
        self.found: Object = {}
        self.version: Any = None

    def __call__(self, live: Object | None) -> Object:
        if live is None:
            raise not_found(self._info.group, self._info.resource, self._info.name)
        self.version = metadata(live).get("resourceVersion")
        self.found = self._apply(live)
        return _unpinned(self.found, self.version)


def _shown_patched(call: Call, change: object) -> str:
    """The patched custom object as kube-apiserver shows it, with its members in order; "" for other types.

    There the patch is made on JSON, and what comes out is decoded.
    """
    if not call.definition.is_custom or not isinstance(change, _Patched):
        return ""
    shown = {**change.found, "metadata": {"resourceVersion": change.version, **metadata(change.found)}}
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS).decode()


def patch_function(call: Call, kind: str, data: bytes, options: WriteOptions) -> Patch:
    """A function that patches an object of its caller's. It is this that raises BadRequestError for what is no patch.

    kube-apiserver reads a patch when it has the object: where there is none, that is what it says.
    """
    try:
        return _patch_function(call, kind, data, options)
    except StatusError as error:
        refused = error

    def refuse(_live: Object) -> Object:
        raise refused

    return refuse


def _patch_function(call: Call, kind: str, data: bytes, options: WriteOptions) -> Patch:
    document = decode_json(data)
    if kind == MERGE_PATCH and not isinstance(document, dict | None):
        raise undecodable(document, "map[string]interface {}")
    if len(data) > LIGHT_BYTES:
        keep(document)
    said = [] if options.field_validation == "Ignore" else _complaints(kind, data, document)
    schema = call.version.schema.schema
    if kind == MERGE_PATCH and call.definition.normalize_patch is not None and isinstance(document, dict):
        call.definition.normalize_patch(document)

    def apply(live: Object) -> Object:
        patched: Any
        if kind == JSON_PATCH:
            patched = apply_json_patch(live, copy(document))
        elif kind == MERGE_PATCH:
            patched = apply_merge_patch(live, copy(document))
        else:
            patched = apply_strategic_merge_patch(live, copy(document), schema)
        if not isinstance(patched, dict):
            raise PatchRejectedError("the patch leaves no object")
        check_metadata(patched)
        if options.field_validation == "Strict":
            _refuse(call, [*said, *call.unknown_fields(patched)], patched)
        warn(options, said)
        return patched

    return apply


def _complaints(kind: str, data: bytes, document: Any) -> list[str]:
    """What strict decoding says of the patch itself."""
    if kind != JSON_PATCH:
        return [f'duplicate field "{path}"' for path in duplicate_fields(data, document)]
    operations = document if isinstance(document, list) else []
    unknown = {
        f"[{index}].{key}"
        for index, operation in enumerate(operations)
        if isinstance(operation, dict) and not operation.keys() <= _OPERATION
        for key in operation.keys() - _OPERATION
    }
    return [f"json patch {text}" for text in complaints_of(data, document, unknown)]


def _refuse(call: Call, errors: list[str], patched: Object) -> None:
    """Raises InvalidError as kube-apiserver does: of a patch, what is wrong is the patched object."""
    if errors:
        sort = 0 if call.definition.origin == "builtin" else orjson.OPT_SORT_KEYS
        text = orjson.dumps(patched, option=sort).decode()
        raise _rejected_patch(call, text, f"strict decoding error: {', '.join(errors)}")


def _rejected_patch(call: Call, text: str, why: str) -> InvalidError:
    """kube-apiserver's error, which quotes ``text``; not where that is a Secret, since errors go into logs."""
    shown = REDACTED if call.definition.group_resource == _SECRETS else text
    return InvalidError("", "", "", [field_invalid("patch", shown, why)])


async def _apply_change(call: Call, data: bytes, options: WriteOptions) -> Callable[[Object | None], Object]:
    """A server-side apply (KEP-555) of the configuration in ``data``, which is YAML."""
    body = await decode_yaml_object(data)
    check_metadata(body.object)
    if call.definition.normalize is not None:  # fields are owned, and compared with what is stored, in the long form
        await computed(len(data), call.definition.normalize, body.object)
    refusal = create_refusal(call)  # asked now: a change may be computed beside the event loop

    def change(live: Object | None) -> Object:
        if live is None:
            if refusal is not None:
                raise refusal
            _refuse_uid(call, metadata(body.object).get("uid"))
            metadata(body.object).pop("resourceVersion", None)  # only of an object that is there it means anything
        applied = apply_configuration(call, live, body.object, options)
        complain_of_yaml(body.complaints, options)
        return applied if live is None else _unpinned(applied, metadata(live).get("resourceVersion"))

    return change


def _refuse_uid(call: Call, uid: object) -> None:
    """An apply that names an object's uid means that object, and makes no other. Raises ConflictError."""
    if uid:
        info = call.info
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(info.group, info.resource, info.name, why)


def apply_configuration(call: Call, live: Object | None, configuration: Object, options: WriteOptions) -> Object:
    """The object that the request's field manager gets by applying. Raises what ``managed_fields.apply`` raises."""
    info = call.info
    return managed_fields.apply(
        live,
        configuration,
        manager=options.field_manager,
        schema=call.version.schema.schema,
        api_version=api_version(info.group, info.version),
        force=bool(info.flag("force")),
        now=timestamp(call.services.clock()),
        subresource=info.subresource,
        reset=_reset_fields(call),
    )


def _reset_fields(call: Call) -> tuple[str, ...]:
    """What an apply ignores, because the server puts it back anyway (the strategies' ``GetResetFields``)."""
    if call.info.subresource == "scale":
        return ()
    if call.info.subresource:
        return ("spec",)
    return ("status",) if call.version.has_status else ()


def complain_of_yaml(complaints: list[str], options: WriteOptions) -> None:
    """Refuse or warn of what stands twice in an apply configuration. Raises BadRequestError."""
    if complaints and options.field_validation == "Strict":
        why = f"error converting YAML to JSON: {yaml_errors(complaints)}"
        raise BadRequestError(f"error strict decoding YAML: {why}")
    if options.field_validation != "Ignore":
        warn(options, complaints)


def _unpinned(patched: Object, live_version: object) -> Object:
    """Without the resourceVersion that was only carried along: only one that the patch names is a precondition.

    One that the patch names and that is the live one may go too: a later attempt meets another live one.
    """
    meta = metadata(patched)
    if meta.get("resourceVersion") == live_version:
        meta.pop("resourceVersion", None)
    return patched

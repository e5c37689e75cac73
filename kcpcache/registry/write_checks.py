"""What is refused of any object before it is looked at as one of its type: wrong types, names and versions."""

from typing import Any

from kcpcache.meta import object_meta
from kcpcache.meta.errors import BadRequestError, FieldError, InvalidError, field_invalid
from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object
from kcpcache.registry.embedded import decode_embedded
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import WriteOptions
from kcpcache.registry.write_steps import UndecodableError, drop_unknown, strict_decoding_error, warn

_REPEATED_OWNERS = (
    ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject "
    "such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
)


def check_envelope(
    definition: ResourceDefinition, version: ServedVersion, wanted: str, obj: Any, namespace: str, name: str = ""
) -> None:
    """That apiVersion (``wanted``), kind, name and namespace agree with the URL, and the metadata's types are right.

    What is missing and can be told from the URL is filled in. Raises BadRequestError, InvalidError.
    """
    kind = definition.kind
    for key, told in (("apiVersion", wanted), ("kind", kind)):
        if obj.get(key) is None or obj[key] == "":  # null and empty are nothing to Go's decoder
            obj[key] = told
    given = obj["apiVersion"], obj["kind"]
    if given[0] != wanted:
        raise BadRequestError(
            f"the API version in the data ({given[0]}) does not match the expected API version ({wanted})"
        )
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise BadRequestError("metadata must be an object")
    if given[1] != kind:
        wrong = field_invalid("kind", given[1], f"must be {kind}")
        raise InvalidError(definition.group, str(given[1]), str(meta.get("name") or ""), [wrong])
    if errors := object_meta.type_errors(meta):
        raise_undecodable(definition, version, obj)
        raise_invalid(definition, version, obj, errors)
    if definition.namespaced:
        if (meta.get("namespace") or namespace) != namespace:
            raise BadRequestError(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    if name:
        if not meta.get("name"):
            raise BadRequestError(
                f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
            )
        if meta["name"] != name:
            raise BadRequestError(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
            )
    (meta.get("annotations") or {}).pop(CLUSTER_ANNOTATION, None)
    if "annotations" in meta and not meta["annotations"]:
        del meta["annotations"]


def raise_undecodable(definition: ResourceDefinition, version: ServedVersion, obj: Object) -> None:
    """Raises UndecodableError where Go's decoder would not take the object."""
    if why := definition.decoding_error(obj):
        raise UndecodableError(definition.kind, version.name, why)


def raise_invalid(
    definition: ResourceDefinition, version: ServedVersion, obj: Object, errors: list[FieldError]
) -> None:
    """Raises InvalidError where there are errors; of built-in types that have wrong JSON types, UndecodableError."""
    if errors:
        if definition.origin == "builtin" and any(e.reason == "FieldValueTypeInvalid" for e in errors):
            raise_undecodable(definition, version, obj)
        meta = obj.get("metadata")
        name = str((meta.get("name") or "") if isinstance(meta, dict) else "")
        raise InvalidError(definition.group, definition.kind, name, errors)


def check_decodes(definition: ResourceDefinition, version: ServedVersion, obj: Object, options: WriteOptions) -> None:
    """That an object sent to replace one can be of the type; it may be changed. Warns of what the type does not have.

    Raises UndecodableError, and BadRequestError for unknown fields of a strict write.
    """
    if object_meta.type_errors(obj.setdefault("metadata", {})):
        raise_undecodable(definition, version, obj)
        return
    prune(definition, version, obj, options)


def prune(definition: ResourceDefinition, version: ServedVersion, obj: Object, options: WriteOptions) -> None:
    """Take off, in place, what the type does not have. Raises what ``check_decodes`` does."""
    meta = obj["metadata"]
    if "ownerReferences" in meta and (repeated := object_meta.drop_repeated_owners(meta)):
        warn(options, [f"{_REPEATED_OWNERS}{', '.join(repeated)}"])
    unknown = drop_unknown(definition, version, obj)
    if version.schema.embedded_places is not None:
        within = decode_embedded(definition, version, obj, applied=options.applied)
        unknown += [f'unknown field "{path}"' for path in within if not options.applied]
    if not unknown or options.field_validation == "Ignore":
        return
    if options.field_validation == "Strict":
        raise strict_decoding_error(definition, version, unknown)
    warn(options, unknown)

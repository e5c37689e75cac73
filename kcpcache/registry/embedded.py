"""Resources within resources (``x-kubernetes-embedded-resource``), decoded as apiextensions-apiserver decodes them."""

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.go_values import json_kind
from kcpcache.meta.object_meta import drop_unknown
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.decoding import metadata_error
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.write_steps import UndecodableError


def decode_embedded(
    definition: ResourceDefinition, version: ServedVersion, obj: Object, *, applied: bool = False
) -> list[str]:
    """Take out of embedded metadata, in place, what is null, empty or not ObjectMeta's; the paths of the latter.

    Raises UndecodableError for a wrong type in an embedded resource's ``apiVersion``, ``kind`` or ``metadata``: that is
    found before anything is validated. In what was ``applied`` the validation finds it.
    """
    places = version.schema.embedded_places
    unknown: list[str] = []
    for path, resource in places(obj, "") if places is not None else ():
        error = _decoded(resource, path, unknown)
        if error is not None and not applied:
            raise UndecodableError(definition.kind, version.name, error.message)
    return unknown


def _decoded(resource: Object, path: str, unknown: list[str]) -> FieldError | None:
    for name in ("apiVersion", "kind"):
        given = resource.get(name, "")
        if not isinstance(given, str):
            return field_invalid(f"{path}.{name}", given, "must be a string")
    meta = resource.get("metadata", {})
    if meta is None:
        resource["metadata"] = {}
        return None
    if not isinstance(meta, dict):
        why = f"json: cannot unmarshal {json_kind(meta)} into Go value of type v1.ObjectMeta"
        return field_invalid(f"{path}.metadata", meta, why)
    if why := metadata_error(meta):
        return field_invalid(f"{path}.metadata", meta, why)
    unknown += [f"{path}.{name}" for name in drop_unknown(meta)]
    if not meta.get("managedFields", True):
        del meta["managedFields"]
    return None

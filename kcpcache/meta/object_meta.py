"""``metadata`` as the server keeps it: what it fills in and what it forbids, in kube's words."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from kcpcache.meta.errors import (
    FieldError,
    field_forbidden,
    field_invalid,
    field_required,
    field_too_long,
    field_type_invalid,
)
from kcpcache.meta.names import (
    dns1123_label_errors,
    label_value_errors,
    qualified_name_errors,
    split_api_version,
)
from kcpcache.meta.objects import Object

ANNOTATIONS_BYTES = 256 * 1024
GENERATE_NAME_PREFIX_BYTES = 58

NameCheck = Callable[[str], list[str]]

_ANY: tuple[type, str] = (object, "")
_EMPTY: tuple[Any, ...] = ("", {}, [])

_TYPES: Mapping[str, tuple[type, str]] = {
    "name": (str, "string"),
    "generateName": (str, "string"),
    "namespace": (str, "string"),
    "uid": (str, "string"),
    "resourceVersion": (str, "string"),
    "labels": (dict, "map"),
    "annotations": (dict, "map"),
    "finalizers": (list, "array"),
    "ownerReferences": (list, "array"),
    "managedFields": (list, "array"),
    "creationTimestamp": (str, "string"),
    "deletionTimestamp": (str, "string"),
    "generation": (int, "integer"),
    "deletionGracePeriodSeconds": (int, "integer"),
    "selfLink": (str, "string"),
}

METADATA_FIELDS = frozenset(_TYPES)
"""All that ObjectMeta has."""

_ITEMS: Mapping[str, tuple[type, str]] = {
    "finalizers": (str, "string"),
    "ownerReferences": (dict, "object"),
    "managedFields": (dict, "object"),
}
_TIMES = frozenset({"creationTimestamp", "deletionTimestamp"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_PART_TYPES: Mapping[str, Mapping[str, tuple[type, str]]] = {
    "ownerReferences": {
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), (str, "string")),
        **dict.fromkeys(("controller", "blockOwnerDeletion"), (bool, "boolean")),
    },
    "managedFields": dict.fromkeys(
        ("manager", "operation", "apiVersion", "time", "fieldsType", "subresource"), (str, "string")
    ),
}
"""Of what is in the lists of objects; what an entry of ``managedFields`` says of fields is judged elsewhere."""
_OWNER_TYPES = _PART_TYPES["ownerReferences"]

_KINDS: Mapping[str, type] = {key: kind for key, (kind, _) in _TYPES.items()}
_ITEM_KINDS: Mapping[str, set[type]] = {key: {kind} for key, (kind, _) in _ITEMS.items()}
_STRINGS: set[type] = {str}


def type_errors(metadata: Mapping[str, Any]) -> list[FieldError]:
    """Fields of the wrong JSON type: nothing else may look at the metadata before this is empty."""
    errors: list[FieldError] = []
    for key, value in metadata.items():
        kind, text = _TYPES.get(key, _ANY)
        if value is not None and (not isinstance(value, kind) or (kind is int and not _is_int64(value))):
            errors.append(field_type_invalid(f"metadata.{key}", value, f"must be of type {text}"))
        elif key in _TIMES and isinstance(value, str) and value and not _TIME.fullmatch(value):
            errors.append(field_type_invalid(f"metadata.{key}", value, "must be of type date-time"))
        elif isinstance(value, dict) and kind is dict:
            errors += [
                field_type_invalid(f"metadata.{key}.{k}", v, "must be of type string")
                for k, v in value.items()
                if v is not None and not isinstance(v, str)
            ]
        elif isinstance(value, list) and key in _ITEMS:
            item, text = _ITEMS[key]
            errors += [
                field_type_invalid(f"metadata.{key}[{index}]", v, f"must be of type {text}")
                for index, v in enumerate(value)
                if not isinstance(v, item) and not (v is None and item is dict)
            ]
            if not errors and item is dict:
                errors += _part_type_errors(key, value)
    return errors


def _is_int64(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _part_type_errors(name: str, items: list[Object | None]) -> list[FieldError]:
    types = _PART_TYPES[name]
    errors: list[FieldError] = []
    for index, item in enumerate(items):
        for key, value in (item or {}).items():
            kind, text = types.get(key, _ANY)
            if value is not None and not isinstance(value, kind):
                errors.append(field_type_invalid(f"metadata.{name}[{index}].{key}", value, f"must be of type {text}"))
            elif key == "time" and isinstance(value, str) and value and not _TIME.fullmatch(value):
                errors.append(field_type_invalid(f"metadata.{name}[{index}].{key}", value, "must be of type date-time"))
    return errors


def drop_unknown(metadata: Object) -> list[str]:
    """Remove what ObjectMeta does not have, and what is empty, in place; the paths of the unknown ones.

    Labels and annotations that are null become empty strings, parts of lists that are null empty objects.
    Empty ``managedFields`` stay: they say that all ownership is to be forgotten.
    """
    for key in ("labels", "annotations"):
        values = metadata.get(key)
        if values and None in values.values():
            metadata[key] = {name: "" if value is None else value for name, value in values.items()}
    for key in _PART_TYPES:
        parts = metadata.get(key)
        if parts and None in parts:
            metadata[key] = [{} if part is None else part for part in parts]
    unknown = [key for key in metadata if key not in _TYPES]
    paths = [f"metadata.{key}" for key in unknown]
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        paths += _drop_unknown_of_owner(owner, f"metadata.ownerReferences[{index}]")
    empty = [key for key, value in metadata.items() if value is None or (value in _EMPTY and key != "managedFields")]
    for key in (*unknown, *empty):
        metadata.pop(key, None)
    return paths


def is_sound(metadata: Mapping[str, Any]) -> bool:
    """Whether ``drop_invalid`` and ``drop_unknown`` change nothing; False may be said where it takes long to tell.

    Nearly all metadata is, since it was checked when it was written.
    """
    value: Any
    for key, value in metadata.items():
        kind: type = type(value)
        if kind is not _KINDS.get(key):
            return False
        if kind is int:
            if not -(2**63) <= value < 2**63:
                return False
        elif not value:
            return False
        elif kind is dict:
            if {*map(type, value.values())} != _STRINGS:
                return False
        elif kind is list:
            if key == "ownerReferences":
                if not all(map(_is_sound_owner, value)):
                    return False
            elif {*map(type, value)} != _ITEM_KINDS[key]:
                return False
        elif key in _TIMES and _TIME.fullmatch(value) is None:
            return False
    return True


def _is_sound_owner(owner: object) -> bool:
    return type(owner) is dict and all(type(value) is _OWNER_TYPES.get(key, _ANY)[0] for key, value in owner.items())


def drop_invalid(metadata: Object) -> None:
    """Remove fields of the wrong JSON type in place; of labels and annotations, those that are no strings."""
    for key, value in tuple(metadata.items()):
        if not type_errors({key: value}):
            continue
        if key in {"labels", "annotations"} and isinstance(value, dict):
            metadata[key] = {name: item for name, item in value.items() if item is None or isinstance(item, str)}
        else:
            del metadata[key]


def drop_repeated_owners(metadata: Object) -> list[str]:
    """Keep, in place, the first of several references to one owner; the uids of the others."""
    owners: dict[Any, Object] = {}
    repeated: list[str] = []
    for owner in metadata.get("ownerReferences") or ():
        uid = (owner or {}).get("uid")  # null is an owner without anything, here too
        if uid in owners:
            repeated.append(str(uid or ""))
        else:
            owners[uid] = owner
    if repeated:
        metadata["ownerReferences"] = list(owners.values())
    return repeated


def _drop_unknown_of_owner(owner: Object, path: str) -> list[str]:
    unknown = [key for key in owner if key not in _OWNER_TYPES]
    for key in [*unknown, *(key for key, value in owner.items() if value is None)]:
        owner.pop(key, None)
    return [f"{path}.{key}" for key in unknown]


def errors(
    metadata: Mapping[str, Any], *, namespaced: bool, check_name: NameCheck, qualified_finalizers: bool = False
) -> list[FieldError]:
    """What is wrong with the metadata of an object about to be stored; types are right already.

    ``qualified_finalizers``: one without a domain is refused, as for most built-in types.
    """
    found: list[FieldError] = []
    prefix = metadata.get("generateName") or ""
    if prefix:
        # What follows the prefix is not known yet, only that a dash may stand before it.
        shown = f"{prefix[:-1]}a" if prefix.endswith("-") and len(prefix) > 1 else prefix
        found += [field_invalid("metadata.generateName", prefix, text) for text in check_name(shown)]
    name = metadata.get("name") or ""
    if not name:
        found.append(field_required("metadata.name", "name or generateName is required"))
    else:
        found += [field_invalid("metadata.name", name, text) for text in check_name(name)]
    found += _namespace_errors(metadata.get("namespace") or "", namespaced=namespaced)
    generation = metadata.get("generation") or 0
    if generation < 0:
        found.append(field_invalid("metadata.generation", generation, "must be greater than or equal to 0"))
    found += label_errors(metadata.get("labels") or {}, "metadata.labels")
    found += annotation_errors(metadata.get("annotations") or {}, "metadata.annotations")
    if finalizers := metadata.get("finalizers"):
        found += _finalizer_errors(finalizers, qualified=qualified_finalizers)
    return found + _owner_errors(metadata.get("ownerReferences") or [])


def _namespace_errors(namespace: str, *, namespaced: bool) -> list[FieldError]:
    if not namespaced:
        return [field_forbidden("metadata.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [field_required("metadata.namespace")]
    return [field_invalid("metadata.namespace", namespace, text) for text in dns1123_label_errors(namespace)]


def label_errors(labels: Mapping[str, str], path: str) -> list[FieldError]:
    """Keys must be qualified names, values label values."""
    found = [field_invalid(path, key, text) for key in labels for text in qualified_name_errors(key)]
    return found + [field_invalid(path, value, text) for value in labels.values() for text in label_value_errors(value)]


def annotation_errors(annotations: Mapping[str, str], path: str) -> list[FieldError]:
    """Keys must be qualified names in any case; together they must not be too large."""
    found = [field_invalid(path, key, text) for key in annotations for text in qualified_name_errors(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_BYTES:
        found.append(field_too_long(path, ANNOTATIONS_BYTES))
    return found


_BARE_FINALIZERS = {"orphan", "foregroundDeletion", "kubernetes"}


def _finalizer_errors(finalizers: list[str], *, qualified: bool) -> list[FieldError]:
    path = "metadata.finalizers"
    found = [field_invalid(path, name, text) for name in finalizers for text in qualified_name_errors(name)]
    if qualified:  # the built-in types' own look, which kube-apiserver takes after that at the metadata of all
        why = "name is neither a standard finalizer name nor is it fully qualified"
        for index, name in enumerate(finalizers):
            texts = qualified_name_errors(name) or ([why] if is_bare_finalizer(name) else [])
            found += [field_invalid(f"{path}[{index}]", name, text) for text in texts]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(field_invalid(path, finalizers, why))
    return found


def is_bare_finalizer(name: str) -> bool:
    """Whether a finalizer has no domain, and is none of Kubernetes' own."""
    return "/" not in name and name not in _BARE_FINALIZERS


def _owner_errors(owners: list[Object]) -> list[FieldError]:
    found: list[FieldError] = []
    controllers: list[str] = []
    path = "metadata.ownerReferences"
    for given in owners:
        owner = given or {}
        version = owner.get("apiVersion")
        if not isinstance(version, str) or version.count("/") > 1 or not split_api_version(version)[1]:
            found.append(field_invalid(f"{path}.apiVersion", version or "", "version must not be empty"))
        found += [
            field_invalid(f"{path}.{key}", owner.get(key) or "", f"{key} must not be empty")
            for key in ("kind", "name", "uid")
            if not isinstance(owner.get(key), str) or not owner[key]
        ]
        if (version, owner.get("kind")) == ("v1", "Event"):
            found.append(field_invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        why = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {controllers[0]} and {controllers[1]}'
        )
        found.append(field_invalid(path, owners, why))
    return found


_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")
_GRACE = "deletionGracePeriodSeconds"


def update_errors(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[FieldError]:
    """What the successor of ``old`` may not do: change its identity, or gain finalizers while it is being deleted."""
    found = [
        field_invalid(f"metadata.{key}", new[key], "field is immutable")
        for key in _IMMUTABLE
        if new.get(key) is not None and new[key] != old.get(key)
    ]
    if new.get(_GRACE) is not None and new[_GRACE] != old.get(_GRACE):
        why = "field is immutable; may only be changed via deletion"
        found.append(field_invalid(f"metadata.{_GRACE}", new[_GRACE], why))
    if old.get("deletionTimestamp"):
        added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            why = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            found.append(field_forbidden("metadata.finalizers", why))
    return found

"""``autoscaling/v1 Scale``: read from, and written into, any object whose version says where its replicas are."""

from typing import Any, Final

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.go_values import go_plain
from kcpcache.meta.jsonpath import compile_jsonpath
from kcpcache.meta.object_meta import drop_unknown, type_errors
from kcpcache.meta.objects import Object, copy, metadata
from kcpcache.registry.resource import Scale

SCALE_GROUP: Final = "autoscaling"
SCALE_VERSION: Final = "v1"
SCALE_KIND: Final = "Scale"
MOST_REPLICAS: Final = 2**31 - 1
_ZEROS: Final = {"int64": 0, "string": ""}
"""What errors show in place of values of other types."""
_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object, paths: Scale) -> Object:
    """The Scale of an object. What is missing, or no number, counts as 0."""
    meta = metadata(obj)
    status: Object = {"replicas": _replicas(obj, paths.status_replicas_path)}
    selector = compile_jsonpath(paths.label_selector_path)(obj) if paths.label_selector_path else []
    if selector and isinstance(selector[0], str) and selector[0]:
        status["selector"] = selector[0]
    replicas = _replicas(obj, paths.spec_replicas_path)
    return {
        "kind": SCALE_KIND,
        "apiVersion": f"{SCALE_GROUP}/{SCALE_VERSION}",
        "metadata": {key: meta[key] for key in _METADATA if key in meta},
        "spec": {"replicas": replicas} if replicas else {},  # Go leaves a zero out there, and not in the status
        "status": status,
    }


def set_replicas(obj: Object, paths: Scale, replicas: int) -> None:
    """Write the wanted replicas into an object, in place; what is in the way and no object is replaced."""
    *parents, last = paths.spec_replicas_path.removeprefix(".").split(".")
    target = obj
    for parent in parents:
        child = target.get(parent)
        target[parent] = child if isinstance(child, dict) else {}
        target = target[parent]
    target[last] = replicas


def _replicas(obj: Object, path: str) -> int:
    found = compile_jsonpath(path)(obj)
    return found[0] if found and isinstance(found[0], int) and not isinstance(found[0], bool) else 0


def scale_errors(obj: Object, paths: Scale, *, status_only: bool = False) -> list[FieldError]:
    """What keeps an object from being scaled: replicas that are no count, a selector that is no text.

    What is missing is no error. ``status_only``: of a write of the status. Texts are those of
    apiextensions-apiserver's ``ValidateScaleSpec`` and ``ValidateScaleStatus``.
    """
    wanted = [] if status_only else [(paths.spec_replicas_path, "int64")]
    wanted.append((paths.status_replicas_path, "int64"))
    if paths.label_selector_path:
        wanted.append((paths.label_selector_path, "string"))
    errors = []
    for path, kind in wanted:
        value: Any = obj
        steps = path.split(".")[1:]
        for at, step in enumerate(steps, 1):
            if value.__class__ is not dict or step not in value:
                if value is not None and value.__class__ is not dict:  # it has no members
                    why = _mismatch(f".{'.'.join(steps[:at])}", value, "map[string]interface{}")
                    errors.append(field_invalid(path, _ZEROS[kind], why))
                break
            value = value[step]
        else:
            fits = type(value) is str if kind == "string" else type(value) is int and 0 <= value <= MOST_REPLICAS
            if not fits:
                errors.append(_unfit(path, kind, value))
    return errors


def _unfit(path: str, kind: str, value: Any) -> FieldError:
    if kind == "string" or value.__class__ is not int:
        return field_invalid(path, _ZEROS[kind], _mismatch(path, value, kind))
    why = "should be a non-negative integer" if value < 0 else f"should be less than or equal to {MOST_REPLICAS}"
    return field_invalid(path, value, why)


def unknown_fields(scale: Object) -> list[str]:
    """The paths of what a Scale does not have; it stays as it is."""
    known = {"apiVersion", "kind", "metadata", "spec", "status"}
    found = [name for name in scale if name not in known]
    if not type_errors(metadata(scale)):
        found += drop_unknown(copy(metadata(scale)))
    for part, names in (("spec", {"replicas"}), ("status", {"replicas", "selector"})):
        below = scale.get(part)
        found += [f"{part}.{name}" for name in below if name not in names] if isinstance(below, dict) else []
    return sorted(found)


def _mismatch(path: str, value: Any, wanted: str) -> str:
    kinds = {bool: "bool", str: "string", int: "int64", float: "float64", list: "[]interface {}", type(None): "<nil>"}
    kind = kinds.get(type(value), "map[string]interface {}")
    return f"{path} accessor error: {go_plain(value)} is of the type {kind}, expected {wanted}"

"""``autoscaling/v1 Scale``: read from, and written into, any object whose version says where its replicas are."""

from typing import Final

from kcpcache.meta.jsonpath import compile_jsonpath
from kcpcache.meta.objects import Object, metadata
from kcpcache.registry.resource import Scale

SCALE_GROUP: Final = "autoscaling"
SCALE_VERSION: Final = "v1"
SCALE_KIND: Final = "Scale"
_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object, paths: Scale) -> Object:
    """The Scale of an object. What is missing, or no number, counts as 0."""
    meta = metadata(obj)
    status: Object = {"replicas": _replicas(obj, paths.status_replicas_path)}
    selector = compile_jsonpath(paths.label_selector_path)(obj) if paths.label_selector_path else []
    if selector and isinstance(selector[0], str) and selector[0]:
        status["selector"] = selector[0]
    return {
        "kind": SCALE_KIND,
        "apiVersion": f"{SCALE_GROUP}/{SCALE_VERSION}",
        "metadata": {key: meta[key] for key in _METADATA if key in meta},
        "spec": {"replicas": _replicas(obj, paths.spec_replicas_path)},
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

"""``kubectl apply`` before server-side apply: its annotation, and how fields pass from it to an applied set."""

from typing import Final

import orjson

from kcpcache.meta.managed_fields.compare import object_changes
from kcpcache.meta.managed_fields.configuration import ConfigurationError, field_set
from kcpcache.meta.managed_fields.fields_v1 import FieldSet, subtract
from kcpcache.meta.managed_fields.nodes import Node
from kcpcache.meta.objects import Object, nested

LAST_APPLIED_ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
_MOST_ANNOTATION_BYTES: Final = 256 * 1024


def client_side_fields(live: Object, node: Node, api_version: str) -> FieldSet:
    """Fields that are still as ``kubectl apply`` set them client-side; empty without a usable annotation.

    ``kubectl apply --server-side`` may take these from whoever owns them, without a conflict.
    """
    text = nested(live, "metadata", "annotations", LAST_APPLIED_ANNOTATION)
    if not isinstance(text, str) or not text:
        return {}
    try:
        last = orjson.loads(text)
        if not isinstance(last, dict) or last.get("apiVersion") != api_version:
            return {}
        fields = field_set(last, node)
    except (orjson.JSONDecodeError, ConfigurationError):
        return {}
    changed, removed = object_changes(last, live, node)
    return subtract(subtract(fields, changed), removed)


def synchronize_last_applied(obj: Object, applied: Object) -> None:
    """Bring the annotation of ``obj``, if it has one, up to what was applied now, in place.

    So that a later client-side apply sees the right base. Too large a one is dropped: annotations share 256 KiB.
    """
    if not nested(obj, "metadata", "annotations", LAST_APPLIED_ANNOTATION):
        return
    annotations = obj["metadata"]["annotations"]
    base = dict(applied)
    base["metadata"] = metadata = dict(applied.get("metadata") or {})
    if isinstance(metadata.get("annotations"), dict):
        metadata["annotations"] = {
            name: value for name, value in metadata["annotations"].items() if name != LAST_APPLIED_ANNOTATION
        }
    text = orjson.dumps(base, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
    annotations[LAST_APPLIED_ANNOTATION] = text
    if sum(len(f"{name}{value}".encode()) for name, value in annotations.items()) > _MOST_ANNOTATION_BYTES:
        del annotations[LAST_APPLIED_ANNOTATION]

"""Field ownership (managedFields v1) and server-side apply, after structured-merge-diff and KEP-555."""

from kcpcache.meta.managed_fields.apply import apply
from kcpcache.meta.managed_fields.nodes import Node, compile_schema
from kcpcache.meta.managed_fields.object_meta import OBJECT_META_SCHEMA
from kcpcache.meta.managed_fields.update import update

__all__ = ["OBJECT_META_SCHEMA", "Node", "apply", "compile_schema", "update"]

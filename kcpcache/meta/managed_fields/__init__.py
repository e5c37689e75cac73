"""Field ownership (managedFields v1) and server-side apply, after structured-merge-diff and KEP-555."""

from kcpcache.meta.managed_fields.apply import apply
from kcpcache.meta.managed_fields.entries import parse_entries
from kcpcache.meta.managed_fields.fields_v1 import FieldsError
from kcpcache.meta.managed_fields.nodes import Node, compile_schema
from kcpcache.meta.managed_fields.object_meta import OBJECT_META_SCHEMA
from kcpcache.meta.managed_fields.update import update

__all__ = ["OBJECT_META_SCHEMA", "FieldsError", "Node", "apply", "compile_schema", "parse_entries", "update"]

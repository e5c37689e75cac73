"""APIResourceSchema (behaviour §6): a CustomResourceDefinition in all but serving, and never changed."""

import re
from collections.abc import Iterator
from typing import Final

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.objects import Object, annotations_of, name_of
from kcpcache.registry.builtin.rules.rule import section, sections, text
from kcpcache.registry.crd import (
    approval_errors,
    default_names,
    group_errors,
    names_errors,
    selectable_errors,
    version_errors,
    versions_errors,
)
from kcpcache.registry.crd_conversion import conversion_errors
from kcpcache.registry.resource import NoRules

SCHEMA_NAME_ANNOTATION: Final = "apis.kcp.io/schema-name"
"""On the copy of a bound schema: the original's name. Such copies are in a logical cluster that no user reaches."""

_UID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SINGLE_SEGMENT_GROUPS: Final = ("apps", "batch", "extensions", "policy", "autoscaling")
"""Groups of Kubernetes itself, which kcp lets APIResourceSchemas have."""
_NAME_PREFIX: Final = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
"""What stands before ``.<plural>.<group>`` in the name of an APIResourceSchema; as in kcp."""


class ApiResourceSchemaRules(NoRules):
    """Of apis.kcp.io apiresourceschemas: a CRD's, for a spec that never changes and whose schemas stand bare."""

    def default(self, obj: Object) -> None:
        """Names that follow from the kind."""
        default_names(section(obj, "spec"))

    def validate(self, obj: Object) -> list[FieldError]:
        """Name, spec, and approval of protected groups."""
        spec = section(obj, "spec")
        group, plural = text(spec, "group"), text(section(spec, "names"), "plural")
        errors = list(schema_name_errors(_given_name(obj), plural, group, "metadata.name"))
        if group == "core":
            errors.append(field_invalid("spec.group", group, "must be empty string for the core group"))
        elif group and group not in _SINGLE_SEGMENT_GROUPS:
            errors += group_errors(group)
        for index, version in sections(spec, "versions"):
            path = f"spec.versions[{index}]"
            errors += version_errors(version, version.get("schema"), f"{path}.schema", path)
            errors += selectable_errors(version, version.get("schema"), f"{path}.selectableFields")
        errors += versions_errors(spec)
        errors += names_errors(section(spec, "names"), "spec.names")
        errors += conversion_errors(section(spec, "conversion"), "spec.conversion", services=False)
        return errors + list(approval_errors(group, obj))

    def validate_update(self, obj: Object, old: Object) -> list[FieldError]:
        """Bindings rely on the schema that they were made with."""
        return [] if obj.get("spec") == old.get("spec") else [field_invalid("spec", "object", "is immutable")]


def _given_name(obj: Object) -> str:
    """The name that a user gave: the copies that bindings are served by are named by the original's UID."""
    name = name_of(obj)
    return annotations_of(obj).get(SCHEMA_NAME_ANNOTATION, name) if _UID.fullmatch(name) else name


def split_schema_name(name: str) -> tuple[str, str] | None:
    """Plural and group of an APIResourceSchema's name, ``<prefix>.<plural>.<group>``; None for any other text."""
    prefix, _, rest = name.partition(".")
    plural, _, group = rest.partition(".")
    if not (_NAME_PREFIX.fullmatch(prefix) and plural and group):
        return None
    return plural, "" if group == "core" else group


def schema_name_errors(name: str, plural: str, group: str, path: str) -> Iterator[FieldError]:
    """What keeps the text at ``path`` from being the name of a schema for this resource."""
    ending = f".{plural}.{group or 'core'}"
    if not plural:
        return
    if not name.endswith(ending):
        yield field_invalid(path, name, f"must end in {ending}")
    elif not _NAME_PREFIX.fullmatch(name.removesuffix(ending)):
        yield field_invalid(path, name, f"must match ^{_NAME_PREFIX.pattern}$ in front of {ending}")

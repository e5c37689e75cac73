"""Workspace, WorkspaceType, LogicalCluster and Partition, beyond their schemas (behaviour §8)."""

from collections.abc import Iterator
from typing import Final

from kcpcache.meta.errors import FieldError, field_duplicate, field_forbidden, field_invalid
from kcpcache.meta.names import dns1123_label_errors, label_value_errors, qualified_name_errors
from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import label_selector_errors
from kcpcache.registry.builtin.rules.rule import entries, invalid, section, sections, text, texts
from kcpcache.registry.kcp.claims import reference_errors
from kcpcache.registry.resource import NoRules

_PHASES: Final = ("Scheduling", "Initializing", "Ready")
"""In their order. ``Unavailable`` stands outside of it: a logical cluster may come back from there."""


PHASE_LABEL: Final = "tenancy.kcp.io/phase"
"""Mirrors the phase of a Workspace or LogicalCluster, and says ``Deleting`` while it is being deleted."""


class _PhaseRules(NoRules):
    """See ``registry.resource.Rules``."""

    def prepare_delete(self, obj: Object) -> None:
        """The label says so from the moment of the deletion, not from when someone notices."""
        meta = obj["metadata"]
        meta["labels"] = {**section(meta, "labels"), PHASE_LABEL: "Deleting"}


class WorkspaceRules(_PhaseRules):
    """See ``registry.resource.Rules``."""

    def validate(self, obj: Object) -> list[FieldError]:
        """The type's name (the schema's pattern leaves its end open), and the selector of shards."""
        spec = section(obj, "spec")
        errors = list(_type_errors(section(spec, "type"), "spec.type")) if spec.get("type") else []
        return errors + label_selector_errors(section(spec, "location", "selector"), "spec.location.selector")


class WorkspaceTypeRules(NoRules):
    """See ``registry.resource.Rules``."""

    def validate(self, obj: Object) -> list[FieldError]:
        """References to types and exports, each once, and labels that a Workspace can have."""
        spec = section(obj, "spec")
        errors = list(_types_errors(section(spec, "extend"), "with", "spec.extend"))
        for side in ("limitAllowedChildren", "limitAllowedParents"):
            errors += _types_errors(section(spec, side), "types", f"spec.{side}")
        if spec.get("defaultChildWorkspaceType"):
            errors += _type_errors(section(spec, "defaultChildWorkspaceType"), "spec.defaultChildWorkspaceType")
        errors += _default_binding_errors(spec)
        return errors + list(_label_errors(spec))


class LogicalClusterRules(_PhaseRules):
    """See ``registry.resource.Rules``."""

    def validate(self, obj: Object) -> list[FieldError]:
        """Ready means that no initializer has anything left to do."""
        status = section(obj, "status")
        left = texts(status, "initializers")
        if text(status, "phase") == "Ready" and left:
            return [field_forbidden("status.initializers", "must be empty in phase Ready")]
        return []

    def validate_update(self, obj: Object, old: Object) -> list[FieldError]:
        """Phases go forward, and once it is initializing, initializers only go."""
        status, before = section(obj, "status"), section(old, "status")
        now, then = text(status, "phase"), text(before, "phase")
        errors = []
        if now in _PHASES and then in _PHASES and _PHASES.index(now) < _PHASES.index(then):
            errors.append(field_invalid("status.phase", now, f"cannot transition from {then} to {now}"))
        added = set(texts(status, "initializers")) - set(texts(before, "initializers"))
        if then not in {"", "Scheduling"} and added:
            detail = "initializers can only be removed once the logical cluster is initializing"
            errors.append(field_invalid("status.initializers", sorted(added), detail))
        return errors


class PartitionRules(NoRules):
    """See ``registry.resource.Rules``."""

    def validate(self, obj: Object) -> list[FieldError]:
        """A selector that can be evaluated."""
        return label_selector_errors(section(obj, "spec", "selector"), "spec.selector")


class PartitionSetRules(NoRules):
    """See ``registry.resource.Rules``. The selector is the schema's."""

    def validate(self, obj: Object) -> list[FieldError]:
        """Dimensions are label keys, each once."""
        errors: list[FieldError] = []
        dimensions = texts(section(obj, "spec"), "dimensions")
        for index, key in enumerate(dimensions):
            errors += invalid(f"spec.dimensions[{index}]", key, qualified_name_errors(key))
            if key in dimensions[:index]:
                errors.append(field_duplicate(f"spec.dimensions[{index}]", key))
        return errors


def _type_errors(reference: Object, path: str) -> list[FieldError]:
    name = text(reference, "name")
    return invalid(f"{path}.name", name, dns1123_label_errors(name))


def _types_errors(holder: Object, key: str, path: str) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for index, reference in sections(holder, key):
        at, found = f"{path}.{key}[{index}]", (text(reference, "path"), text(reference, "name"))
        yield from _type_errors(reference, at)
        if found in seen:
            yield field_duplicate(at, reference)
        seen.add(found)


def _default_binding_errors(spec: Object) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for index, binding in sections(spec, "defaultAPIBindings"):
        path, export = f"spec.defaultAPIBindings[{index}]", text(binding, "export")
        yield from (
            FieldError(error.reason, f"{path}.export", error.body) for error in reference_errors({"name": export}, path)
        )
        if (text(binding, "path"), export) in seen:
            yield field_duplicate(path, binding)
        seen.add((text(binding, "path"), export))


def _label_errors(spec: Object) -> Iterator[FieldError]:
    path = "spec.additionalWorkspaceLabels"
    for key, value in entries(spec, "additionalWorkspaceLabels"):
        yield from invalid(path, key, qualified_name_errors(key))
        yield from invalid(path, value, label_value_errors(str(value)))

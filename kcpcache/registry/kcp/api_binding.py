"""APIBinding (behaviour §6), in both versions: a named export, and one answer to each claim."""

from collections.abc import Iterator

from kcpcache.meta.errors import FieldError, field_required
from kcpcache.meta.objects import Object, copy
from kcpcache.registry.builtin.rules.rule import section, sections
from kcpcache.registry.kcp.api_export import annotation_errors
from kcpcache.registry.kcp.claims import claim_errors, default_old_claims, reference_errors
from kcpcache.registry.kcp.conversion import V1ALPHA1, V1ALPHA2, convert_api_binding
from kcpcache.registry.resource import NoRules


class ApiBindingRules(NoRules):
    """See ``registry.resource.Rules``."""

    def default(self, obj: Object) -> None:
        """Of v1alpha1: one spelling for empty fields of claims."""
        if obj.get("apiVersion") == V1ALPHA1:
            default_old_claims(sections(section(obj, "spec"), "permissionClaims"))

    def validate(self, obj: Object) -> list[FieldError]:
        """The reference and the claims."""
        errors = list(_errors(obj))
        if errors or obj.get("apiVersion") != V1ALPHA1:
            return errors
        return annotation_errors(list(_errors(convert_api_binding(copy(obj), V1ALPHA2))))


def _errors(obj: Object) -> Iterator[FieldError]:
    reference = section(obj, "spec", "reference")
    if not isinstance(reference.get("export"), dict):
        yield field_required("spec.reference.export", "the APIExport to bind")
    else:
        yield from reference_errors(reference["export"], "spec.reference.export")
    yield from claim_errors(sections(section(obj, "spec"), "permissionClaims"), "spec.permissionClaims")

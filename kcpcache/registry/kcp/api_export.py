"""APIExport (behaviour §6), in both versions: every resource once, each with a schema that is its own."""

from collections.abc import Iterator

from kcpcache.meta.errors import FieldError, field_invalid, field_required
from kcpcache.meta.names import dns1123_subdomain_errors
from kcpcache.meta.objects import Object, copy
from kcpcache.registry.builtin.rules.rule import invalid, section, sections, text, texts
from kcpcache.registry.kcp.api_resource_schema import schema_name_errors, split_schema_name
from kcpcache.registry.kcp.claims import claim_errors, default_old_claims, identity_errors, reference_errors
from kcpcache.registry.kcp.conversion import V1ALPHA1, V1ALPHA2, convert_api_export
from kcpcache.registry.resource import NoRules


class ApiExportRules(NoRules):
    """See ``registry.resource.Rules``."""

    def default(self, obj: Object) -> None:
        """Of v1alpha1: one spelling for empty fields of claims."""
        if obj.get("apiVersion") == V1ALPHA1:
            default_old_claims(sections(section(obj, "spec"), "permissionClaims"))

    def validate(self, obj: Object) -> list[FieldError]:
        """Resources, claims, and the reference to the identity's Secret."""
        if obj.get("apiVersion") != V1ALPHA1:
            return list(_errors(obj))
        spec = section(obj, "spec")
        errors = [*_old_resource_errors(texts(spec, "latestResourceSchemas")), *_common_errors(spec)]
        return errors or annotation_errors(list(_errors(convert_api_export(copy(obj), V1ALPHA2))))


def annotation_errors(errors: list[FieldError]) -> list[FieldError]:
    """Errors of the v1alpha2 form of a good v1alpha1 object: they can only have come from its annotations."""
    return [field_invalid("metadata.annotations", V1ALPHA2, error.message) for error in errors]


def _errors(obj: Object) -> Iterator[FieldError]:
    spec = section(obj, "spec")
    for index, entry in sections(spec, "resources"):
        path = f"spec.resources[{index}]"
        name, group = text(entry, "name"), text(entry, "group")
        if not name:
            yield field_required(f"{path}.name")
        if group:
            yield from invalid(f"{path}.group", group, dns1123_subdomain_errors(group))
        yield from schema_name_errors(text(entry, "schema"), name, group, f"{path}.schema")
        storage = section(entry, "storage")
        if "virtual" in storage:
            yield from _virtual_errors(section(storage, "virtual"), f"{path}.storage.virtual")
    yield from _common_errors(spec)


def _virtual_errors(virtual: Object, path: str) -> Iterator[FieldError]:
    reference = section(virtual, "reference")
    if not text(reference, "kind"):
        yield field_required(f"{path}.reference.kind")
    if group := text(reference, "apiGroup"):
        yield from invalid(f"{path}.reference.apiGroup", group, dns1123_subdomain_errors(group))
    yield from reference_errors(reference, f"{path}.reference")
    if not text(virtual, "identityHash"):
        yield field_required(f"{path}.identityHash", "status.identityHash of what is behind the reference")


def _old_resource_errors(names: list[str]) -> Iterator[FieldError]:
    seen: dict[tuple[str, str], str] = {}
    for index, name in enumerate(names):
        path, resource = f"spec.latestResourceSchemas[{index}]", split_schema_name(name)
        if resource is None:
            yield field_invalid(path, name, "must be the name of an APIResourceSchema, <prefix>.<plural>.<group>")
        elif resource in seen:
            yield field_invalid(path, name, f"is of the same resource as {seen[resource]}")
        else:
            seen[resource] = name


def _common_errors(spec: Object) -> Iterator[FieldError]:
    yield from claim_errors(sections(spec, "permissionClaims"), "spec.permissionClaims")
    yield from identity_errors(spec)

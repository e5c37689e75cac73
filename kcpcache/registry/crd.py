"""Rules of CustomResourceDefinitions; in parts, since APIResourceSchemas are checked like them (behaviour §6).

Rules and texts follow the validation of Kubernetes' apiextensions.k8s.io/v1; field paths are those of v1, until
``crd_paths`` makes kube's of them. No function raises: they expect the right types (``schema.structural_schema``) but
bear others.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from kcpcache.meta.errors import (
    FieldError,
    field_duplicate,
    field_invalid,
    field_required,
    field_too_many,
)
from kcpcache.meta.go_values import go_value
from kcpcache.meta.names import GroupResource, dns1035_label_errors, dns1123_subdomain_errors, kind_errors
from kcpcache.meta.objects import Object, annotations_of, name_of
from kcpcache.registry.builtin.apiextensions import CUSTOM_RESOURCE_DEFINITION, JSON_SCHEMA_PROPS
from kcpcache.registry.builtin.canonical import as_written
from kcpcache.registry.builtin.rules.rule import immutable, section, sections, text, texts
from kcpcache.registry.builtin.types import json_fields
from kcpcache.registry.crd_conversion import ca_bundle_errors, choice_errors, conversion_errors
from kcpcache.registry.crd_paths import internal_paths, parted_selectable_fields
from kcpcache.registry.resource import NoRules, Rules
from kcpcache.schema.compiled import schema_hash
from kcpcache.schema.field_path import FieldPathError, field_at
from kcpcache.schema.structural import check_structural
from kcpcache.schema.structural_defaults import has_default

APPROVED_ANNOTATION: Final = "api-approved.kubernetes.io"

_PROTECTED_GROUPS: Final = ("k8s.io", "kubernetes.io")
_POLICY: Final = "https://github.com/kubernetes/enhancements/pull/1111"
_APPROVAL_NEEDED: Final = f'protected groups must have approval annotation "{APPROVED_ANNOTATION}"'
_PRUNING: Final = (
    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
)
_SCOPES: Final = ("Cluster", "Namespaced")
_COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS: Final = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SELECTABLE_TYPES: Final = ("string", "boolean", "integer")
_MAX_SELECTABLE: Final = 8
_MAX_WARNING_BYTES: Final = 256
_ROOT_KEYWORDS: Final = (
    *("description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items"),
    *("properties", "externalDocs", "example", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations"),
)
"""All that may stand at the root beside a status subresource: what holds for parts of the object holds for each."""
_KEYWORD_ORDER: Final = (
    *("id", "$schema", "$ref", "description", "type", "nullable", "format", "title", "default", "maximum"),
    *("exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems"),
    *("uniqueItems", "multipleOf", "enum", "maxProperties", "minProperties", "required", "items", "allOf", "oneOf"),
    *("anyOf", "not", "properties", "additionalProperties", "patternProperties", "dependencies", "additionalItems"),
    *("definitions", "externalDocs", "example", "x-kubernetes-preserve-unknown-fields"),
    *("x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys"),
    *("x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-validations"),
)
"""In which kube-apiserver looks at the root, as far as the first that may not stand there."""
_POINTERS: Final = frozenset(field.name for field in json_fields(JSON_SCHEMA_PROPS) if field.pointer)
"""Keywords that say something even if they are empty."""


class CrdRules(NoRules):
    """Of apiextensions.k8s.io customresourcedefinitions. See ``registry.resource.Rules``."""

    def prepare_create(self, obj: Object) -> None:
        """A status without news: clients read its conditions from the first answer on."""
        obj["status"] = {"acceptedNames": {"kind": "", "plural": ""}, "conditions": []}
        _note_storage_version(obj)

    def prepare_update(self, new: Object, old: Object) -> None:
        """A new storage version counts as stored from this write on: objects may be written before anyone reacts."""
        if isinstance(old.get("status"), dict):
            _note_storage_version(new)

    def default(self, obj: Object) -> None:
        """Names that follow from the kind, strategy ``None``, the webhook's port; all else as Kubernetes writes it."""
        as_written(CUSTOM_RESOURCE_DEFINITION, obj)
        spec = section(obj, "spec")
        default_names(spec)
        if spec and spec.get("conversion") is None:  # what is of another type is refused with the rest
            spec["conversion"] = {"strategy": "None"}
        service = section(spec, "conversion", "webhook", "clientConfig", "service")
        if service and service.get("port") is None:
            service["port"] = 443

    def validate(self, obj: Object) -> list[FieldError]:
        """Name, spec, approval of protected groups, and that every stored version still exists."""
        spec = section(obj, "spec")
        group, plural, name = text(spec, "group"), text(section(spec, "names"), "plural"), name_of(obj)
        errors = [
            field_invalid(f"metadata.{key}", given, 'must be spec.names.plural+"."+spec.group')
            for key, given in (("generateName", text(section(obj, "metadata"), "generateName")), ("name", name))
            if given not in ("", f"{plural}.{group}") and not text(section(obj, "metadata"), "resourceVersion")
        ]
        errors += _preserving_errors(spec)
        errors += group_errors(group)
        errors += choice_errors("spec.scope", text(spec, "scope"), _SCOPES)
        parted = list(parted_selectable_fields(obj))
        if not _conditions(obj):  # it is new: what there is already is asked when it changes
            errors += parted
        beside_status = status_besides(spec)
        for index, version in sections(spec, "versions"):
            path = f"spec.versions[{index}]"
            schema = section(version, "schema").get("openAPIV3Schema")
            if schema is None:
                errors.append(field_required(f"{path}.schema.openAPIV3Schema", "schemas are required"))
            errors += version_errors(
                version, schema, f"{path}.schema.openAPIV3Schema", path, beside_status=beside_status
            )
            if not parted:
                errors += selectable_errors(version, schema, f"{path}.selectableFields")
        errors += versions_errors(spec)
        errors += names_errors(section(spec, "names"), "spec.names")
        errors += conversion_errors(section(spec, "conversion"), "spec.conversion")
        if spec.get("conversion") == {}:
            errors.append(field_required("spec.conversion.strategy"))
        errors += approval_errors(group, obj)
        errors += _stored_version_errors(obj)
        return list(internal_paths(errors, obj))

    def accept_stored(self, old: Object) -> None:
        """Schemas that are served already stay good, also if they would no longer be taken."""
        for _, version in sections(section(old, "spec"), "versions"):
            if (schema := section(version, "schema").get("openAPIV3Schema")) is not None:
                _SOUND.add(schema)

    def validate_update(self, obj: Object, old: Object) -> list[FieldError]:
        """Group and plural stay; once it is established, so do scope and kind: the store depends on them."""
        spec, before = section(obj, "spec"), section(old, "spec")
        names, names_before = section(spec, "names"), section(before, "names")
        errors = immutable("spec.group", spec.get("group"), before.get("group"))
        errors += immutable("spec.names.plural", names.get("plural"), names_before.get("plural"))
        conditions = _conditions(old)
        if _conditions(obj) and spec.get("versions") != before.get("versions"):
            errors += parted_selectable_fields(obj)
        if any(text(c, "type") == "Established" and text(c, "status") == "True" for c in conditions):
            errors += immutable("spec.scope", text(spec, "scope"), text(before, "scope"))
            errors += immutable("spec.names.kind", names.get("kind"), names_before.get("kind"))
            conversions = section(spec, "conversion"), section(before, "conversion")
            errors += internal_paths(ca_bundle_errors(*conversions, "spec.conversion"), obj)
        return errors


def _preserving_errors(spec: Object) -> Iterator[FieldError]:
    """That unknown fields are kept is what schemas say, and nothing else in a definition goes with the old way."""
    if spec.get("preserveUnknownFields") is not True:
        return
    path = "spec.preserveUnknownFields"
    schemas = [section(version, "schema").get("openAPIV3Schema") for _, version in sections(spec, "versions")]
    if any(has_default(schema) for schema in schemas):
        yield field_invalid(path, True, "must be false in order to use defaults in the schema")
    yield field_invalid(path, True, _PRUNING)
    strategy = text(section(spec, "conversion"), "strategy")
    if spec.get("conversion") is not None and strategy != "None":
        where = "spec.conversion.strategy"
        yield field_invalid(where, strategy, "must be None if spec.preserveUnknownFields is true")


def _conditions(crd: Object) -> list[Object]:
    return [condition for _, condition in sections(section(crd, "status"), "conditions")]


CRD_RULES: Final[Mapping[GroupResource, Rules]] = {
    GroupResource("apiextensions.k8s.io", "customresourcedefinitions"): CrdRules()
}


def default_names(spec: Object) -> None:
    """Fill in, in place, the names that follow from the kind."""
    names = section(spec, "names")
    kind = text(names, "kind")
    if kind:
        for name, default in (("singular", kind.lower()), ("listKind", f"{kind}List")):
            if names.get(name) is None or names[name] == "":
                names[name] = default


def _note_storage_version(crd: Object) -> None:
    storage = (text(v, "name") for _, v in sections(section(crd, "spec"), "versions") if v.get("storage"))
    stored, versions = next(storage, None), texts(section(crd, "status"), "storedVersions")
    if stored is not None and stored not in versions:
        crd["status"] = {**section(crd, "status"), "storedVersions": [*versions, stored]}


def group_errors(group: str) -> list[FieldError]:
    """What is wrong with a group that is not Kubernetes' own."""
    if not group:
        return [field_required("spec.group")]
    if errors := dns1123_subdomain_errors(group):
        return [field_invalid("spec.group", group, ",".join(errors))]
    if "." not in group:
        return [field_invalid("spec.group", group, "should be a domain with at least one dot")]
    return []


def names_errors(names: Object, path: str) -> Iterator[FieldError]:
    """What is wrong with ``spec.names``, defaulted."""
    for key in ("plural", "singular", "kind", "listKind"):
        value = text(names, key)
        if not value:
            yield field_required(f"{path}.{key}")
            continue
        errors = kind_errors(value) if key in {"kind", "listKind"} else dns1035_label_errors(value)
        if errors:
            yield field_invalid(f"{path}.{key}", value, ",".join(errors))
    if text(names, "kind") and names.get("kind") == names.get("listKind"):
        yield field_invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same")
    for key in ("shortNames", "categories"):
        for index, value in enumerate(texts(names, key)):
            if errors := dns1035_label_errors(value):
                yield field_invalid(f"{path}.{key}[{index}]", value, ",".join(errors))


def versions_errors(spec: Object) -> Iterator[FieldError]:
    """What is wrong with the versions of a spec together: their names, and which is stored."""
    versions = [version for _, version in sections(spec, "versions")]
    names = [text(version, "name") for version in versions]
    for index, name in enumerate(names):
        if errors := dns1035_label_errors(name):
            yield field_invalid(f"spec.versions[{index}].name", name, ",".join(errors))
            if index == 0 and name:
                # Kubernetes keeps the first version's name in a place of its own too.
                yield field_invalid("spec.version", name, ",".join(errors))
    if len(set(names)) != len(names):
        yield field_invalid("spec.versions", names, "must contain unique version names")
    if sum(version.get("storage") is True for version in versions) != 1:
        yield field_invalid("spec.versions", names, "must have exactly one version marked as storage version")


def status_besides(spec: Object) -> bool:
    """Whether all versions have one schema, and some version a status: then the schema stands beside a status."""
    versions = [version for _, version in sections(spec, "versions")]
    alike = all(version.get("schema") == versions[0].get("schema") for version in versions)
    return alike and any(section(version, "subresources").get("status") is not None for version in versions)


def version_errors(
    version: Object, schema: Any, schema_path: str, path: str, *, beside_status: bool = False
) -> Iterator[FieldError]:
    """What is wrong with one version at ``path``, whose schema stands at ``schema_path`` (None: said elsewhere).

    ``beside_status``: the schema is another version's too, which has a status subresource.
    """
    yield from _deprecation_errors(version, f"{path}.deprecationWarning")
    subresources = section(version, "subresources")
    if schema is not None:
        if (beside_status or subresources.get("status") is not None) and isinstance(schema, dict):
            yield from _root_errors(schema, schema_path)
        yield from _SOUND.errors(schema, schema_path)
    if subresources.get("scale") is not None:
        yield from _scale_errors(section(subresources, "scale"), f"{path}.subresources.scale")
    for index, column in sections(version, "additionalPrinterColumns"):
        yield from _column_errors(column, f"{path}.additionalPrinterColumns[{index}]")


def _deprecation_errors(version: Object, path: str) -> Iterator[FieldError]:
    warning = version.get("deprecationWarning")
    if not isinstance(warning, str):
        return
    if version.get("deprecated") is not True:
        yield field_invalid(path, warning, "can only be set for deprecated versions")
        return
    if len(warning.encode()) > _MAX_WARNING_BYTES:
        yield field_invalid(path, warning, f"must be <= {_MAX_WARNING_BYTES} characters long")
    if not warning:
        yield field_invalid(path, warning, "must not be an empty string")
    if not warning.isprintable():
        before = next(index for index, character in enumerate(warning) if not character.isprintable())
        index = len(warning[:before].encode())
        why = f"must only contain printable UTF-8 characters; non-printable character found at index {index}"
        yield field_invalid(path, warning, why)


class _SoundSchemas:
    """Hashes of schemas that passed, the latest 4096: a CRD's status is written often, its schema seldom.

    For any thread: what it does with a hash does not depend on others.
    """

    def __init__(self) -> None:
        self._hashes: OrderedDict[str, None] = OrderedDict()

    def errors(self, schema: Any, path: str) -> list[FieldError]:
        if self._note(schema_hash(schema), known=True):
            return []
        found = check_structural(schema, path)
        if not found:
            self.add(schema)
        return found

    def add(self, schema: Any) -> None:
        """Take a schema for sound without a look."""
        self._note(schema_hash(schema))

    def _note(self, digest: str, *, known: bool = False) -> bool:
        """Put the hash in front, if it is there or need not be; whether it is now."""
        if known and digest not in self._hashes:
            return False
        self._hashes[digest] = None
        self._hashes.move_to_end(digest)
        if len(self._hashes) > 4096:  # noqa: PLR2004 - see the class
            self._hashes.popitem(last=False)
        return True


_SOUND: Final = _SoundSchemas()


def _root_errors(schema: Object, path: str) -> Iterator[FieldError]:
    for keyword in _KEYWORD_ORDER:
        value = schema.get(keyword)
        if value is None or (not value and keyword not in _POINTERS):
            continue
        if keyword == "type" and value != "object":
            only = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            yield field_invalid(f"{path}.type", value, only)
            return
        if keyword not in _ROOT_KEYWORDS:
            allowed = " ".join(_ROOT_KEYWORDS)
            detail = (
                f"only [{allowed}] fields are allowed at the root of the schema if the status subresource is enabled"
            )
            yield field_invalid(path, keyword, detail)
            return


def _scale_errors(scale: Object, path: str) -> Iterator[FieldError]:
    for key, below in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status"), ("labelSelectorPath", "")):
        value = text(scale, key)
        if not value:
            if below:
                yield field_required(f"{path}.{key}")
        elif not value.startswith("."):
            yield field_invalid(f"{path}.{key}", value, "must be a simple json path starting with .")
        elif below and not value.startswith(f"{below}."):
            yield field_invalid(f"{path}.{key}", value, f"should be a json path under {below}")
        elif not value.startswith((".spec.", ".status.")):
            yield field_invalid(f"{path}.{key}", value, "should be a json path under either .spec or .status")


def _column_errors(column: Object, path: str) -> Iterator[FieldError]:
    """Of the path only what Kubernetes checks: a column whose path finds nothing is an empty one, not an error."""
    if not text(column, "name"):
        yield field_required(f"{path}.name")
    types, kind = ",".join(_COLUMN_TYPES), text(column, "type")
    if not kind:
        yield field_required(f"{path}.type", f"must be one of {types}")
    elif kind not in _COLUMN_TYPES:
        yield field_invalid(f"{path}.type", kind, f"must be one of {types}")
    form = text(column, "format")
    if form and form not in _COLUMN_FORMATS:
        yield field_invalid(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
    json_path = text(column, "jsonPath")
    if not json_path:
        yield field_required(f"{path}.jsonPath")
    elif not json_path.startswith("."):
        yield field_invalid(f"{path}.jsonPath", json_path, "must be a simple json path starting with .")


def selectable_errors(version: Object, schema: Any, path: str) -> Iterator[FieldError]:
    """What is wrong with the ``selectableFields`` of a version with that schema."""
    seen: set[str] = set()
    if schema is None and version.get("selectableFields"):
        yield field_invalid(path, "", "selectableFields may only be set when validations.schema is included")
        return
    for index, field in sections(version, "selectableFields"):
        at, value = f"{path}[{index}].jsonPath", text(field, "jsonPath")
        if not value:
            yield field_required(at)
            continue
        try:
            at_path, found = field_at(value, schema if isinstance(schema, dict) else {}, quoted=False)
        except FieldPathError as error:
            yield field_invalid(at, value, f"is an invalid path: {error}")
            continue
        if at_path.split(".")[1] == "metadata":
            yield field_invalid(at, value, "must not point to fields in metadata")
        if found.get("type") not in _SELECTABLE_TYPES:
            detail = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats "
                "are allowed."
            )
            yield field_invalid(at, value, detail)
        if at_path in seen:
            yield field_duplicate(at, value)
        seen.add(at_path)
    if len(seen) > _MAX_SELECTABLE:
        yield field_too_many(path, len(seen), _MAX_SELECTABLE)


def approval_errors(group: str, obj: Object) -> Iterator[FieldError]:
    """Groups of the Kubernetes community need an annotation that names the approval."""
    if not any(group == protected or group.endswith(f".{protected}") for protected in _PROTECTED_GROUPS):
        return
    path, value = f"metadata.annotations[{APPROVED_ANNOTATION}]", annotations_of(obj).get(APPROVED_ANNOTATION, "")
    if not value:
        yield field_required(path, f"{_APPROVAL_NEEDED}, see {_POLICY}")
    elif not value.startswith("unapproved") and not _is_url(value):
        detail = f'{_APPROVAL_NEEDED} with either a URL or a reason starting with "unapproved", see {_POLICY}'
        yield field_invalid(path, value, detail)


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _stored_version_errors(crd: Object) -> Iterator[FieldError]:
    """Of a CRD whose status says what is stored: nothing that is stored may become unreadable."""
    stored = texts(section(crd, "status"), "storedVersions")
    all_versions = [(text(v, "name"), v.get("storage") is True) for _, v in sections(section(crd, "spec"), "versions")]
    versions = {name for name, _ in all_versions}
    for index, version in enumerate(stored):
        if version not in versions:
            why = (
                f"missing from spec.versions; {version} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {version} and removes "
                f"{version} from status.storedVersions"
            )
            yield field_invalid(f"status.storedVersions[{index}]", version, why)
    where, seen = "status.storedVersions", set[str]()
    for name, is_storage in all_versions:
        if (
            stored and is_storage and (name not in stored or name in seen)
        ):  # of two with one name, the second is another
            why = f"Invalid value: {go_value(stored)}: must have the storage version {name}"
            yield FieldError("FieldValueInvalid", where, why)
        seen.add(name)
    if not stored and not any(is_storage for _, is_storage in all_versions):
        why = "Invalid value: []string(nil): must have at least one stored version"
        yield FieldError("FieldValueInvalid", where, why)

"""Field paths of a CustomResourceDefinition's errors as kube-apiserver writes them.

It judges its internal form, in which what all versions say alike stands once, at the top of the spec (so always where
there is one version), and the webhook of a conversion has names of its own.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import section, sections

_TOP: Final = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}
_PART: Final = re.compile(rf"spec\.versions\[([0-9]+)\]\.({'|'.join(_TOP)})(?=[.\[]|$)")
_COLUMN_PATH: Final = re.compile(r"(\.additionalPrinterColumns\[[0-9]+\])\.jsonPath$")
_WEBHOOK: Final = {
    "spec.conversion.webhook.conversionReviewVersions": "spec.conversion.conversionReviewVersions",
    "spec.conversion.webhook.clientConfig": "spec.conversion.webhookClientConfig",
    "spec.conversion.webhook": "spec.conversion.webhookClientConfig",
}


def internal_paths(errors: Iterable[FieldError], crd: Object) -> Iterator[FieldError]:
    """The errors, whose paths are those of v1, with kube's; what is wrong with all versions alike is said once."""
    versions = [version for _, version in sections(section(crd, "spec"), "versions")] or [{}]
    alike = {
        part
        for part in _TOP
        if all(version.get(part) == versions[0].get(part) for version in versions) and versions[0].get(part)
    }
    for error in errors:
        found = _PART.match(error.path)
        if found and found[2] in alike:
            if found[1] != "0":
                continue
            before, after = found[0], f"spec.{_TOP[found[2]]}"
            yield FieldError(
                error.reason, _renamed(after + error.path[found.end() :]), error.body.replace(before, after)
            )
        else:
            yield FieldError(error.reason, _renamed(error.path), error.body)


def parted_selectable_fields(crd: Object) -> Iterator[FieldError]:
    """What is wrong where all versions have the same selectable fields and not the same schema, or the other way round.

    In the internal form one of them then stands at the top of the spec and the other does not, so that kube-apiserver
    finds no schema for the fields. Paths are kube's.
    """
    versions = [version for _, version in sections(section(crd, "spec"), "versions")]
    fields = [version.get("selectableFields") or [] for version in versions]
    schemas = [version.get("schema") for version in versions]
    one_list, one_schema = (all(each == parts[0] for each in parts) for parts in (fields, schemas))
    if one_list == one_schema or not any(fields):
        return
    if one_list:
        why = "selectableFields may only be set when validations.schema is included"
        yield field_invalid("spec.selectableFields", "", why)
        return
    why = "selectableFields may only be set when version.schema.openAPIV3Schema is not included"
    for index, given in enumerate(fields):
        if given:
            yield field_invalid(f"spec.versions[{index}].selectableFields", "", why)


def _renamed(path: str) -> str:
    for before, after in _WEBHOOK.items():
        if path.startswith(before):
            return after + path.removeprefix(before)
    return _COLUMN_PATH.sub(r"\1.JSONPath", path)

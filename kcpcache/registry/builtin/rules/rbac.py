"""Rules of roles and bindings, after kube's ``pkg/apis/rbac/validation``."""

from typing import Final

from kcpcache.meta.errors import FieldError, field_invalid, field_not_supported, field_required
from kcpcache.meta.names import dns1123_subdomain_errors, path_segment_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import Rules, invalid, section, sections, text, texts
from kcpcache.registry.builtin.rules.selectors import label_selector_errors

GROUP: Final = "rbac.authorization.k8s.io"


def policy_rule_errors(rule: Object, path: str, *, namespaced: bool) -> list[FieldError]:
    """What is wrong with one PolicyRule; ``namespaced`` ones cannot speak of paths."""
    errors: list[FieldError] = []
    if not texts(rule, "verbs"):
        errors.append(field_required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = texts(rule, "nonResourceURLs")
    if urls:
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            errors.append(field_invalid(f"{path}.nonResourceURLs", urls, detail))
        if any(texts(rule, name) for name in ("apiGroups", "resources", "resourceNames")):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            errors.append(field_invalid(f"{path}.nonResourceURLs", urls, detail))
        return errors
    if not texts(rule, "apiGroups"):
        errors.append(field_required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not texts(rule, "resources"):
        errors.append(field_required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors


def _rules_errors(role: Object, *, namespaced: bool) -> list[FieldError]:
    return [
        error
        for index, rule in sections(role, "rules")
        for error in policy_rule_errors(rule, f"rules[{index}]", namespaced=namespaced)
    ]


def _validate_role(role: Object) -> list[FieldError]:
    return _rules_errors(role, namespaced=True)


def _validate_cluster_role(role: Object) -> list[FieldError]:
    errors = _rules_errors(role, namespaced=False)
    if role.get("aggregationRule") is None:
        return errors
    selectors = list(sections(section(role, "aggregationRule"), "clusterRoleSelectors"))
    path = "aggregationRule.clusterRoleSelectors"
    if not selectors:
        detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        errors.append(field_required(path, detail))
    for index, selector in selectors:
        errors += label_selector_errors(selector, f"{path}[{index}]")
    return errors


def _default_binding(binding: Object) -> None:
    """RBAC's own group is meant wherever none is given, except for service accounts."""
    ref = section(binding, "roleRef")
    if ref and not ref.get("apiGroup"):
        ref["apiGroup"] = GROUP
    for _, subject in sections(binding, "subjects"):
        if not subject.get("apiGroup") and text(subject, "kind") in {"User", "Group"}:
            subject["apiGroup"] = GROUP


def _subject_errors(subject: Object, path: str, *, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    kind, group, name = text(subject, "kind"), text(subject, "apiGroup"), text(subject, "name")
    if not name:
        errors.append(field_required(f"{path}.name"))
    if kind == "ServiceAccount":
        if name:
            errors += invalid(f"{path}.name", name, dns1123_subdomain_errors(name))
        if group:
            errors.append(field_not_supported(f"{path}.apiGroup", group, [""]))
        if not namespaced and not text(subject, "namespace"):
            errors.append(field_required(f"{path}.namespace"))
    elif kind in {"User", "Group"}:
        if group != GROUP:
            errors.append(field_not_supported(f"{path}.apiGroup", group, [GROUP]))
    else:
        errors.append(field_not_supported(f"{path}.kind", kind, ["ServiceAccount", "User", "Group"]))
    return errors


def _binding_errors(binding: Object, kinds: tuple[str, ...], *, namespaced: bool) -> list[FieldError]:
    ref = section(binding, "roleRef")
    group, kind, name = text(ref, "apiGroup"), text(ref, "kind"), text(ref, "name")
    errors: list[FieldError] = []
    if group != GROUP:
        errors.append(field_not_supported("roleRef.apiGroup", group, [GROUP]))
    if kind not in kinds:
        errors.append(field_not_supported("roleRef.kind", kind, kinds))
    if not name:
        errors.append(field_required("roleRef.name"))
    errors += invalid("roleRef.name", name, path_segment_errors(name) if name else ())
    for index, subject in sections(binding, "subjects"):
        errors += _subject_errors(subject, f"subjects[{index}]", namespaced=namespaced)
    return errors


def _validate_role_binding(binding: Object) -> list[FieldError]:
    return _binding_errors(binding, ("Role", "ClusterRole"), namespaced=True)


def _validate_cluster_role_binding(binding: Object) -> list[FieldError]:
    return _binding_errors(binding, ("ClusterRole",), namespaced=False)


def _update_binding(binding: Object, old: Object) -> list[FieldError]:
    ref = section(binding, "roleRef")
    return [] if ref == section(old, "roleRef") else [field_invalid("roleRef", ref, "cannot change roleRef")]


ROLE: Final = Rules(validate=_validate_role)
CLUSTER_ROLE: Final = Rules(validate=_validate_cluster_role)
ROLE_BINDING: Final = Rules(default=_default_binding, validate=_validate_role_binding, validate_update=_update_binding)
CLUSTER_ROLE_BINDING: Final = Rules(
    default=_default_binding, validate=_validate_cluster_role_binding, validate_update=_update_binding
)

"""Rules of webhook configurations and admission policies, after kube's admissionregistration validation."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from kcpcache.meta.errors import (
    FieldError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
    field_too_many,
)
from kcpcache.meta.names import dns1123_subdomain_errors, qualified_name_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import (
    Rules,
    invalid,
    section,
    sections,
    text,
    texts,
    version_name_errors,
    whole,
)
from kcpcache.registry.builtin.rules.selectors import label_selector_errors
from kcpcache.schema.cel_text import RESERVED

_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES: Final = ("*", "Cluster", "Namespaced")
_SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
_ACTIONS: Final = ("Audit", "Deny", "Warn")
_REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE_BREAK: Final = re.compile(r"[\n\r]")
_MAX_CONDITIONS: Final = 64
_MAX_NOTES: Final = 20
_MAX_NOTE_BYTES: Final = 5 * 1024
_MAX_TIMEOUT_SECONDS: Final = 30
_DENY_AND_WARN: Final = (
    "must not contain both Deny and Warn (repeating the same validation failure information in the API response "
    "and headers serves no purpose)"
)


def _set(obj: Object, key: str, value: Any) -> None:
    if obj.get(key) is None:
        obj[key] = value


def _default_rules(holder: Object, *names: str) -> None:
    for name in names:
        for _, rule in sections(holder, name):
            _set(rule, "scope", "*")


def _default_match(holder: Object) -> None:
    _set(holder, "matchPolicy", "Equivalent")
    _set(holder, "namespaceSelector", {})
    _set(holder, "objectSelector", {})


def _default_webhooks(configuration: Object) -> None:
    for _, webhook in sections(configuration, "webhooks"):
        _set(webhook, "failurePolicy", "Fail")
        _set(webhook, "timeoutSeconds", 10)
        _default_match(webhook)
        _default_rules(webhook, "rules")
        service = section(webhook, "clientConfig", "service")
        if service:
            _set(service, "port", 443)


def _default_mutating(configuration: Object) -> None:
    _default_webhooks(configuration)
    for _, webhook in sections(configuration, "webhooks"):
        _set(webhook, "reinvocationPolicy", "Never")


def _default_policy(policy: Object) -> None:
    spec = section(policy, "spec")
    if spec:
        _set(spec, "failurePolicy", "Fail")
    _default_match_resources(spec, "matchConstraints")


def _default_binding(binding: Object) -> None:
    _default_match_resources(section(binding, "spec"), "matchResources")


def _default_match_resources(spec: Object, name: str) -> None:
    if isinstance(spec.get(name), dict):
        _default_match(spec[name])
        _default_rules(spec[name], "resourceRules", "excludeResourceRules")


_WILDCARD_ALONE: Final = {
    "operations": "if '*' is present, must not specify other operations",
    "apiGroups": "if '*' is present, must not specify other API groups",
    "apiVersions": "if '*' is present, must not specify other API versions",
}


def _rule_errors(rule: Object, path: str) -> Iterator[FieldError]:
    for name in ("operations", "apiGroups", "apiVersions", "resources"):
        values = texts(rule, name)
        if not values:
            yield field_required(f"{path}.{name}")
        if len(values) > 1 and "*" in values and name in _WILDCARD_ALONE:
            yield field_invalid(f"{path}.{name}", values, _WILDCARD_ALONE[name])
    for index, operation in enumerate(texts(rule, "operations")):
        if operation not in _OPERATIONS:
            yield field_not_supported(f"{path}.operations[{index}]", operation, _OPERATIONS)
    for name in ("apiVersions", "resources"):
        for index, value in enumerate(texts(rule, name)):
            if not value:
                yield field_required(f"{path}.{name}[{index}]")
    yield from _wildcard_errors(texts(rule, "resources"), f"{path}.resources")
    scope = rule.get("scope")
    if scope is not None and scope not in _SCOPES:
        yield field_not_supported(f"{path}.scope", scope, _SCOPES)


def _wildcard_errors(resources: list[str], path: str) -> Iterator[FieldError]:
    """A wildcard makes what it covers superfluous, and saying both is taken for a mistake."""
    if len(resources) > 1 and "*/*" in resources:
        yield field_invalid(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and any("/" not in name and name != "*" for name in resources):
        detail = "if '*' is present, must not specify other resources without subresources"
        yield field_invalid(path, resources, detail)


def _condition_errors(holder: Object, path: str) -> Iterator[FieldError]:
    conditions = list(sections(holder, "matchConditions"))
    if len(conditions) > _MAX_CONDITIONS:
        yield field_too_many(f"{path}.matchConditions", len(conditions), _MAX_CONDITIONS)
    seen: set[str] = set()
    for index, condition in conditions:
        at, name = f"{path}.matchConditions[{index}]", text(condition, "name")
        if not text(condition, "expression").strip():
            yield field_required(f"{at}.expression")
        if not name:
            yield field_required(f"{at}.name")
        else:
            yield from invalid(f"{at}.name", name, qualified_name_errors(name))
        if name and name in seen:
            yield field_duplicate(f"{at}.name", name)
        seen.add(name)


def _client_errors(client: Object, path: str) -> Iterator[FieldError]:
    url, service = text(client, "url"), client.get("service")
    if bool(url) == (service is not None):
        yield field_required(path, "exactly one of url or service is required")
        return
    if service is not None:
        for name in ("name", "namespace"):
            if not text(section(client, "service"), name):
                yield field_required(f"{path}.service.{name}", f"service {name} is required")
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        yield field_required(f"{path}.url", "url must be a valid URL")
        return
    if parts.scheme != "https":
        form = "; desired format: https://host[/path]"
        yield field_invalid(f"{path}.url", parts.scheme, f"'https' is the only allowed URL scheme{form}")
    if not parts.hostname:
        yield field_invalid(f"{path}.url", parts.netloc, "host must be specified")
    for name, value in (("query parameters", parts.query), ("fragments", parts.fragment)):
        if value:
            yield field_invalid(f"{path}.url", value, f"{name} are not permitted in the URL")


def _webhook_errors(webhook: Object, path: str) -> Iterator[FieldError]:
    name = text(webhook, "name")
    if not name:
        yield field_required(f"{path}.name")
    else:
        yield from invalid(f"{path}.name", name, dns1123_subdomain_errors(name))
        if name.count(".") < 2:  # noqa: PLR2004 - a fully qualified name has three parts
            yield field_invalid(
                f"{path}.name", name, "should be a domain with at least three segments separated by dots"
            )
    effects = text(webhook, "sideEffects")
    if not effects:
        yield field_required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}")
    elif effects not in _SIDE_EFFECTS:
        yield field_not_supported(f"{path}.sideEffects", effects, _SIDE_EFFECTS)
    seconds = whole(webhook, "timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= _MAX_TIMEOUT_SECONDS:
        detail = "the timeout value must be between 1 and 30 seconds"
        yield field_invalid(f"{path}.timeoutSeconds", seconds, detail)
    versions = texts(webhook, "admissionReviewVersions")
    if not versions:
        yield field_required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1")
    yield from version_name_errors(versions, f"{path}.admissionReviewVersions")
    if versions and not {"v1", "v1beta1"} & set(versions):
        detail = "must include at least one of v1, v1beta1"
        yield field_invalid(f"{path}.admissionReviewVersions", versions, detail)
    for index, rule in sections(webhook, "rules"):
        yield from _rule_errors(rule, f"{path}.rules[{index}]")
    for selector in ("namespaceSelector", "objectSelector"):
        yield from label_selector_errors(section(webhook, selector), f"{path}.{selector}")
    yield from _client_errors(section(webhook, "clientConfig"), f"{path}.clientConfig")
    yield from _condition_errors(webhook, path)


def _validate_webhooks(configuration: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, webhook in sections(configuration, "webhooks"):
        errors += _webhook_errors(webhook, f"webhooks[{index}]")
        if text(webhook, "name") in seen - {""}:
            errors.append(field_duplicate(f"webhooks[{index}].name", text(webhook, "name")))
        seen.add(text(webhook, "name"))
    return errors


def _match_errors(match: Object, path: str) -> Iterator[FieldError]:
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in sections(match, name):
            yield from _rule_errors(rule, f"{path}.{name}[{index}]")
    for selector in ("namespaceSelector", "objectSelector"):
        yield from label_selector_errors(section(match, selector), f"{path}.{selector}")


def _validate_policy(policy: Object) -> list[FieldError]:
    """In the order of kube's validateValidatingAdmissionPolicySpec."""
    spec = section(policy, "spec")
    errors: list[FieldError] = []
    if spec.get("paramKind") is not None:
        kind = section(spec, "paramKind")
        errors += [field_required(f"spec.paramKind.{key}") for key in ("apiVersion", "kind") if not text(kind, key)]
    match = section(spec, "matchConstraints")
    if not match:
        errors.append(field_required("spec.matchConstraints"))
    errors += _match_errors(match, "spec.matchConstraints")
    if match and not list(sections(match, "resourceRules")):
        errors.append(field_required("spec.matchConstraints.resourceRules"))
    errors += _condition_errors(spec, "spec")
    for index, variable in sections(spec, "variables"):
        errors += _variable_errors(variable, f"spec.variables[{index}]")
    validations, notes = list(sections(spec, "validations")), list(sections(spec, "auditAnnotations"))
    if not validations and not notes:
        detail = "validations or auditAnnotations must contain at least one item"
        errors += [field_required(f"spec.{name}", detail) for name in ("validations", "auditAnnotations")]
    for index, validation in validations:
        errors += _validation_errors(validation, f"spec.validations[{index}]")
    return errors + list(_note_errors(notes, text(section(policy, "metadata"), "name")))


def _variable_errors(variable: Object, path: str) -> Iterator[FieldError]:
    name = text(variable, "name")
    if not name.strip():
        yield field_required(f"{path}.name", "name is not specified")
    elif not _IDENTIFIER.fullmatch(name) or name in RESERVED:
        yield field_invalid(f"{path}.name", name, "name is not a valid CEL identifier")
    if not text(variable, "expression").strip():
        yield field_required(f"{path}.expression", "expression is not specified")


def _validation_errors(validation: Object, path: str) -> Iterator[FieldError]:
    message, reason = text(validation, "message"), validation.get("reason")
    told = text(validation, "messageExpression")
    if not text(validation, "expression").strip():
        yield field_required(f"{path}.expression", "expression is not specified")
    if told and not told.strip():
        yield field_invalid(f"{path}.messageExpression", told, "must be non-empty if specified")
    if message and not message.strip():
        yield field_invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif _LINE_BREAK.search(message.strip()):
        yield field_invalid(f"{path}.message", message, "message must not contain line breaks")
    if reason is not None and reason not in _REASONS:
        yield field_not_supported(f"{path}.reason", reason, _REASONS)


def _note_errors(notes: list[tuple[int, Object]], policy: str) -> Iterator[FieldError]:
    if len(notes) > _MAX_NOTES:
        detail = f"must not have more than {_MAX_NOTES} auditAnnotations"
        yield field_invalid("spec.auditAnnotations", [note for _, note in notes], detail)
    seen: set[str] = set()
    for index, note in notes:
        path, key, value = f"spec.auditAnnotations[{index}]", text(note, "key"), text(note, "valueExpression").strip()
        yield from invalid(f"{path}.key", f"{policy}/{key}", qualified_name_errors(f"{policy}/{key}"))
        if not value:
            yield field_required(f"{path}.valueExpression", "valueExpression is not specified")
        elif len(value.encode("utf-8", "surrogatepass")) > _MAX_NOTE_BYTES:
            yield field_required(f"{path}.valueExpression", f"must not exceed {_MAX_NOTE_BYTES} bytes in length")
        if key in seen:
            yield field_duplicate(f"{path}.key", key)
        seen.add(key)


def _validate_binding(binding: Object) -> list[FieldError]:
    spec = section(binding, "spec")
    errors: list[FieldError] = []
    if not text(spec, "policyName"):
        errors.append(field_required("spec.policyName"))
    actions = texts(spec, "validationActions")
    if not actions:
        errors.append(field_required("spec.validationActions", "at least one validation action is required"))
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            errors.append(field_not_supported(f"spec.validationActions[{index}]", action, _ACTIONS))
        elif action in actions[:index]:
            errors.append(field_duplicate(f"spec.validationActions[{index}]", action))
    if {"Deny", "Warn"} <= set(actions):
        errors.append(field_invalid("spec.validationActions", actions, _DENY_AND_WARN))
    if spec.get("paramRef") is not None:
        errors += _param_ref_errors(section(spec, "paramRef"))
    return errors + list(_match_errors(section(spec, "matchResources"), "spec.matchResources"))


def _param_ref_errors(ref: Object) -> Iterator[FieldError]:
    path, name, action = "spec.paramRef", text(ref, "name"), text(ref, "parameterNotFoundAction")
    if name and ref.get("selector") is not None:
        for field in ("name", "selector"):
            yield field_forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    elif not name and ref.get("selector") is None:
        yield field_required(path, "one of name or selector must be specified")
    if not action:
        yield field_required(f"{path}.parameterNotFoundAction")
    elif action not in {"Allow", "Deny"}:
        yield field_not_supported(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow"))
    yield from label_selector_errors(section(ref, "selector"), f"{path}.selector")


VALIDATING_WEBHOOKS: Final = Rules(default=_default_webhooks, validate=_validate_webhooks, judges_keys=True)
MUTATING_WEBHOOKS: Final = Rules(default=_default_mutating, validate=_validate_webhooks, judges_keys=True)
VALIDATING_ADMISSION_POLICY: Final = Rules(default=_default_policy, validate=_validate_policy, judges_keys=True)
VALIDATING_ADMISSION_POLICY_BINDING: Final = Rules(default=_default_binding, validate=_validate_binding)

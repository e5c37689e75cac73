"""ValidatingAdmissionPolicies and their bindings, compiled; and what is wrong with those that cannot be compiled."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kcpcache.admission.expressions import POLICY_VARIABLES, REQUEST_VARIABLES, Expression, compile_admission
from kcpcache.admission.match_conditions import MatchConditions, conditions_of
from kcpcache.admission.matching import Match, match_of
from kcpcache.meta.errors import FieldError, field_invalid, field_not_supported
from kcpcache.meta.names import split_api_version
from kcpcache.meta.objects import Object, name_of, nested
from kcpcache.meta.selectors import LabelSelector, label_selector_of
from kcpcache.schema.cel_environment import CompileError

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REASONS: Final = ("Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge")
_TEXT: Final = ("string",)
_TEXT_OR_NULL: Final = ("string", "null")


@dataclass(frozen=True, slots=True)
class Validation:
    """One rule; ``message`` is what to say where there is no ``message_expression`` or it does not help."""

    expression: Expression
    message: str
    message_expression: Expression | None
    reason: str


@dataclass(frozen=True, slots=True)
class ParamKind:
    """The kind of a policy's parameters."""

    group: str
    version: str
    kind: str


@dataclass(frozen=True, slots=True)
class ParamRef:
    """Which objects carry the parameters: one by ``name``, or all that ``selector`` selects."""

    name: str
    namespace: str
    selector: LabelSelector
    deny_without: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """Where and how a policy is in force."""

    name: str
    match: Match
    param_ref: ParamRef | None
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy; ``broken`` says why its rules cannot be compiled."""

    name: str
    names: tuple[str, ...]
    match: Match
    conditions: MatchConditions
    variables: tuple[tuple[str, Expression], ...]
    validations: tuple[Validation, ...]
    audit_annotations: tuple[tuple[str, Expression], ...]
    param_kind: ParamKind | None
    ignore_failures: bool
    broken: str = ""


Enforced = tuple[tuple[Policy, tuple[Binding, ...]], ...]


def enforced(bindings: Sequence[Object], policies: Sequence[Object]) -> Enforced:
    """Each policy that has bindings, with them, in the order of their names."""
    by_policy: dict[str, list[Binding]] = {}
    for binding in sorted(bindings, key=name_of):
        by_policy.setdefault(str(nested(binding, "spec", "policyName")), []).append(_binding(binding))
    return tuple(
        (_policy(policy), tuple(by_policy[name_of(policy)]))
        for policy in sorted(policies, key=name_of)
        if name_of(policy) in by_policy
    )


def _binding(binding: Object) -> Binding:
    spec = binding["spec"]
    resources, ref = spec.get("matchResources") or {}, spec.get("paramRef")
    return Binding(
        name_of(binding),
        match_of(resources, resources.get("resourceRules") or None),
        None if ref is None else _param_ref(ref),
        frozenset(spec.get("validationActions") or ()),
    )


def _param_ref(ref: Object) -> ParamRef:
    return ParamRef(
        ref.get("name") or "",
        ref.get("namespace") or "",
        label_selector_of(ref.get("selector")),
        ref.get("parameterNotFoundAction") != "Allow",
    )


def _names(spec: Object) -> tuple[str, ...]:
    return (*POLICY_VARIABLES, "params") if spec.get("paramKind") else POLICY_VARIABLES


def _policy(policy: Object) -> Policy:
    spec, broken = policy["spec"], ""
    names, kind = _names(spec), spec.get("paramKind")
    variables: list[tuple[str, Expression]] = []
    validations: list[Validation] = []
    notes: list[tuple[str, Expression]] = []
    try:
        variables += [
            (item["name"], compile_admission(item["expression"], names, ())) for item in _items(spec, "variables")
        ]
        validations += [_validation(item, names) for item in _items(spec, "validations")]
        notes += [
            (item["key"], compile_admission(item["valueExpression"], names, _TEXT_OR_NULL))
            for item in _items(spec, "auditAnnotations")
        ]
    except CompileError as error:
        broken = str(error)
    constraints = spec.get("matchConstraints") or {}
    return Policy(
        name_of(policy),
        names,
        match_of(constraints, constraints.get("resourceRules") or ()),
        conditions_of(spec, names),
        tuple(variables),
        tuple(validations),
        tuple(notes),
        ParamKind(*split_api_version(kind["apiVersion"]), kind["kind"]) if kind else None,
        spec.get("failurePolicy") == "Ignore",
        broken,
    )


def _items(holder: Object, name: str) -> list[dict[str, Any]]:
    return holder.get(name) or []


def _validation(item: Object, names: tuple[str, ...]) -> Validation:
    text, message_expression = item["expression"], item.get("messageExpression")
    return Validation(
        compile_admission(text, names),
        str(item.get("message") or "").strip() or f"failed expression: {text.strip()}",
        compile_admission(message_expression, names, _TEXT) if message_expression else None,
        item.get("reason") or "",
    )


def policy_errors(policy: Object) -> Iterator[FieldError]:
    """What is wrong with the expressions of a policy of the right shape."""
    spec = policy.get("spec") or {}
    names, known = _names(spec), set[str]()
    for index, item in enumerate(_items(spec, "variables")):
        path, name = f"spec.variables[{index}]", str(item.get("name") or "")
        if name and not _IDENTIFIER.fullmatch(name):
            yield field_invalid(f"{path}.name", name, "name is not a valid CEL identifier")
        yield from _expression_errors(item, "expression", path, names, (), known)
        known.add(name)
    for index, item in enumerate(_items(spec, "matchConditions")):
        yield from _expression_errors(item, "expression", f"spec.matchConditions[{index}]", names, ("bool",), known)
    for index, item in enumerate(_items(spec, "validations")):
        path, reason = f"spec.validations[{index}]", item.get("reason")
        yield from _expression_errors(item, "expression", path, names, ("bool",), known)
        yield from _expression_errors(item, "messageExpression", path, names, _TEXT, known)
        if reason and reason not in _REASONS:
            yield field_not_supported(f"{path}.reason", reason, _REASONS)
    for index, item in enumerate(_items(spec, "auditAnnotations")):
        path = f"spec.auditAnnotations[{index}]"
        yield from _expression_errors(item, "valueExpression", path, names, _TEXT_OR_NULL, known)


def configuration_errors(configuration: Object) -> Iterator[FieldError]:
    """What is wrong with the match conditions of a webhook configuration of the right shape."""
    for number, webhook in enumerate(_items(configuration, "webhooks")):
        for index, item in enumerate(_items(webhook, "matchConditions")):
            path = f"webhooks[{number}].matchConditions[{index}]"
            yield from _expression_errors(item, "expression", path, REQUEST_VARIABLES, ("bool",), set())


def _expression_errors(
    item: Object, key: str, path: str, names: tuple[str, ...], wanted: tuple[str, ...], known: set[str]
) -> Iterator[FieldError]:
    text = item.get(key)
    if not isinstance(text, str) or not text.strip():
        return  # that it is missing is said elsewhere, if it must be there
    try:
        expression = compile_admission(text, names, wanted)
    except CompileError as error:
        yield field_invalid(f"{path}.{key}", text, str(error))
        return
    for name in expression.variables:
        if name not in known:
            yield field_invalid(f"{path}.{key}", text, f"compilation failed: undefined field '{name}'")

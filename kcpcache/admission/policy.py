"""ValidatingAdmissionPolicies and their bindings, compiled; and what is wrong with those that cannot be compiled."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kcpcache.admission.authorizer_library import AUTHORIZER, REQUEST_RESOURCE
from kcpcache.admission.expression_types import Types
from kcpcache.admission.expressions import POLICY_VARIABLES, REQUEST_VARIABLES, Expression, compile_admission
from kcpcache.admission.match_conditions import MatchConditions, conditions_of
from kcpcache.admission.matching import Match, match_of
from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.names import split_api_version
from kcpcache.meta.objects import Object, name_of, nested
from kcpcache.meta.selectors import LabelSelector, label_selector_of
from kcpcache.schema.cel_environment import CompileError

_BOOL: Final = ("bool",)
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
    """What is wrong with the expressions of a policy of the right shape, in kube-apiserver's order."""
    spec = policy.get("spec") or {}
    variables = _items(spec, "variables")
    types = Types([name for name in _names(spec) if variables or name != "variables"])
    yield from _condition_errors(spec, "spec", types)
    for index, item in enumerate(variables):
        name = str(item.get("name") or "")
        yield from _expression_errors(item, "expression", f"spec.variables[{index}]", partial(types.add, name))
    for index, item in enumerate(_items(spec, "validations")):
        path = f"spec.validations[{index}]"
        yield from _expression_errors(item, "expression", path, partial(types.check, wanted=_BOOL))
        told = partial(types.check, wanted=_TEXT, without=(AUTHORIZER, REQUEST_RESOURCE))
        yield from _expression_errors(item, "messageExpression", path, told)
    for index, item in enumerate(_items(spec, "auditAnnotations")):
        noted = partial(types.check, wanted=_TEXT_OR_NULL)
        yield from _expression_errors(item, "valueExpression", f"spec.auditAnnotations[{index}]", noted)


def configuration_errors(configuration: Object) -> Iterator[FieldError]:
    """What is wrong with the match conditions of a webhook configuration of the right shape."""
    types = Types(REQUEST_VARIABLES)
    for number, webhook in enumerate(_items(configuration, "webhooks")):
        yield from _condition_errors(webhook, f"webhooks[{number}]", types)


def _condition_errors(holder: Object, path: str, types: Types) -> Iterator[FieldError]:
    """They have no variables, and are shown without the space around them."""
    check = partial(types.check, wanted=_BOOL, without=("variables",))
    for index, item in enumerate(_items(holder, "matchConditions")):
        bare = {"expression": str(item.get("expression") or "").strip()}
        yield from _expression_errors(bare, "expression", f"{path}.matchConditions[{index}]", check)


def _expression_errors(item: Object, key: str, path: str, check: Callable[[str], object]) -> Iterator[FieldError]:
    text = item.get(key)
    if not isinstance(text, str) or not text.strip():
        return  # that it is missing is said elsewhere, if it must be there
    try:
        check(text)
    except CompileError as error:
        yield field_invalid(f"{path}.{key}", text, str(error))

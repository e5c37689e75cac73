"""``x-kubernetes-validations``: CEL rules, compiled once per schema and evaluated within a budget.

Documentation: "Validation rules"; ratcheting after KEP-4008. A rule sees its node as ``self``; a rule that names
``oldSelf`` is a transition rule and is evaluated only where there is an old value to compare with.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid, field_required
from kcpcache.meta.objects import Object
from kcpcache.schema.cel_cost import Cost, Size, cost, measure
from kcpcache.schema.cel_environment import OLD_VARIABLE, CompileError, compile_expression, environment
from kcpcache.schema.cel_errors import is_vague, plain
from kcpcache.schema.cel_text import uses_old_self
from kcpcache.schema.cel_value import align, compile_converter
from kcpcache.schema.field_path import valid_field_path
from kcpcache.schema.values import ABSENT, correlate, map_key, same

_BUDGET = 20_000_000
"""For all rules of one object, in the units of ``cel_cost``: about two seconds."""
_MAX_MESSAGE_LENGTH = 5_000
_OVER_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
_IMMUTABLE = "self == oldSelf"
"""What most transition rules say; an unchanged value need not ask CEL."""


@dataclass(frozen=True)
class Rule:
    """One entry of ``x-kubernetes-validations``, compiled when it is first asked."""

    text: str
    message: str
    message_expression: str
    reason: str
    field_path: str
    uses_old_self: bool
    optional_old_self: bool
    cost: Cost

    @cached_property
    def program(self) -> Any:
        """What says whether the rule holds."""
        return compile_expression(self.text, "bool", optional_old_self=self.optional_old_self)

    @cached_property
    def telling_program(self) -> Any:
        """The same, to be asked again what is wrong."""
        return compile_expression(self.text, "bool", optional_old_self=self.optional_old_self, telling=True)

    @cached_property
    def message_program(self) -> Any:
        """What says what is wrong; None where the rule has no such expression."""
        expression = self.message_expression
        return (
            compile_expression(expression, "string", optional_old_self=self.optional_old_self) if expression else None
        )

    @property
    def described(self) -> str:
        """How errors name the rule."""
        return self.message or self.text.strip()


class BudgetExceededError(Exception):
    """Ends the evaluation of one object's rules."""


class _Run:
    """One object's validation: what is left of the budget."""

    def __init__(self) -> None:
        self.left = _BUDGET

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise BudgetExceededError


@dataclass(frozen=True, slots=True)
class _Position:
    """A place in the object: its path, its old value, and whether it or what holds it is unchanged."""

    path: str
    old: Any
    unchanged: bool

    def below(self, step: str, value: Any, old: Any) -> "_Position":
        return _Position(
            self.path + step if self.path else step.removeprefix("."),
            old,
            self.unchanged or (old is not ABSENT and same(value, old)),
        )


_Check = Callable[[Any, _Position, _Run], Iterator[FieldError]]


def compile_rules(schema: Object) -> Callable[[Any, Any], list[FieldError]] | None:
    """A function ``(value, old) -> errors`` for all rules of a schema; None where it has none.

    ``old`` is ABSENT on create. The schema has passed ``check_structural``. Rules that run out of budget end in one
    error; nothing is raised, whatever the JSON.
    """
    check = _compile(schema)
    if check is None:
        return None

    def validate(value: Any, old: Any = ABSENT) -> list[FieldError]:
        errors: list[FieldError] = []
        position = _Position("", old, old is not ABSENT and same(value, old))
        try:
            errors.extend(check(value, position, _Run()))
        except BudgetExceededError:
            errors.append(field_invalid("<nil>", "object", _OVER_BUDGET))
        return errors

    return validate


def _compile(schema: Object) -> _Check | None:
    rules = [_rule(schema, rule) for rule in schema.get("x-kubernetes-validations") or ()]
    evaluate = _evaluator(schema, rules) if rules else None
    children = {
        name: below
        for name, child in (schema.get("properties") or {}).items()
        if (below := _compile(child)) is not None
    }
    additional, items = schema.get("additionalProperties"), schema.get("items")
    others = _compile(additional) if isinstance(additional, dict) else None
    item_check = _compile(items) if isinstance(items, dict) else None
    if evaluate is None and not children and others is None and item_check is None:
        return None

    def check(value: Any, position: _Position, run: _Run) -> Iterator[FieldError]:
        if value is None:
            return
        if evaluate is not None:
            yield from evaluate(value, position, run)
        if isinstance(value, dict):
            before = position.old if isinstance(position.old, dict) else {}
            for name, child in children.items():
                if name in value:
                    old = before.get(name, ABSENT)
                    yield from child(value[name], position.below(f".{name}", value[name], old), run)
            if others is not None:
                for name, item in value.items():
                    old = before.get(name, ABSENT)
                    yield from others(item, position.below(f"[{name}]", item, old), run)
        elif isinstance(value, list) and item_check is not None:
            yield from _items(schema, value, position, item_check, run)

    return check


def _items(schema: Object, value: list[Any], position: _Position, check: _Check, run: _Run) -> Iterator[FieldError]:
    correlated = correlate(schema, position.old)
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    for index, item in enumerate(value):
        old = correlated.get(map_key(item, keys), ABSENT) if correlated else ABSENT
        yield from check(item, position.below(f"[{index}]", item, old), run)


def _rule(schema: Object, rule: Object) -> Rule:
    text: str = rule["rule"]
    expression: str = rule.get("messageExpression") or ""
    return Rule(
        text=text,
        message=(rule.get("message") or "").strip(),
        message_expression=expression,
        reason=rule.get("reason") or "FieldValueInvalid",
        field_path=valid_field_path(rule.get("fieldPath") or "", schema) or "",
        uses_old_self=uses_old_self(text),
        optional_old_self=rule.get("optionalOldSelf") is True,
        cost=cost(f"{text}\n{expression}"),  # the rule may end in a comment
    )


def _evaluator(schema: Object, rules: list[Rule]) -> _Check:
    convert = compile_converter(schema)
    transitions = any(rule.uses_old_self for rule in rules)
    flat = all(rule.cost.flat for rule in rules)
    shown = schema.get("type") or "object"

    def asked(rule: Rule, position: _Position, has_old: bool) -> bool:
        if not rule.uses_old_self:
            return not position.unchanged
        if not has_old:
            return rule.optional_old_self
        return not (position.unchanged and rule.text == _IMMUTABLE)

    def evaluate(value: Any, position: _Position, run: _Run) -> Iterator[FieldError]:
        has_old = position.old is not ABSENT and position.old is not None
        wanted = [rule for rule in rules if asked(rule, position, has_old)]
        if not wanted:
            return
        size = Size() if flat else measure(value)
        data = {"self": convert(value) if convert else value, OLD_VARIABLE: {}}
        if transitions and has_old:
            old = align(schema, value, position.old)
            data["oldSelf"] = convert(old) if convert else old
            data[OLD_VARIABLE] = {"v": data["oldSelf"]}
        activation = environment().Activation(data)
        for rule in wanted:
            run.spend(rule.cost.of(size))
            error = _evaluate(rule, activation, position.path, shown)
            if error is not None:
                yield error

    return evaluate


def _evaluate(rule: Rule, activation: Any, path: str, shown: str) -> FieldError | None:
    try:
        result = _value(rule.program, activation)
    except CompileError as error:  # of a rule that was taken before there was a reason to refuse it
        return field_invalid(path or "<nil>", shown, f"{error} evaluating rule: {rule.described}")
    if result is True:
        return None
    if result is not False:
        text = str(_value(rule.telling_program, activation) if is_vague(str(result)) else result)
        if text.startswith("no such overload"):
            text = (
                f"'{text}': call arguments did not match a supported operator, function or macro signature "
                f"for rule: {rule.described}"
            )
        else:
            text = f"{text} evaluating rule: {rule.described}"
        return field_invalid(path or "<nil>", shown, text)
    where = (path + rule.field_path).removeprefix(".") or "<nil>"
    detail = _message(rule, activation)
    match rule.reason:
        case "FieldValueForbidden":
            return field_forbidden(where, detail)
        case "FieldValueRequired":
            return field_required(where, detail)
        case "FieldValueDuplicate":
            # Kubernetes shows the type here too, and the message nowhere.
            return FieldError("FieldValueDuplicate", where, f'Duplicate value: "{shown}"')
        case _:
            return field_invalid(where, shown, detail)


def _message(rule: Rule, activation: Any) -> str:
    if rule.message_expression:
        try:
            said = _value(rule.message_program, activation)
        except CompileError:
            said = ""
        if type(said) is str and said.strip() and "\n" not in said and len(said) <= _MAX_MESSAGE_LENGTH:
            return said.strip()
    return rule.message or f"failed rule: {rule.text.strip()}"


class _EvaluationError(str):
    """The text of what went wrong; not a value of the rule."""

    __slots__ = ()


def _value(program: Any, activation: Any) -> Any:
    """The result of an evaluation: a Python value, or an ``_EvaluationError``, which is never True or False."""
    try:
        result = program.eval(activation)
        value = result.value()
    except (RuntimeError, TypeError, ValueError) as error:
        return _EvaluationError(plain(str(error)))
    if isinstance(value, str) and result.type().name() == "ERROR":
        return _EvaluationError(plain(value))
    return value

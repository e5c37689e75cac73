"""Whether the CEL rules of a schema can be served: they compile, and see what they name."""

from collections.abc import Iterator

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid
from kcpcache.meta.objects import Object
from kcpcache.schema.cel_environment import CompileError, compile_expression
from kcpcache.schema.cel_text import unknown_fields, uses_old_self

_MAX_RULES = 1_000


def check_rules(schema: Object, path: str) -> list[FieldError]:
    """Errors of all ``x-kubernetes-validations``. The schema is otherwise valid."""
    count = _count(schema)
    if count == 0:
        return []
    if count > _MAX_RULES:
        return [field_forbidden(path, f"must not have more than {_MAX_RULES} x-kubernetes-validations rules")]
    return list(_node(schema, path, None, root=True))


def _count(schema: Object) -> int:
    children = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return len(schema.get("x-kubernetes-validations") or ()) + sum(
        _count(child) for child in children if isinstance(child, dict)
    )


def _node(schema: Object, path: str, uncorrelatable: str | None, *, root: bool = False) -> Iterator[FieldError]:
    """``uncorrelatable`` is the path of the list above, if any, whose items have no old counterpart."""
    for name, child in (schema.get("properties") or {}).items():
        yield from _node(child, f"{path}.properties[{name}]", uncorrelatable)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _node(schema["additionalProperties"], f"{path}.additionalProperties", uncorrelatable)
    if isinstance(schema.get("items"), dict):
        lost = None if schema.get("x-kubernetes-list-type") == "map" else path
        yield from _node(schema["items"], f"{path}.items", uncorrelatable or lost)
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        at = f"{path}.x-kubernetes-validations[{index}]"
        yield from _rule(schema, rule, at, root=root)
        if uses_old_self(rule["rule"]):
            if uncorrelatable is not None:
                why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
                yield field_invalid(f"{at}.rule", rule["rule"], why)
        elif rule.get("optionalOldSelf") is not None:
            why = "may not be set if oldSelf is not used in rule"
            yield field_invalid(f"{at}.optionalOldSelf", rule["optionalOldSelf"], why)


def _rule(schema: Object, rule: Object, path: str, *, root: bool) -> Iterator[FieldError]:
    optional = rule.get("optionalOldSelf") is True
    for keyword, wanted, prefix in (
        ("rule", "bool", "compilation failed: "),
        ("messageExpression", "string", "messageExpression compilation failed: "),
    ):
        expression = rule.get(keyword)
        if not expression:
            continue
        try:
            compile_expression(expression, wanted, optional_old_self=optional)
        except CompileError as error:
            subject = "cel expression" if keyword == "rule" else keyword
            mistyped = str(error) == wanted
            why = f"{subject} must evaluate to a {wanted}" if mistyped else f"{prefix}{error}"
            yield field_invalid(f"{path}.{keyword}", rule, why)
            continue
        for offset, name in unknown_fields(expression, schema, root=root):
            before = expression[:offset]
            line, column = before.count("\n"), offset - (before.rfind("\n") + 1)
            shown = expression.split("\n")[line]
            report = f"ERROR: <input>:{line + 1}:{column + 1}: undefined field '{name}'\n | {shown}\n | "
            yield field_invalid(f"{path}.{keyword}", rule, f"{prefix}{report}{'.' * column}^")

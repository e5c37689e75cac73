"""Label and field selectors: parsed once, matched against plain dicts.

The string form is that of ``?labelSelector=`` (``a=b,c!=d,e in (f,g),!h``) and ``?fieldSelector=``; the object form
is a ``metav1.LabelSelector`` (``matchLabels``, ``matchExpressions``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kcpcache.meta.errors import BadRequestError, FieldError, field_forbidden, field_invalid, field_required
from kcpcache.meta.names import label_value_errors, qualified_name_errors

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]

_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. ``values`` is empty for Exists and DoesNotExist, and one integer's text for Gt and Lt."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` satisfy this term. NotIn is also satisfied by a missing key."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value not in self.values
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        if value is None or not _INTEGER.fullmatch(value):
            return False
        left, right = int(value), int(next(iter(self.values)))
        return left > right if self.operator == "Gt" else left < right


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of its requirements must match; none means everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` satisfy every requirement."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


EVERYTHING = LabelSelector()

_TOKEN = re.compile(r"\s*(==|!=|=|!|>|<|\(|\)|,|[^\s=!<>(),]+)")


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        found.append(match[1] if match else text[at:])
        at = match.end() if match else len(text)
    return found


_SYMBOLS: Final = frozenset({"=", "==", "!=", ">", "<", "(", ")", ","})


class _Parser:
    """Recursive descent over the symbols of one selector string."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, _tokens(text), 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        symbol = self.peek()
        self.at += 1
        return symbol

    def fail(self, why: str) -> BadRequestError:
        """For what is wrong within one requirement."""
        return BadRequestError(f"unable to parse requirement: {why}")

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        if self.peek() in _SYMBOLS:
            raise BadRequestError(f"found '{self.peek()}', expected: !, identifier, or 'end of string'")
        while self.peek():
            found.append(self.requirement())
            symbol = self.take()
            if symbol not in {",", ""}:
                raise BadRequestError(f"found '{symbol}', expected: ',' or 'end of string'")
            if symbol == "," and self.peek() in {"", *_SYMBOLS}:
                raise BadRequestError(f"found '{self.peek()}', expected: identifier after ','")
        return found

    def requirement(self) -> Requirement:
        if self.peek() == "!":
            self.take()
            return Requirement(self.key(), "DoesNotExist")
        key = self.key()
        symbol = self.peek()
        if symbol in {"", ","}:
            return Requirement(key, "Exists")
        self.take()
        if symbol in {"=", "=="}:
            return Requirement(key, "In", self.checked(key, [self.value()]))
        if symbol == "!=":
            return Requirement(key, "NotIn", self.checked(key, [self.value()]))
        if symbol in {">", "<"}:
            return self.comparison(key, symbol)
        if symbol in {"in", "notin"}:
            return Requirement(key, "In" if symbol == "in" else "NotIn", self.checked(key, self.value_list()))
        raise self.fail(f"found '{symbol}', expected: in, notin, =, ==, !=, gt, lt")

    def comparison(self, key: str, symbol: str) -> Requirement:
        value = self.value()
        if not _INTEGER.fullmatch(value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise self.fail(field_invalid("values[0]", value, why).message)
        return Requirement(key, "Gt" if symbol == ">" else "Lt", self.checked(key, [value]))

    def key(self) -> str:
        key = self.take()
        if key in {"", "!", *_SYMBOLS}:
            raise self.fail(f"found '{key}', expected: identifier")
        errors = qualified_name_errors(key)
        if errors:
            raise self.fail(field_invalid("<nil>", key, "; ".join(errors)).message)
        return key

    def value(self) -> str:
        if self.peek() in {"", ","}:
            return ""
        value = self.take()
        if value in {"!", *_SYMBOLS}:
            raise self.fail(f"found '{value}', expected: identifier")
        return value

    def value_list(self) -> list[str]:
        if (symbol := self.take()) != "(":
            raise self.fail(f"found '{symbol}' expected: '('")
        values = [self.value_in_list()]
        while self.peek() == ",":
            self.take()
            values.append(self.value_in_list())
        if (symbol := self.take()) != ")":
            raise self.fail(f"found '{symbol}', expected: ',' or ')'")
        return values

    def value_in_list(self) -> str:
        return "" if self.peek() == ")" else self.value()

    def checked(self, key: str, values: list[str]) -> frozenset[str]:
        """The values of a requirement, which must be valid labels' values."""
        for index, value in enumerate(sorted(set(values))):
            if errors := label_value_errors(value):
                raise self.fail(field_invalid(f"values[{index}][{key}]", value, "; ".join(errors)).message)
        return frozenset(values)


def parse_label_selector(text: str) -> LabelSelector:
    """``?labelSelector=``. Raises BadRequestError that says what cannot be parsed."""
    return LabelSelector(tuple(_Parser(text).requirements())) if text.strip() else EVERYTHING


_OBJECT_OPERATORS: tuple[Operator, ...] = ("In", "NotIn", "Exists", "DoesNotExist")


def label_selector_of(selector: Mapping[str, Any] | None) -> LabelSelector:
    """A valid ``metav1.LabelSelector`` object, compiled; None and {} match everything."""
    selector = selector or {}
    found = [Requirement(k, "In", frozenset([v])) for k, v in (selector.get("matchLabels") or {}).items()]
    found += [
        Requirement(term["key"], term["operator"], frozenset(term.get("values") or ()))
        for term in selector.get("matchExpressions") or ()
    ]
    return LabelSelector(tuple(found))


def label_selector_errors(selector: Mapping[str, Any], path: str) -> list[FieldError]:
    """What is wrong with a ``metav1.LabelSelector`` object whose types are right."""
    errors: list[FieldError] = []
    for key, value in (selector.get("matchLabels") or {}).items():
        errors += [field_invalid(f"{path}.matchLabels", key, text) for text in qualified_name_errors(key)]
        errors += [field_invalid(f"{path}.matchLabels", value, text) for text in label_value_errors(str(value))]
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        errors += _expression_errors(term, f"{path}.matchExpressions[{index}]")
    return errors


def _expression_errors(term: Mapping[str, Any], path: str) -> list[FieldError]:
    operator, values = term.get("operator"), term.get("values") or []
    errors: list[FieldError] = []
    if operator in {"In", "NotIn"}:
        if not values:
            errors.append(field_required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(field_forbidden(f"{path}.values", why))
    else:
        errors.append(field_invalid(f"{path}.operator", operator, "not a valid selector operator"))
    errors += [field_invalid(f"{path}.key", term.get("key"), t) for t in qualified_name_errors(str(term.get("key")))]
    for index, value in enumerate(values):
        errors += [field_invalid(f"{path}.values[{index}]", value, text) for text in label_value_errors(str(value))]
    return errors


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """``path=value`` or ``path!=value``."""

    path: str
    value: str
    equal: bool


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All of its terms must match; none means everything."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether ``fields`` (path → text; a missing one is "") satisfy every term."""
        return all((fields.get(r.path, "") == r.value) is r.equal for r in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)

    @property
    def metadata_only(self) -> bool:
        """Whether the object's name and namespace are enough to decide."""
        return all(r.path in {"metadata.name", "metadata.namespace"} for r in self.requirements)


_FIELD_TERM = re.compile(r"(?:[^,\\]|\\.|\\\Z)+", re.DOTALL)
_FIELD_OPERATOR = re.compile(r"!=|==|=")
_FIELD_VALUE = re.compile(r"(?:[^=,\\]|\\[=,\\])*", re.DOTALL)


def parse_field_selector(text: str) -> FieldSelector:
    r"""``?fieldSelector=``; ``\,``, ``\=`` and ``\\`` are the escapes of a value. Raises BadRequestError."""
    found: list[FieldRequirement] = []
    for term in _FIELD_TERM.findall(text):
        operator = _FIELD_OPERATOR.search(term)
        if operator is None or not operator.start():
            raise BadRequestError(f"invalid selector: '{text}'; can't understand '{term}'")
        value = term[operator.end() :]
        if not _FIELD_VALUE.fullmatch(value):
            raise BadRequestError(f"invalid field selector: in '{value}', \\, = and , must each follow a \\")
        plain = re.sub(r"\\(.)", r"\1", value)
        found.append(FieldRequirement(term[: operator.start()], plain, operator[0] != "!="))
    return FieldSelector(tuple(found))

"""YAML bodies: one document, JSON types only, aliases and depth bounded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from kcpcache.api.json_body import MOST_NESTING, check_nesting
from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.objects import copy

MOST_ALIASED: Final = 1024 * 1024
"""What all aliases together may add, in characters and values: less than a body may have."""

_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"([-+]?)(?:0x([0-9a-fA-F_]+)|0b([01_]+)|0o?([0-7_]+)|(0|[1-9][0-9_]*))")
_EXPONENT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")
"""A number to goyaml (and YAML 1.2), text to YAML 1.1's resolver."""
_LETTERS: Final = frozenset("yYnN")
"""Booleans to goyaml (and by YAML 1.1's text), strings to PyYAML's resolver."""
_EXACT: Final = 2.0**53
_BASES: Final = (16, 2, 8, 10)
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_MOST_DIGITS: Final = 70
_resolver = yaml.resolver.Resolver()


@dataclass(slots=True)
class YamlBody:
    """The value of a YAML document, and complaints about repeated keys in goyaml's words."""

    value: Any
    duplicates: list[str] = field(default_factory=list)


def decode_yaml(data: bytes) -> YamlBody:
    """The one document of ``data``.

    Raises BadRequestError for everything that is not one, for too deep nesting, for aliases that would grow beyond
    bounds, and for values that JSON does not have.
    """
    reader = _Reader()
    try:
        return reader.document(iter(yaml.parse(data.decode(), Loader=yaml.CSafeLoader)))
    except UnicodeDecodeError:
        raise BadRequestError("the body is not valid UTF-8") from None
    except yaml.YAMLError as error:
        raise BadRequestError(f"error converting YAML to JSON: yaml: {_first_line(error)}") from None


def _first_line(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark is not None and problem else str(error).partition("\n")[0]


class _Reader:
    """Builds values straight from the parser's events, so that nothing is expanded before it is measured."""

    def __init__(self) -> None:
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.duplicates: list[str] = []
        self.aliased = 0

    def document(self, events: Iterator[Event]) -> YamlBody:
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise BadRequestError("the body holds more than one YAML document")
                value, _ = self.node(next(events), events, MOST_NESTING)
            elif isinstance(event, StreamEndEvent | DocumentEndEvent):
                continue
        if self.aliased:
            check_nesting(value)
        return YamlBody(value, self.duplicates)

    def node(self, event: Event, events: Iterator[Event], depth: int) -> tuple[Any, int]:
        """The value that begins with ``event``, and its size in values and characters."""
        if isinstance(event, AliasEvent):
            return self.alias(event)
        value: Any
        if isinstance(event, ScalarEvent):
            value, size = _scalar(event), len(event.value) + 1
        elif not depth:
            raise BadRequestError(f"the body is nested too deeply: {MOST_NESTING} levels are allowed")
        elif isinstance(event, SequenceStartEvent):
            value, size = self.sequence(events, depth - 1)
        else:
            value, size = self.mapping(events, depth - 1)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = value, size
        return value, size

    def alias(self, event: AliasEvent) -> tuple[Any, int]:
        found = self.anchors.get(event.anchor or "")
        if found is None:
            raise BadRequestError(f"error converting YAML to JSON: yaml: unknown anchor '{event.anchor}' referenced")
        value, size = found
        self.aliased += size
        if self.aliased > MOST_ALIASED:
            raise BadRequestError("error converting YAML to JSON: yaml: document contains excessive aliasing")
        return copy(value), size

    def sequence(self, events: Iterator[Event], depth: int) -> tuple[list[Any], int]:
        items, size = [], 1
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            value, inner = self.node(event, events, depth)
            items.append(value)
            size += inner
        return items, size

    def mapping(self, events: Iterator[Event], depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        size = 1
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            merge = isinstance(event, ScalarEvent) and event.value == "<<" and event.implicit[0]
            key, key_size = self.node(event, events, depth)
            value, value_size = self.node(next(events), events, depth)
            size += key_size + value_size
            if merge:
                merged += _mappings(value)
                continue
            name = _key(key)
            if name in found:
                line = event.start_mark.line + 1 if event.start_mark else 0
                self.duplicates.append(f'line {line}: key "{name}" already set in map')
            found[name] = value
        for each in merged:
            for name, value in each.items():
                found.setdefault(name, value)
        return found, size


def _mappings(value: Any) -> list[dict[str, Any]]:
    """What ``<<`` refers to: a mapping or several."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in items):
        raise BadRequestError(
            "error converting YAML to JSON: yaml: map merge requires map or sequence of maps as value"
        )
    return items


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    raise BadRequestError("error converting YAML to JSON: yaml: a map's key must be a scalar that is not null")


def _scalar(event: ScalarEvent) -> Any:
    text: str = event.value
    tag = event.tag if event.tag not in {None, "!"} else None
    if tag is None:
        if not event.implicit[0]:
            return text
        tag = str(_resolver.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]
        if text in _LETTERS:
            return _boolean(text)
    kind = tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return _boolean(text)
    if kind == "int":
        return _integer(text)
    if kind == "float" or (kind == "str" and event.implicit[0] and _EXPONENT.fullmatch(text)):
        return _float(text)
    if kind in {"str", "timestamp", "value", "merge", "binary"}:
        return text
    raise BadRequestError(f"error converting YAML to JSON: yaml: unknown tag {tag}")


def _boolean(text: str) -> bool:
    lower = text.lower()
    if lower in {"true", "yes", "on", "y"}:
        return True
    if lower in {"false", "no", "off", "n"}:
        return False
    raise BadRequestError(f"error converting YAML to JSON: yaml: cannot decode {text[:40]!r} as a boolean")


def _integer(text: str) -> int | str:
    match = _INTEGER.fullmatch(text)
    if match is None:
        return text  # YAML 1.1's base 60 (1:30): text for Kubernetes
    base, digits = next((base, d) for base, d in zip(_BASES, match.groups()[1:], strict=True) if d)
    clean = digits.replace("_", "")
    value = int(f"{match[1]}{clean}", base) if 0 < len(clean) <= _MOST_DIGITS else _INT64_MAX + 1
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise BadRequestError(f"the integer {text[:40]} does not fit into 64 bits")
    return value


def _float(text: str) -> float | str:
    """As Go writes it in JSON: whole numbers without a fraction."""
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        if ":" in text:
            return text
        raise BadRequestError(f"error converting YAML to JSON: {text[:40]} is not a number that JSON has") from None
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 -- NaN
        raise BadRequestError(f"error converting YAML to JSON: {text[:40]} is not a number that JSON has")
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value

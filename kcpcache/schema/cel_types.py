"""Rules checked against the types of their schema: cel-cpp's own checker sees the schema as protobuf messages.

Rules run without types (``cel_environment``), since JSON needs no conversion then; types serve the author of a schema.
What messages cannot say, such as lists of lists, and what may be null is dynamic here: no sound rule is refused.
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from kcpcache.meta.objects import Object
from kcpcache.schema.cel_environment import CompileError, readable, typed_language
from kcpcache.schema.cel_literals import check_literals
from kcpcache.schema.cel_report import report
from kcpcache.schema.cel_rewrite import Rewritten, checkable, relocated
from kcpcache.schema.cel_shape import fields, is_known, is_map
from kcpcache.schema.cel_size import Place
from kcpcache.schema.cel_text import code
from kcpcache.schema.cel_tree import Call, Comprehension, Ident, Literal, Node, Select, read

_PACKAGE = "schema"
_ANY = ".google.protobuf.Value"
_WELL_KNOWN = {
    "date-time": ".google.protobuf.Timestamp",
    "date": ".google.protobuf.Timestamp",
    "duration": ".google.protobuf.Duration",
}
_SCALARS = {"boolean": 8, "integer": 3, "number": 1, "string": 9, "byte": 12}
"""To FieldDescriptorProto.Type."""
_SHAPES = frozenset({"array", "boolean", "integer", "number", "string"})
_RESULTS = {"BOOL": "bool", "STRING": "string", "DYN": ""}
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
_MAX_FIELDS, _MAX_NAME_LENGTH = 2_000, 1_000
"""Protobuf takes no message of 64 KiB, and no name as long; such objects are dynamic."""
_MAX_NESTING = 6
"""cel-cpp takes lists and maps nested 13 times; the rule may nest its own."""
_TOO_DEEP = "Exceeded max recursion depth"
"""cel-cpp takes a depth of 32, of which the bindings around a rule take two."""
_BIND = re.compile(r"(?<![\w.])cel\s*\.\s*bind\s*\(")
"""What the text around a rule uses, and Kubernetes does not have."""
_LINE = re.compile(r"^ERROR: <input>:(\d+):", re.MULTILINE)
_MESSAGE_NAME = re.compile(rf"\b{_PACKAGE}\.M\d+\b")
_APPLIED = re.compile(
    r"^(?P<report>ERROR: <input>:(?P<line>\d+):(?P<column>\d+): .* for '(?P<name>.*)' applied to ')\((?P<types>.*)\)'$",
    re.MULTILINE,
)
_TYPE_NAMES = (
    ("null_type", "null"),
    ("google.protobuf.Timestamp", "timestamp"),
    ("google.protobuf.Duration", "duration"),
)
"""What cel-cpp calls types, and what cel-go does."""
_WORDS = (
    (
        re.compile(r"expression of type '([^']*)' cannot be the operand of a select operation"),
        r"type '\1' does not support field selection",
    ),
    (re.compile(r"cannot be the range of a comprehension"), "cannot be range of a comprehension"),
)
_FOLLOWING = re.compile(r"\n?ERROR: <input>:\d+:\d+: [^\n]*'\*error\*'[^\n]*\n \| [^\n]*\n \| \.*\^")
"""What is wrong only because of what has been reported already."""
_NOT_IN_STRUCT = re.compile(r"(undefined field '[^']*') not found in struct '[^']*'")


@dataclass(frozen=True, slots=True)
class _Kind:
    """The type of a field: a number of FieldDescriptorProto.Type, with the name of the message if it is one."""

    number: int
    name: str = ""


_DYNAMIC = _Kind(_MESSAGE, _ANY)


@dataclass(frozen=True, slots=True)
class Checked:
    """A rule that passed: the name of its type ("" if that is not known), and its tree (None if too deep)."""

    result: str
    tree: Node | None


class Types:
    """The types of the nodes of one schema. First ``declare`` all nodes, then ``check`` their rules."""

    def __init__(self) -> None:
        from google.protobuf import descriptor_pb2

        self._file = descriptor_pb2.FileDescriptorProto(name="schema.proto", package=_PACKAGE, syntax="proto3")
        self._file.dependency.extend(f"google/protobuf/{name}.proto" for name in ("timestamp", "duration", "struct"))
        self._messages: dict[tuple[int, bool], tuple[str, Object]] = {}
        """By the identity of their schemas, which must not be freed meanwhile."""
        self._nodes: list[tuple[Object, bool]] = []
        self._env: Any = None

    def declare(self, schema: Object, *, root: bool) -> int:
        """Make the node's type known; the answer names the node in ``check``."""
        if not _is_dynamic(schema):
            self._declare(schema, root=root)
        self._nodes.append((schema, root))
        return len(self._nodes) - 1

    def check(self, expression: str, node: int, *, optional_old_self: bool = False) -> Checked:
        """Check an expression, which has been compiled without types, on one node.

        Raises CompileError with a report in the words of cel-go.
        """
        if bound := list(_BIND.finditer(code(expression))):
            raise CompileError(report(expression, [error for found in bound for error in _undeclared(found)]))
        if self._env is None:
            self._env = self._environment()
        old = f"optional.of(n{node})" if optional_old_self else f"n{node}"
        # On lines of its own, so that the columns of errors stay right; the lines are set right below.
        rewritten = checkable(expression)
        text = f"cel.bind(self, n{node}, cel.bind(oldSelf, {old},\n{rewritten.text}\n))"
        try:
            program = self._env.compile(text)
        except RuntimeError as error:
            if _TOO_DEEP in str(error):
                return Checked("", None)
            raise CompileError(_reported(str(error), expression, rewritten)) from None
        result, tree = program.return_type().name(), read(program.serialize(), text.index("\n") + 1, rewritten)
        for _ in range(2):  # The expression stands in two bindings
            tree = tree.result if isinstance(tree, Comprehension) else None
        if tree is None:
            return Checked(_RESULTS.get(result, result), None)
        dynamic = partial(_is_surely_dynamic, Place(*self._nodes[node]))
        check_literals(tree, expression, dynamic)
        return Checked("dyn" if dynamic(tree) else _RESULTS.get(result, result), tree)

    def _environment(self) -> Any:
        from cel_expr_python import cel
        from google.protobuf import descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

        from kcpcache.schema.cel_library.signatures import file_descriptors

        pool = descriptor_pool.DescriptorPool()
        for known in (timestamp_pb2, duration_pb2, struct_pb2):
            pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        for file in file_descriptors():
            pool.AddSerializedFile(file)
        pool.AddSerializedFile(self._file.SerializeToString())
        variables = {
            f"n{index}": self._cel_type(cel, schema, root=root) for index, (schema, root) in enumerate(self._nodes)
        }
        return cel.NewEnv(descriptor_pool=pool, variables=variables, **typed_language())

    def _cel_type(self, cel: Any, schema: Object, *, root: bool = False, depth: int = 0) -> Any:
        """As the type of a variable, which can nest lists and maps."""
        if _is_dynamic(schema) or depth > _MAX_NESTING:
            return cel.Type.DYN
        match schema["type"]:
            case "array":
                return cel.Type.List(self._cel_type(cel, schema["items"], depth=depth + 1))
            case "object" if is_map(schema):
                values = self._cel_type(cel, schema["additionalProperties"], depth=depth + 1)
                return cel.Type.Map(cel.Type.STRING, values)
            case "object":
                return cel.Type(self._message(schema, root=root).lstrip("."))
            case "boolean":
                return cel.Type.BOOL
            case "integer":
                return cel.Type.INT
            case "number":
                return cel.Type.DOUBLE
        known = {"date-time": cel.Type.TIMESTAMP, "date": cel.Type.TIMESTAMP, "duration": cel.Type.DURATION}
        return (known | {"byte": cel.Type.BYTES}).get(schema.get("format") or "", cel.Type.STRING)

    def _declare(self, schema: Object, *, root: bool = False) -> None:
        """Add the messages that the type is made of."""
        if _is_dynamic(schema):
            return
        if schema["type"] == "array":
            self._declare(schema["items"])
        elif is_map(schema):
            self._declare(schema["additionalProperties"])
        elif schema["type"] == "object":
            self._message(schema, root=root)

    def _message(self, schema: Object, *, root: bool = False) -> str:
        known = self._messages.get((id(schema), root))
        if known is not None:
            return known[0]
        name = f"M{len(self._messages)}"
        self._messages[id(schema), root] = f".{_PACKAGE}.{name}", schema
        # Names may differ in underscores only.
        message = self._file.message_type.add(name=name, options={"deprecated_legacy_json_field_conflicts": True})
        children = fields(schema, root=root)
        taken = set(children)
        for number, (field, child) in enumerate(children.items(), start=1):
            self._field(message, field, number, child, taken)
        return f".{_PACKAGE}.{name}"

    def _field(self, message: Any, name: str, number: int, schema: Object, taken: set[str]) -> None:
        """``taken`` are the names that the message has in it: of fields, and of entries of maps."""
        kind, label = self._kind(schema), _OPTIONAL
        if kind is None and schema["type"] == "array":
            kind, label = self._kind(schema["items"]) or _DYNAMIC, _REPEATED
        elif kind is None and (entry := _camel_case(name) + "Entry") not in taken:
            taken.add(entry)
            kind, label = self._entry(message, entry, schema), _REPEATED
        kind = kind or _DYNAMIC
        message.field.add(name=name, number=number, type=kind.number, type_name=kind.name or None, label=label)

    def _entry(self, message: Any, name: str, schema: Object) -> _Kind:
        """The message that protobuf wants for the entries of a map; its name must follow from the field's."""
        entry = message.nested_type.add(name=name, options={"map_entry": True})
        value = self._kind(schema["additionalProperties"]) or _DYNAMIC
        entry.field.add(name="key", number=1, type=_SCALARS["string"], label=_OPTIONAL)
        entry.field.add(name="value", number=2, type=value.number, type_name=value.name or None, label=_OPTIONAL)
        return _Kind(_MESSAGE, f".{_PACKAGE}.{message.name}.{name}")

    def _kind(self, schema: Object) -> _Kind | None:
        """The type of a field; None for lists and maps."""
        if _is_dynamic(schema):
            return _DYNAMIC
        kind = schema["type"]
        if kind == "object" and not is_map(schema):
            return _Kind(_MESSAGE, self._message(schema))
        if kind in {"object", "array"}:
            return None
        text_format = (schema.get("format") or "") if kind == "string" else ""
        if text_format in _WELL_KNOWN:
            return _Kind(_MESSAGE, _WELL_KNOWN[text_format])
        return _Kind(_SCALARS["byte" if text_format == "byte" else kind])


def _is_dynamic(schema: Object) -> bool:
    """Whether only the value tells its type. What may be null is compared with null only if it is an object."""
    if not is_known(schema) or schema.get("x-kubernetes-int-or-string") is True:
        return True
    if schema["type"] != "object":
        return schema["type"] not in _SHAPES
    if is_map(schema):
        return False
    names: Object = schema.get("properties") or {}
    return len(names) > _MAX_FIELDS or any(len(name) > _MAX_NAME_LENGTH for name in names)


def _is_surely_dynamic(root: Place, node: Node) -> bool:
    """Whether the node is dynamic by the rule's or the schema's word, and not for want of a better type here."""
    if isinstance(node, Call) and node.function == "dyn":
        return True
    if isinstance(node, Call) and node.function == "_?_:_":
        return all(_is_surely_dynamic(root, branch) for branch in node.arguments[1:])
    place = _place(root, node)
    return place is not None and (place.schema or {}).get("x-kubernetes-int-or-string") is True


def _place(root: Place, node: Node) -> Place | None:
    """Where in the object the node looks."""
    match node:
        case Ident(name="self" | "oldSelf"):
            return root
        case Select(test=False):
            return _below(_place(root, node.operand), node.field)
        case Call(function="_?._", arguments=(operand, Literal(value=str(name)))):
            return _below(_place(root, operand), name)
        case Call(function="_[_]" | "_[?_]"):
            above = _place(root, node.arguments[0])
            return above.item() if above is not None else None
    return None


def _below(place: Place | None, name: str) -> Place | None:
    if place is None:
        return None
    return place.item() if is_map(place.schema or {}) else place.field(name)


def _undeclared(found: re.Match[str]) -> tuple[tuple[int, str], ...]:
    where = "(in container '')"
    return (
        (found.start(), f"undeclared reference to 'cel' {where}"),
        (found.end() - 1, f"undeclared reference to 'bind' {where}"),
    )


def _camel_case(field: str) -> str:
    """As protobuf does it: capital after underscores and at the start, the rest as it is."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_"))


def _reported(text: str, expression: str, rewritten: Rewritten) -> str:
    """A report on what stood one line further down, in the words of cel-go."""
    text = _LINE.sub(lambda found: f"ERROR: <input>:{int(found[1]) - 1}:", readable(text))
    text = relocated(text, expression, rewritten)
    text = _FOLLOWING.sub("", _NOT_IN_STRUCT.sub(r"\1", _MESSAGE_NAME.sub("object", text)))
    for theirs, ours in _WORDS:
        text = theirs.sub(ours, text)
    lines = expression.split("\n")
    return _APPLIED.sub(lambda found: _applied(found, "".join(lines[int(found["line"]) - 1 :][:1])), text)


def _applied(found: re.Match[str], line: str) -> str:
    """A call that no overload fits; that of a method is shown as ``target.(arguments)``."""
    types = found["types"]
    for theirs, ours in _TYPE_NAMES:
        types = types.replace(theirs, ours)
    if line[: int(found["column"]) - 1].rstrip().endswith(f".{found['name']}"):
        target, arguments = _split(types)
        return f"{found['report']}{target}.({arguments})'"
    return f"{found['report']}({types})'"


def _split(types: str) -> tuple[str, str]:
    """The first of several types, and the others."""
    depth = 0
    for place, character in enumerate(types):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            return types[:place], types[place + 2 :]
    return types, ""

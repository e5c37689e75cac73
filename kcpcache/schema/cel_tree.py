"""The syntax tree of a checked CEL expression, read from what cel-cpp serializes: a ``cel.expr.CheckedExpr``.

Only what estimating its cost needs. Field numbers are those of cel-spec's ``syntax.proto`` and ``checked.proto``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

_PACKAGE = "cel_tree"
_MESSAGES = {
    "Any": "value=2:bytes",
    "Checked": "types=3:*TypeEntry expr=4:Expr",
    "TypeEntry": "id=1 type=2:Type",
    "Type": "dyn=1:Empty null=2 primitive=3 list=6:Empty map=7:Empty message=9:string",
    "Empty": "",
    "Expr": "id=2 constant=3:Constant ident=4:Ident select=5:Select call=6:Call list=7:List struct=8:Struct "
    "loop=9:Loop",
    "Constant": "string=6:string bytes=7:bytes",
    "Ident": "name=1:string",
    "Select": "operand=1:Expr field=2:string test=3",
    "Call": "target=1:Expr function=2:string arguments=3:*Expr",
    "List": "elements=1:*Expr",
    "Struct": "entries=2:*Entry",
    "Entry": "key=3:Expr value=4:Expr",
    "Loop": "variable=1:string range=2:Expr accumulator=3:string start=4:Expr condition=5:Expr step=6:Expr "
    "result=7:Expr second=8:string",
}
"""Name → fields as ``name=number:type``; without a type it is a number, ``*`` is for repeated fields."""
_TYPES = {"": 3, "string": 9, "bytes": 12}
"""To FieldDescriptorProto.Type; all others are messages."""
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
_UNIONS = ("Type", "Expr", "Constant")
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; ``size`` is that of strings and bytes, None of all others."""

    kind: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Ident:
    """The name of a variable."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``, or ``has(operand.field)``."""

    kind: str
    operand: "Node"
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function, method (then there is a target) or operator."""

    kind: str
    function: str
    target: "Node | None"
    arguments: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Collection:
    """A list, map or message that is written out: ``parts`` are the expressions in it, ``size`` counts its entries."""

    kind: str
    parts: "tuple[Node, ...]"
    size: int


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What a macro became: a loop over ``range`` that collects into ``accumulator``."""

    kind: str
    variables: tuple[str, str]
    range: "Node"
    accumulator: str
    start: "Node"
    condition: "Node"
    step: "Node"
    result: "Node"

    @property
    def binds(self) -> bool:
        """Whether it is ``cel.bind``, which never loops."""
        return isinstance(self.range, Collection) and self.range.size == 0


Node: TypeAlias = Literal | Ident | Select | Call | Collection | Comprehension
"""``kind`` of each: the type that the checker found, without parameters; "" where it is of no interest."""


def read(serialized: bytes) -> Node | None:
    """The tree of a CheckedExpr in a ``google.protobuf.Any``; None for those that are too deep for protobuf."""
    from google.protobuf.message import DecodeError

    classes = _classes()
    try:
        checked = classes["Checked"].FromString(classes["Any"].FromString(serialized).value)
    except DecodeError:
        return None
    return _node(checked.expr, {entry.id: _kind(entry.type) for entry in checked.types})


def _node(found: Any, kinds: Mapping[int, str]) -> Node:
    kind = kinds.get(found.id, "")
    match found.WhichOneof("union"):
        case "ident":
            return Ident(kind, found.ident.name)
        case "select":
            return Select(kind, _node(found.select.operand, kinds), found.select.field, bool(found.select.test))
        case "call":
            call = found.call
            target = _node(call.target, kinds) if call.HasField("target") else None
            return Call(kind, call.function, target, tuple(_node(part, kinds) for part in call.arguments))
        case "list":
            elements = found.list.elements
            return Collection(kind, tuple(_node(element, kinds) for element in elements), len(elements))
        case "struct":
            entries = found.struct.entries
            parts = [part for entry in entries for part in (entry.key, entry.value)]
            return Collection(kind, tuple(_node(part, kinds) for part in parts), len(entries))
        case "loop":
            loop = found.loop
            over, start, condition, step, result = (
                _node(part, kinds) for part in (loop.range, loop.start, loop.condition, loop.step, loop.result)
            )
            names = (loop.variable, loop.second)
            return Comprehension(kind, names, over, loop.accumulator, start, condition, step, result)
    value = found.constant.WhichOneof("union")
    return Literal(kind, len(getattr(found.constant, value)) if value is not None else None)


def _kind(found: Any) -> str:
    union: str | None = found.WhichOneof("union")
    return _PRIMITIVES.get(found.primitive, "") if union == "primitive" else union or ""


@cache
def _classes() -> dict[str, Any]:
    """Name → message class, in a descriptor pool of their own."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _UNIONS:
            message.oneof_decl.add(name="union")
        for field in fields.split():
            label, _, numbered = field.partition("=")
            number, _, kind = numbered.partition(":")
            known = _TYPES.get(kind.lstrip("*"))
            message.field.add(
                name=label,
                number=int(number),
                type=known or _MESSAGE,
                type_name=None if known else f".{_PACKAGE}.{kind.lstrip('*')}",
                label=_REPEATED if kind.startswith("*") else _OPTIONAL,
                oneof_index=0 if name in _UNIONS and label != "id" else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    names = {name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in _MESSAGES}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in names.items()}

"""The syntax tree of a checked CEL expression, read from what cel-cpp serializes: a ``cel.expr.CheckedExpr``.

Only what estimating its cost, and answering calls in CEL itself, needs. Field numbers are those of cel-spec's
``syntax.proto`` and ``checked.proto``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

from kcpcache.schema.cel_rewrite import Rewritten

_PACKAGE = "cel_tree"
_MESSAGES = {
    "Any": "value=2:bytes",
    "Checked": "types=3:*TypeEntry expr=4:Expr source=5:Source",
    "Source": "positions=4:*Position",
    "Position": "id=1 at=2",
    "TypeEntry": "id=1 type=2:Type",
    "Type": "dyn=1:Empty null=2 primitive=3 wrapper=4 known=5 list=6:ListType map=7:MapType message=9:string "
    "abstract=14:Abstract",
    "Empty": "",
    "ListType": "item=1:Type",
    "MapType": "key=1:Type value=2:Type",
    "Abstract": "name=1:string parameters=2:*Type",
    "Expr": "id=2 constant=3:Constant ident=4:Ident select=5:Select call=6:Call list=7:List struct=8:Struct "
    "loop=9:Loop",
    "Constant": "bool=2 integer=3 uint=4:uint64 double=5:double string=6:string bytes=7:bytes",
    "Ident": "name=1:string",
    "Select": "operand=1:Expr field=2:string test=3",
    "Call": "target=1:Expr function=2:string arguments=3:*Expr",
    "List": "elements=1:*Expr optional=2:*int32",
    "Struct": "entries=2:*Entry",
    "Entry": "key=3:Expr value=4:Expr optional=5",
    "Loop": "variable=1:string range=2:Expr accumulator=3:string start=4:Expr condition=5:Expr step=6:Expr "
    "result=7:Expr second=8:string",
}
"""Name → fields as ``name=number:type``; without a type it is a number, ``*`` is for repeated fields."""
_TYPES = {"": 3, "double": 1, "uint64": 4, "int32": 5, "string": 9, "bytes": 12}
"""To FieldDescriptorProto.Type; all others are messages."""
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
_UNIONS = ("Type", "Expr", "Constant")
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_ACCUMULATORS = ("@result", "__result__")
"""What macros call the variable that they collect in."""
_KNOWN = {2: "timestamp", 3: "duration"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A type that the checker found: ``list``, ``map`` and ``optional`` with those of what is in them.

    Messages go by their names; "" is a type only known when the rule runs, or of no interest.
    """

    name: str = ""
    parameters: "tuple[Kind, ...]" = ()


DYNAMIC = Kind()
_ENTRY = Kind("entry")
"""Of a map that was made of two expressions for them to be checked."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; ``size`` is the length of strings and bytes, 1 for all others; ``value`` is None for ``null``."""

    kind: Kind
    at: int
    size: int
    value: bool | int | float | str | bytes | None = None


@dataclass(frozen=True, slots=True)
class Ident:
    """The name of a variable."""

    kind: Kind
    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``, or ``has(operand.field)``."""

    kind: Kind
    at: int
    operand: "Node"
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function, method (then there is a target) or operator."""

    kind: Kind
    at: int
    function: str
    target: "Node | None"
    arguments: "tuple[Node, ...]"
    number: int = 0
    """By which the serialized tree knows it."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A list, map or message that is written out: ``parts`` are the expressions in it, ``size`` counts its entries."""

    kind: Kind
    at: int
    parts: "tuple[Node, ...]"
    size: int
    optional: frozenset[int] = frozenset()
    """The places in ``parts`` of optional values, of which what is in them is added (``[?x]``, ``{?key: x}``)."""


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What a macro became: a loop over ``range`` that collects into ``accumulator``."""

    kind: Kind
    at: int
    variables: tuple[str, str]
    range: "Node"
    accumulator: str
    start: "Node"
    condition: "Node"
    step: "Node"
    result: "Node"

    @property
    def binds(self) -> bool:
        """Whether it only names a value (``cel.bind``, ``optMap``) and never loops."""
        empty = isinstance(self.range, Collection) and self.range.size == 0
        return empty and self.accumulator not in _ACCUMULATORS


Node: TypeAlias = Literal | Ident | Select | Call | Collection | Comprehension
"""``kind`` of each is the type that the checker found, ``at`` the character of the text that errors point to."""


def read(serialized: bytes, start: int = 0, rewritten: Rewritten | None = None) -> Node | None:
    """The tree of a CheckedExpr in a ``google.protobuf.Any``; None for those that are too deep for protobuf.

    ``start`` is the character of the text that places count from; with ``rewritten`` the tree is that of the expression
    before it was.
    """
    from google.protobuf.message import DecodeError

    try:
        checked = checked_expression(serialized)
    except DecodeError:
        return None
    kinds = {entry.id: _kind(entry.type) for entry in checked.types}
    places = {entry.id: entry.at - start for entry in checked.source.positions}
    return _Reader(kinds, places, rewritten or Rewritten("")).node(checked.expr)


def parts(node: Node) -> "tuple[Node, ...]":
    """The nodes right below."""
    match node:
        case Select():
            return (node.operand,)
        case Call():
            return node.arguments if node.target is None else (node.target, *node.arguments)
        case Collection():
            return node.parts
        case Comprehension():
            return node.range, node.start, node.condition, node.step, node.result
    return ()


def every(node: Node) -> Iterator[Node]:
    """The node and all below it, each before what is in it, in the order of the text."""
    pending = [node]
    while pending:
        yield (found := pending.pop())
        pending += reversed(parts(found))


class _Reader:
    """``kinds`` and ``places`` by the numbers that expressions have."""

    def __init__(self, kinds: Mapping[int, Kind], places: Mapping[int, int], rewritten: Rewritten) -> None:
        self._kinds, self._rewritten = kinds, rewritten
        self._places = {number: rewritten.origin(at) for number, at in places.items()}
        self._marked = {number for number, at in places.items() if at in rewritten.marks}

    def node(self, found: Any) -> Node:
        kind, at = self._kinds.get(found.id, DYNAMIC), self._places.get(found.id, 0)
        match found.WhichOneof("union"):
            case "ident":
                return Ident(kind, at, found.ident.name)
            case "select":
                return Select(kind, at, self.node(found.select.operand), found.select.field, bool(found.select.test))
            case "call" if found.call.function == "_[_]" and found.id in self._marked:
                return self._map(found.call.arguments[0], kind)
            case "call":
                call = found.call
                target = self.node(call.target) if call.HasField("target") else None
                return Call(kind, at, call.function, target, self._nodes(call.arguments), found.id)
            case "list":
                elements = self._nodes(found.list.elements)
                return Collection(kind, at, elements, len(elements), frozenset(found.list.optional))
            case "struct":
                entries = found.struct.entries
                below = self._nodes(part for entry in entries for part in (entry.key, entry.value))
                optional = frozenset(2 * place + 1 for place, entry in enumerate(entries) if entry.optional)
                return Collection(_ENTRY if found.id in self._marked else kind, at, below, len(entries), optional)
            case "loop":
                loop = self._loop(found.loop, kind, at)
                return _unwrapping(loop) if found.id in self._marked else loop
        return self._literal(found.constant, kind, at)

    def _nodes(self, found: Iterable[Any]) -> "tuple[Node, ...]":
        return tuple(map(self.node, found))

    def _loop(self, loop: Any, kind: Kind, at: int) -> Comprehension:
        below = (loop.range, loop.start, loop.condition, loop.step, loop.result)
        over, start, condition, step, result = map(self.node, below)
        names = (loop.variable, loop.second)
        return Comprehension(kind, at, names, over, loop.accumulator, start, condition, step, result)

    def _map(self, found: Any, kind: Kind) -> Node:
        """What ``transformMap`` and ``transformMapEntry`` are, which became a list of maps."""
        loop = self.node(found)
        if not isinstance(loop, Comprehension):
            return loop
        step = loop.step
        if isinstance(step, Call) and step.function == "_?_:_":
            kept, insert, left = step.arguments
            step = replace(step, kind=kind, arguments=(kept, _insert(insert, kind), replace(left, kind=kind)))
        else:
            step = _insert(step, kind)
        result = replace(loop.result, kind=kind)
        return replace(loop, kind=kind, start=Collection(kind, loop.at, (), 0), step=step, result=result)

    def _literal(self, constant: Any, kind: Kind, at: int) -> Literal:
        match constant.WhichOneof("union"):
            case "string":
                return Literal(kind, at, len(constant.string), constant.string)
            case "bytes":
                return Literal(kind, at, len(constant.bytes), constant.bytes)
            case "bool":
                return Literal(kind, at, 1, bool(constant.bool))
            case "integer" | "uint" | "double" as name:
                return Literal(kind, at, 1, getattr(constant, name))
        return Literal(kind, at, 1)


def _unwrapping(loop: Comprehension) -> Node:
    """What ``optional.unwrap`` is, which became two loops."""
    over = loop.range
    return Call(loop.kind, over.at, "optional.unwrap", None, (over.range,)) if isinstance(over, Comprehension) else loop


def _insert(step: Node, kind: Kind) -> Node:
    """``accumulator + [{key: value}]``, or what it adds is a map of any making, as the call that inserts."""
    if not isinstance(step, Call) or not isinstance(step.arguments[-1], Collection):
        return step
    (added,) = step.arguments[-1].parts
    inserted = added.parts if isinstance(added, Collection) and added.kind == _ENTRY else (added,)
    return Call(kind, step.at, "cel.@mapInsert", None, (replace(step.arguments[0], kind=kind), *inserted))


def _kind(found: Any) -> Kind:
    match found.WhichOneof("union"):
        case "primitive":
            return Kind(_PRIMITIVES.get(found.primitive, ""))
        case "known":
            return Kind(_KNOWN.get(found.known, ""))
        case "list":
            return Kind("list", (_kind(found.list.item),))
        case "map":
            return Kind("map", (_kind(found.map.key), _kind(found.map.value)))
        case "abstract" if found.abstract.name == "optional_type":
            return Kind("optional", tuple(map(_kind, found.abstract.parameters)))
        case "message":
            return Kind(found.message)
        case "null":
            return Kind("null")
    return DYNAMIC


def checked_expression(serialized: bytes) -> Any:
    """The message with the tree; what nobody here needs is in it too, unread. Raises DecodeError."""
    return _classes()["Checked"].FromString(_classes()["Any"].FromString(serialized).value)


def serialized_expression(serialized: bytes, checked: Any) -> bytes:
    """The message in the envelope that another came in."""
    envelope = _classes()["Any"].FromString(serialized)
    envelope.value = checked.SerializeToString()
    return envelope.SerializeToString()  # type: ignore[no-any-return]


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

"""Sizes and places of values in rules, as Kubernetes knows them before a rule has run (see ``cel_estimate``)."""

from dataclasses import dataclass
from math import ceil

from kcpcache.meta.objects import Object
from kcpcache.schema.cel_shape import fields, is_known, is_map, max_size
from kcpcache.schema.cel_tree import DYNAMIC, Kind

UNKNOWN = 2**64 - 1
"""What costs and sizes are where nothing bounds them, and what sums and products stop at."""
_KEY: Object = {"type": "string", "maxLength": 0}
_SCALARS = frozenset({"bool", "double", "duration", "int", "timestamp", "uint"})
_KINDS = {"boolean": "bool", "integer": "int", "number": "double"}
_FORMATS = {"byte": "bytes", "date": "timestamp", "date-time": "timestamp", "duration": "duration"}


def capped(number: int) -> int:
    """The number, or what stands for all that are larger than 64 bits."""
    return min(number, UNKNOWN)


def scaled(size: int, factor: float) -> int:
    """The cost of so many characters or items, rounded up."""
    return capped(ceil(float(size) * factor))


@dataclass(frozen=True, slots=True)
class Size:
    """The least and the most items, characters or bytes."""

    least: int = 0
    most: int = UNKNOWN

    def __add__(self, other: "Size") -> "Size":
        return Size(capped(self.least + other.least), capped(self.most + other.most))

    def __mul__(self, other: "Size") -> "Size":
        return Size(capped(self.least * other.least), capped(self.most * other.most))

    def __or__(self, other: "Size") -> "Size":
        return Size(min(self.least, other.least), max(self.most, other.most))


def exactly(size: int) -> Size:
    """Of what is written out."""
    return Size(size, size)


@dataclass(frozen=True, slots=True)
class Entry:
    """The sizes of the keys (or places) and values in a ``list`` or ``map`` that a rule makes."""

    container: str
    key: Size
    value: Size

    def __or__(self, other: "Entry") -> "Entry":
        return Entry(self.container, self.key | other.key, self.value | other.value)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the schema a value comes from; ``schema`` is None where the way led out of it.

    Kubernetes drops the first step of every way, which is the variable it begins at. What is selected from a value
    that comes from nowhere so counts as the node that the rule stands at, of which only the size is believed here.
    """

    schema: Object | None
    root: bool = False
    believed: bool = True

    def item(self) -> "Place":
        """An item of a list, or a value of a map."""
        schema = self.schema or {}
        if schema.get("type") == "array":
            return self._step(schema.get("items"))
        return self._step(schema["additionalProperties"] if is_map(schema) else None)

    def key(self) -> "Place":
        """A key of a map."""
        return self._step(_KEY if is_map(self.schema or {}) else None)

    def field(self, name: str) -> "Place":
        """A field of an object."""
        schema = self.schema
        if schema is None or schema.get("type") != "object" or is_map(schema):
            return self._step(None)
        return self._step(fields(schema, root=self.root).get(name))

    def _step(self, schema: Object | None) -> "Place":
        known = isinstance(schema, dict) and is_known(schema)
        return Place(schema if known else None, believed=self.believed)

    @property
    def size(self) -> Size | None:
        """The bounds that the schema sets; 0 for all that has no size."""
        return None if self.schema is None else Size(0, max_size(self.schema))

    @property
    def kind(self) -> Kind:
        """The type of such values, where the schema says it."""
        return _kind(self.schema) if self.believed and self.schema is not None else DYNAMIC


def is_scalar(kind: Kind) -> bool:
    """Whether all values of the type are of one size."""
    return kind.name in _SCALARS or (kind.name == "optional" and any(map(is_scalar, kind.parameters)))


def is_partial(kind: Kind) -> bool:
    """Whether the checker does not know the type, or not all of it."""
    return kind == DYNAMIC or any(map(is_partial, kind.parameters))


def _kind(schema: Object) -> Kind:
    if schema.get("x-kubernetes-int-or-string") is True:
        return DYNAMIC
    match schema.get("type"):
        case "array":
            items = schema.get("items")
            return Kind("list", (_kind(items) if isinstance(items, dict) else DYNAMIC,))
        case "object" if is_map(schema):
            return Kind("map", (Kind("string"), _kind(schema["additionalProperties"])))
        case "object":
            return Kind("object")
        case "string":
            return Kind(_FORMATS.get(schema.get("format") or "", "string"))
    return Kind(_KINDS.get(schema.get("type") or "", ""))


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of the value of an expression.

    ``cost`` is that of getting it. ``size`` is None where neither the expression nor the schema bounds it, ``place``
    where it does not come out of the object as it is. ``integer`` is set where it is written out.
    """

    cost: int
    kind: Kind = DYNAMIC
    size: Size | None = None
    entry: Entry | None = None
    place: Place | None = None
    integer: int | None = None

    @property
    def bounds(self) -> Size:
        """The size, which may be boundless."""
        return self.size or Size()

    @property
    def most(self) -> int:
        """The largest size."""
        return self.bounds.most

    def items(self) -> tuple[Kind, Size] | None:
        """The type and size of what is in a list, as far as the schema tells; None for all that is no list."""
        if not self.kind.parameters:
            return None
        place = self.place.item() if self.place is not None else None
        size = place.size if place is not None else None
        return self.kind.parameters[0], size or Size()

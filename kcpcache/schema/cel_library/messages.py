"""The message types that stand for Kubernetes' own CEL types: each holds the text that its value was made from.

A message can also have marks, which equality does not see: zeros that are positive or negative.
"""

import math
from functools import cache
from typing import Any

_PACKAGE = "kubernetes"
NAMES = ("Format", "Network", "Optional", "Quantity", "Semver", "URL")
"""``Optional`` stands for an optional value where a function could not take it."""
_SHOWN = {"Format": "kubernetes.NamedFormat", "Optional": "optional_type"}


@cache
def file_descriptor() -> bytes:
    """The serialized FileDescriptorProto of the messages."""
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(name="kcpcache/cel_library.proto", package=_PACKAGE, syntax="proto3")
    for name in NAMES:
        fields = file.message_type.add(name=name).field
        field = descriptor_pb2.FieldDescriptorProto
        fields.add(name="text", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
        fields.add(name="marks", number=2, type=field.TYPE_DOUBLE, label=field.LABEL_REPEATED)
    return file.SerializeToString()


@cache
def message_classes() -> dict[str, Any]:
    """Name → message class with a string field ``text`` and the marks; added to the default descriptor pool once."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file_descriptor())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in NAMES}


def cel_type(cel: Any, name: str) -> Any:
    """The CEL type of one of the messages."""
    message_classes()
    return cel.Type(f"{_PACKAGE}.{name}")


def message(name: str, text: str, mark: int = 0, bits: int = 0) -> Any:
    """A value of the type; ``mark`` is a number of so many ``bits``."""
    return message_classes()[name](text=text, marks=[-0.0 if mark >> place & 1 else 0.0 for place in range(bits)])


def marks(value: Any) -> int:
    """The mark that a message was made with."""
    return sum(1 << place for place, zero in enumerate(value.marks) if math.copysign(1, zero) < 0)


def type_name(value: Any) -> str:
    """The name of a message's type; "" for all other values."""
    return type(value).__name__ if isinstance(value, tuple(message_classes().values())) else ""


def cel_name(value: Any) -> str:
    """What CEL calls a message's type; "" for all other values."""
    name = type_name(value)
    if name == "Network":
        return "net.CIDR" if "/" in value.text else "net.IP"
    return _SHOWN.get(name, f"{_PACKAGE}.{name}" if name else "")

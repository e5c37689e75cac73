"""The message types that stand for Kubernetes' own CEL types: each holds the text that its value was made from."""

from functools import cache
from typing import Any

_PACKAGE = "kubernetes"
NAMES = ("Format", "Network", "Quantity", "Semver", "URL")


@cache
def file_descriptor() -> bytes:
    """The serialized FileDescriptorProto of the messages."""
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(name="kcpcache/cel_library.proto", package=_PACKAGE, syntax="proto3")
    for name in NAMES:
        file.message_type.add(name=name).field.add(
            name="text",
            number=1,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
    return file.SerializeToString()


@cache
def message_classes() -> dict[str, Any]:
    """Name → message class with one string field ``text``; added to the default descriptor pool once."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file_descriptor())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in NAMES}


def cel_type(cel: Any, name: str) -> Any:
    """The CEL type of one of the messages."""
    message_classes()
    return cel.Type(f"{_PACKAGE}.{name}")


def message(name: str, text: str) -> Any:
    """A value of the type."""
    return message_classes()[name](text=text)


def type_name(value: Any) -> str:
    """The name of a message's type; "" for all other values."""
    return type(value).__name__ if isinstance(value, tuple(message_classes().values())) else ""

"""What every type's rules consist of, and safe ways of reading an object that may be anything."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid
from kcpcache.meta.names import dns1035_label_errors
from kcpcache.meta.objects import Object

Change: TypeAlias = Callable[[Object], None]
Validate: TypeAlias = Callable[[Object], list[FieldError]]
ValidateUpdate: TypeAlias = Callable[[Object, Object], list[FieldError]]
PrepareUpdate: TypeAlias = Callable[[Object, Object], None]

IMMUTABLE: Final = "field is immutable"
IMMUTABLE_WHEN_SET: Final = "field is immutable when `immutable` is set"


def _nothing(_obj: Object) -> None:
    return None


def _keep(_obj: Object, _old: Object) -> None:
    return None


def _valid(_obj: Object) -> list[FieldError]:
    return []


def _valid_update(_obj: Object, _old: Object) -> list[FieldError]:
    return []


@dataclass(frozen=True, slots=True)
class Rules:
    """What is peculiar to one resource. None of it raises, whatever the JSON, and all of it is idempotent.

    In place: ``prepare_create`` puts in top-level fields that a new object begins with, ``prepare_update(obj, old)``
    puts back what an ordinary update (not one through a subresource) has no say in, ``prepare_delete`` shows that a
    deletion has begun, ``default`` fills in what is missing once the name is known. ``validate`` holds on every write,
    ``validate_update(obj, old)`` between two versions, and ``accept_stored`` notes the old one before that. Metadata
    is not their concern. With ``judges_keys`` it is ``validate`` that says which lists need keys, and which of them may
    not stand twice, as in kube-apiserver; what the schema says of that does not count.
    """

    default: Change = _nothing
    validate: Validate = _valid
    validate_update: ValidateUpdate = _valid_update
    accept_stored: Change = _nothing
    prepare_create: Change = _nothing
    prepare_update: PrepareUpdate = _keep
    prepare_delete: Change = _nothing
    judges_keys: bool = False


def section(obj: Any, *path: str) -> Object:
    """The object at ``path``; an empty one, not attached, where there is none."""
    for step in path:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj if isinstance(obj, dict) else {}


def sections(obj: Object, key: str) -> Iterator[tuple[int, Object]]:
    """The objects in the list ``key``, with their index."""
    found = obj.get(key)
    if isinstance(found, list):
        yield from ((index, item) for index, item in enumerate(found) if isinstance(item, dict))


def text(obj: Object, key: str) -> str:
    """The string ``key``; "" where there is none."""
    found = obj.get(key)
    return found if isinstance(found, str) else ""


def texts(obj: Object, key: str) -> list[str]:
    """The strings in the list ``key``."""
    found = obj.get(key)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def entries(obj: Object, key: str) -> Iterator[tuple[str, Any]]:
    """Keys and values of the object ``key``, in the order of the keys, so that messages are stable."""
    found = section(obj, key)
    yield from ((name, found[name]) for name in sorted(found))


def whole(obj: Object, key: str) -> int | None:
    """The integer ``key``; None where there is none."""
    found = obj.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def invalid(path: str, value: Any, details: Iterable[str]) -> list[FieldError]:
    """One "Invalid value" for each detail."""
    return [field_invalid(path, value, detail) for detail in details]


def version_name_errors(versions: list[str], path: str) -> Iterator[FieldError]:
    """What is wrong with names of versions, of which each may stand once."""
    for at, version in enumerate(versions):
        if version in versions[:at]:
            yield field_invalid(f"{path}[{at}]", version, "duplicate version")
        else:
            yield from invalid(f"{path}[{at}]", version, dns1035_label_errors(version))


def immutable(path: str, value: Any, old: Any) -> list[FieldError]:
    """The value must not change; missing and empty are the same."""
    return [] if (value or None) == (old or None) else [field_invalid(path, value, IMMUTABLE)]


def frozen(obj: Object, old: Object, *fields: str) -> list[FieldError]:
    """The rule of ``immutable: true``: neither it nor ``fields`` may change any more."""
    if old.get("immutable") is not True:
        return []
    changed = [] if obj.get("immutable") is True else ["immutable"]
    changed += [name for name in fields if section(obj, name) != section(old, name)]
    return [field_forbidden(name, IMMUTABLE_WHEN_SET) for name in changed]

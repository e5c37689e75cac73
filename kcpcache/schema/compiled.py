"""A schema with everything that the server does with it, compiled once and shared by all workspaces."""

import hashlib
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload
from weakref import WeakValueDictionary

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.objects import Object, copy
from kcpcache.schema.cel import compile_rules
from kcpcache.schema.default import compile_defaulter, compile_filler, compile_null_dropper
from kcpcache.schema.explain import explain
from kcpcache.schema.invariants import (
    Check,
    Places,
    compile_embedded,
    compile_embedded_places,
    compile_embedded_repair,
    compile_list_types,
)
from kcpcache.schema.prune import compile_pruner
from kcpcache.schema.settled import compile_settled
from kcpcache.schema.validate import Validator, compile_validator
from kcpcache.schema.values import ABSENT, canonical

LARGE_BYTES = 64 * 1024
"""What is longer than this takes more than some milliseconds to compile."""
MOST_WALKS = 64
"""How many objects of one schema are walked before the validator is compiled for them: that costs as much."""
_BLOCKING = frozenset(
    {
        *("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"),
        "FieldValueTypeInvalid",
    }
)
_RULES_SKIPPED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


_T = TypeVar("_T")


class _Lazy(Generic[_T]):
    """Like ``cached_property``, which up to Python 3.11 has all instances wait while one is computed."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make, self._name = make, make.__name__

    @overload
    def __get__(self, instance: None, owner: type) -> "_Lazy[_T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object | None, owner: type) -> "_T | _Lazy[_T]":
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._make(instance)
        return found


class CompiledSchema:
    """One structural schema. Its parts are compiled on first use, by any thread, maybe by two at the same time.

    The schema has passed ``check_structural`` and is not changed afterwards. ``hash`` is the SHA-256 of its
    canonical JSON in hexadecimal: equal schemas are one ``CompiledSchema`` (see ``compile_schema``). ``size`` is how
    many bytes that JSON has; ``uncompiled`` is the same until all of a large one has been compiled, and then 0.
    """

    def __init__(self, schema: Object, digest: str, size: int = 0) -> None:
        self.schema = schema
        self.hash = digest
        self.size = size
        self._walks = 0
        self.uncompiled = size if size > LARGE_BYTES else 0

    def prune(self, obj: Object) -> list[str]:
        """Drop unknown fields in place; their sorted paths, such as ``spec.list[0].bar``."""
        return self._pruner(obj)

    def default(self, obj: Object) -> None:
        """Apply defaults in place; nulls that the schema does not allow give way to them, or go."""
        self._defaulter(obj)

    def fill(self, obj: Object) -> None:
        """Apply defaults in place; nulls that the schema does not allow give way to them, and stay without one."""
        self._filler(obj)

    def drop_nulls(self, obj: Object) -> None:
        """Drop, in place, nulls that the schema does not allow and that no default takes the place of."""
        self._null_dropper(obj)

    def is_settled(self, obj: Object) -> bool:
        """Whether ``settle`` would change nothing; False may be said where that is not seen at once."""
        return self._settled(obj)

    def settle(self, obj: Object) -> None:
        """Make of a stored object, in place, what the schema has it be: pruned and defaulted.

        Of embedded resources what could be no apiVersion, kind or metadata goes too. The object's own metadata stays.
        """
        if self._embedded_repair is not None:
            for _ in self._embedded_repair(obj, ""):
                pass
        self._pruner(obj)
        self._defaulter(obj)

    def validate(
        self, obj: Object, old: Object | None = None, *, rules: bool = True, walk: bool = False
    ) -> list[FieldError]:
        """Everything wrong with an object: schema, embedded resources, list types, and (unless told not to) CEL rules.

        With ``old`` (an update) unchanged values are not blamed, and transition rules apply. ``walk``: the object is
        small, and may be one of few of its kind: the first of them are walked, which says the same, so that a server
        that only starts needs no engine for schemas, which takes 7 MB. Raises nothing.
        """
        before = ABSENT if old is None else old
        if walk and self._walks < MOST_WALKS and "_validator" not in self.__dict__:
            self._walks += 1
            errors = explain(self.schema, obj, before)
        else:
            errors = self._validator(obj, before)
        if self._embedded is not None:
            errors = [*errors, *self._embedded(obj, "")]
        if self._list_types is not None and (old is None or not any(self._list_types(old, ""))):
            errors = [*errors, *self._list_types(obj, "")]
        if not rules or self._rules is None:
            return errors
        if any(error.reason in _BLOCKING for error in errors):
            return [*errors, field_invalid("<nil>", "null", _RULES_SKIPPED)]
        return [*errors, *self._rules(obj, before)]

    def compile_for_reading(self) -> None:
        """Compile all that is needed to show stored objects."""
        _ = self._pruner, self._defaulter, self._null_dropper, self._settled, self._embedded_repair

    @_Lazy
    def _pruner(self) -> Callable[[Object], list[str]]:
        return compile_pruner(self.schema)

    @_Lazy
    def _defaulter(self) -> Callable[[Object], None]:
        return compile_defaulter(self.schema)

    @_Lazy
    def _filler(self) -> Callable[[Object], None]:
        return compile_filler(self.schema)

    @_Lazy
    def _null_dropper(self) -> Callable[[Object], None]:
        return compile_null_dropper(self.schema)

    @_Lazy
    def _settled(self) -> Callable[[Object], bool]:
        return compile_settled(self.schema)

    @_Lazy
    def _embedded_repair(self) -> Check | None:
        return compile_embedded_repair(self.schema)

    @_Lazy
    def _validator(self) -> Validator:
        return compile_validator(self.schema)

    @_Lazy
    def _embedded(self) -> Check | None:
        return compile_embedded(self.schema)

    @_Lazy
    def embedded_places(self) -> Places | None:
        """Finds the embedded resources of an object; None where there can be none."""
        return compile_embedded_places(self.schema)

    @_Lazy
    def _list_types(self) -> Check | None:
        return compile_list_types(self.schema)

    @_Lazy
    def _rules(self) -> Validator | None:
        made = compile_rules(self.schema)
        if self.uncompiled:  # whoever comes to the rules has used all else but what reading, and an apply, needs
            self.compile_for_reading()
            _ = self._filler
            self.uncompiled = 0
        return made


_compiled: WeakValueDictionary[str, CompiledSchema] = WeakValueDictionary()
_lock = threading.Lock()


def schema_hash(schema: Object) -> str:
    """SHA-256 of the schema's canonical JSON, in hexadecimal."""
    return _hash(canonical(schema))


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def compile_schema(schema: Object, *, fresh: bool = False) -> CompiledSchema:
    """The one CompiledSchema of this content, made if nobody holds it. The given dict is copied.

    ``fresh``: it need not be, since nobody will change it.
    """
    text = canonical(schema)
    digest = _hash(text)
    found = _compiled.get(digest)
    if found is None:
        made = CompiledSchema(schema if fresh else copy(schema), digest, len(text))
        with _lock:  # for no longer than that: the event loop may be who waits
            found = _compiled.setdefault(digest, made)
    return found

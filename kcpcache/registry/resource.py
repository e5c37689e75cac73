"""What a resource is: its names, versions, schemas, subresources and rules, whether built in, from a CRD or bound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from kcpcache.meta.columns import Column
from kcpcache.meta.errors import FieldError
from kcpcache.meta.names import GroupResource, GroupVersionResource, api_version, dns1123_subdomain_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.decoding import metadata_error
from kcpcache.registry.settling import Showing
from kcpcache.schema.compiled import CompiledSchema
from kcpcache.storage.keys import registry_prefix

READ_VERBS = ("get", "list", "watch")
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Rules(Protocol):
    """A type's peculiarities, beyond what its schema says. All are plain functions on dicts."""

    @property
    def judges_keys(self) -> bool:
        """Whether ``validate`` says what is wrong with the keys of lists, instead of the schema."""
        ...

    def prepare_create(self, obj: Object) -> None:
        """Put in top-level fields that a new object begins with, whatever its writer sent; change none in place."""
        ...

    def prepare_update(self, new: Object, old: Object) -> None:
        """Put back, in place, what an ordinary update (not of a subresource) may not change."""
        ...

    def prepare_delete(self, obj: Object) -> None:
        """Change, in place, what shows that a deletion has begun, where finalizers hold the object."""
        ...

    def default(self, obj: Object) -> None:
        """Fill in what is missing, in place."""
        ...

    def validate(self, obj: Object) -> list[FieldError]:
        """What is wrong with a new object."""
        ...

    def accept_stored(self, old: Object) -> None:
        """Note, before ``validate``, what is about to be updated: it was valid by the rules of its time."""
        ...

    def validate_update(self, obj: Object, old: Object) -> list[FieldError]:
        """What is wrong with ``obj`` as the successor of ``old``, beyond ``validate``."""
        ...


class NoRules:
    """A type of which its schema says everything."""

    judges_keys = False

    def prepare_create(self, obj: Object) -> None:
        """Nothing to set."""

    def prepare_update(self, new: Object, old: Object) -> None:
        """Nothing to put back."""

    def prepare_delete(self, obj: Object) -> None:
        """Nothing to change."""

    def default(self, obj: Object) -> None:
        """Nothing to fill in."""

    def validate(self, obj: Object) -> list[FieldError]:
        """Nothing beyond the schema."""
        return []

    def accept_stored(self, old: Object) -> None:
        """Nothing to note."""

    def validate_update(self, obj: Object, old: Object) -> list[FieldError]:
        """Nothing beyond the schema."""
        return []


@dataclass(frozen=True, slots=True)
class Scale:
    """JSON paths of the scale subresource (``.spec.replicas``); ``label_selector_path`` may be ""."""

    spec_replicas_path: str
    status_replicas_path: str
    label_selector_path: str = ""


@dataclass(frozen=True, eq=False)
class ServedVersion:
    """One version of a resource.

    ``selectable_fields`` maps what a field selector may name, beside ``metadata.name`` and ``metadata.namespace``,
    to the path in the object. ``subresources`` maps each one's name to its verbs.
    """

    name: str
    schema: CompiledSchema
    columns: tuple[Column, ...] = ()
    subresources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scale: Scale | None = None
    selectable_fields: Mapping[str, str] = field(default_factory=dict)
    served: bool = True
    deprecation_warning: str = ""

    @property
    def has_status(self) -> bool:
        """Whether ``/status`` is a subresource: then the two ways of writing do not touch each other's part."""
        return "status" in self.subresources


class Conversion(Protocol):
    """Converts objects between versions by asking somebody."""

    async def convert(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        """The objects in that version (``group/version``), in order. Raises StatusError."""
        ...


Convert = Callable[[Object, str], Object]
"""``convert(obj, api_version)``: the object in that version (``group/version``); may change and return its argument."""


def _metadata_error(obj: Object) -> str:
    return metadata_error(obj["metadata"])


@dataclass(frozen=True, eq=False)
class ResourceDefinition:
    """A resource with all its versions. Immutable, and shared by all workspaces that serve the same.

    ``identity_hash`` is part of the storage key of bound resources. ``convert`` None: versions differ in
    ``apiVersion`` only. With a ``conversion`` caches and readers show the stored form, settled, and views convert.
    """

    group: str
    plural: str
    singular: str
    kind: str
    list_kind: str
    namespaced: bool
    versions: tuple[ServedVersion, ...]
    storage_version: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    rules: Rules = field(default_factory=NoRules)
    identity_hash: str = ""
    tracks_generation: bool = True
    status_writes_metadata: bool = False
    """Whether its labels and the like are written along with its status."""
    origin: Literal["builtin", "system", "crd", "bound", "virtual"] = "builtin"
    convert: Convert | None = None
    conversion: Conversion | None = None
    terminating: bool = False
    """It is going away with all its objects: nothing new is created."""
    stored_as: GroupResource | None = None
    """The resource whose store it shares; None: its own (all but ``events.k8s.io``)."""
    name_errors: Callable[[str], list[str]] = dns1123_subdomain_errors
    normalize: Callable[[Object], None] | None = None
    """Turns accepted other spellings into the schema's, in place, before unknown fields are looked for."""
    normalize_patch: Callable[[Object], None] | None = None
    """The same for the document of a merge patch, whose nulls say what is to go."""
    always: Object = field(default_factory=dict)
    """The objects in every object of the type, empty or not, each with those in it (Go: structs, not pointers)."""
    drop_nested: Callable[[Object], list[str]] | None = None
    """Removes, in place, unknown fields where the schema cannot tell them; their paths."""
    decoding_error: Callable[[Object], str] = _metadata_error
    """What Go's decoder says of an object whose JSON types are wrong; "" where it would take it."""

    @cached_property
    def group_resource(self) -> GroupResource:
        """Group and plural."""
        return GroupResource(self.group, self.plural)

    @cached_property
    def storage_prefix(self) -> str:
        """Where the objects lie, over all logical clusters."""
        group, plural = self.stored_as or self.group_resource
        return registry_prefix(group, plural, identity=self.identity_hash)

    def gvr(self, version: str) -> GroupVersionResource:
        """With one of its versions."""
        return GroupVersionResource(self.group, version, self.plural)

    def version(self, name: str) -> ServedVersion | None:
        """The version of that name if it is served."""
        return self._served.get(name)

    def selectable_in(self, version: ServedVersion) -> Mapping[str, str]:
        """The version's own fields to select by, where objects are not converted before (see ``Reader.asks``).

        There are none where a webhook converts to it: what is stored would be looked at.
        """
        converted = self.conversion is not None and version.name != self.storage_version
        return {} if converted else version.selectable_fields

    @cached_property
    def _served(self) -> Mapping[str, ServedVersion]:
        return {version.name: version for version in self.versions if version.served}

    @cached_property
    def storage(self) -> ServedVersion:
        """The version that is stored."""
        return next(v for v in self.versions if v.name == self.storage_version)

    @cached_property
    def is_custom(self) -> bool:
        """Whether only its schema describes the type, to the server as to everybody: of a CRD or an APIBinding."""
        return self.origin in {"crd", "bound"}

    @cached_property
    def settles(self) -> bool:
        """Whether objects are shown as the schemas are now, whatever they were when they were stored."""
        return self.origin in {"crd", "bound", "virtual"} and self.convert is None and type(self.rules) is NoRules

    def showing(self, version: ServedVersion) -> Showing | None:
        """How entries are shown in one of the versions; None where they are as they are stored."""
        if not self.settles:
            return None
        found = self._showings.get(version.name)
        if found is None:
            schemas = {api_version(self.group, one.name): one.schema for one in (version, *self.versions)}
            shown = api_version(self.group, version.name)
            found = self._showings[version.name] = Showing(schemas, shown, asks=self.conversion is not None)
        return found

    def shows_like(self, other: "ResourceDefinition") -> bool:
        """Whether objects are shown alike by both, whatever else has changed: a watch may go on as it has begun."""
        return self.shown_by == other.shown_by and self.conversion == other.conversion

    @cached_property
    def shown_by(self) -> object:
        """What decides how objects are shown, but for the conversion; compared only."""
        served = {version.name for version in self.versions if version.served}
        if not self.settles:
            return served
        return served, self.storage_version, {version.name: version.schema.hash for version in self.versions}

    @cached_property
    def _showings(self) -> dict[str, Showing]:
        return {}

    @cached_property
    def storage_api_version(self) -> str:
        """``apiVersion`` of the stored form."""
        return api_version(self.group if self.stored_as is None else self.stored_as.group, self.storage_version)

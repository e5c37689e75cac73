"""What an object that comes out of storage is by its schema as it is now: settled, and then shown.

kube-apiserver does this whenever it decodes a custom resource (``crdConversionRESTOptionsGetter``): it is pruned and
defaulted by the schema of the version that it is stored in, which may be another than when it was written, turned into
the version that is wanted, and pruned by that one's. Nothing of it is written back before the next write.

Shelves keep what is stored, since several schemas may look at one shelf: a workspace's, an APIExport's newest, each
consumer's. What has been found out is noted in the entry's ``memo``, for two versions at the most and for each by the
schemas that looked last. A way to be shown has a token, the same for the same schemas and versions. A token alone: that
way the entry is shown as it is. Where other entries are shown, there are the token of the way that it is shown as it is
(None: not known), and then one or two times a token and what is shown by it.

Whatever has to wait uses what ``Reader.settle`` gives it: by the time that it goes on, others may have looked. All but
``Settling.made`` and ``Settling.shown`` is for the event loop only.

Built-in and kcp's own types are shown as they are stored. Their schemas are part of the program, which fills in on
writing, and converts, what a newer version of it has changed.
"""

from collections.abc import Mapping
from typing import Final
from weakref import WeakValueDictionary

from msgspec.structs import force_setattr

from kcpcache.meta import object_meta
from kcpcache.meta.large_json import loads
from kcpcache.meta.objects import Object
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.schema.compiled import CompiledSchema

_MOST_PREFIXES: Final = 64


class Token:
    """Stands for a way to be shown, in ``version``; compared by identity."""

    __slots__ = ("__weakref__", "version")

    def __init__(self, version: str) -> None:
        self.version = version


_tokens: WeakValueDictionary[tuple[str, str, str, str], Token] = WeakValueDictionary()

UNSETTLED: Final = Token("")
"""No entry has it."""


def _token(stored: str, source: CompiledSchema | None, shown: str, target: CompiledSchema) -> Token:
    key = (stored, source.hash if source is not None else "", shown, target.hash)
    found = _tokens.get(key)
    if found is None:
        found = _tokens[key] = Token(shown)
    return found


class Settling:
    """How entries that are stored in one version are shown in another, or in the same.

    ``source`` is the schema of the ``stored`` version (None: the resource no longer has it), ``target`` that of the
    ``shown`` one; both versions are ``group/version``.
    """

    def __init__(self, stored: str, source: CompiledSchema | None, shown: str, target: CompiledSchema) -> None:
        self.token = _token(stored, source, shown, target)
        self._as_shown = _token(shown, target, shown, target)
        self._source, self._target = source, target
        self._api_version = None if stored == shown else shown
        self._schemas = {target} if source is None else {source, target}
        self._compiled = not any(schema.uncompiled for schema in self._schemas)

    def weight(self, entry: Entry) -> int:
        """How many bytes ``made`` goes through: of the object, and for the first one of large schemas."""
        return len(entry.tail) + (0 if self._compiled else sum(schema.uncompiled for schema in self._schemas))

    def made(self, entry: Entry) -> Entry:
        """The entry as it is shown, found out anew: the same one where it is shown as it is. For any thread."""
        if not self._compiled:
            for schema in self._schemas:
                schema.compile_for_reading()
            self._compiled = True
        obj = loads(entry.wire())
        changed = self._source is not None and _settle(obj, self._source)
        if self._api_version is not None:
            obj["apiVersion"] = self._api_version
            changed = _fit(obj, self._target) or changed
        if not changed:
            return entry if self._api_version is None else entry.as_version(self._api_version)
        value = encode(obj)
        if self._api_version is None and value == entry.stored():
            return entry
        at = {"cluster": entry.cluster, "namespace": entry.namespace, "name": entry.name}
        return entry_of(value, **at, revision=entry.revision)

    def shown(self, entry: Entry) -> Entry:
        """The entry as it is shown: as it is known, else found out and noted. For any thread."""
        found = self.known(entry)
        return self._note(entry, self.made(entry)) if found is None else found

    def _note(self, entry: Entry, shown: Entry) -> Entry:
        token, memo = self.token, entry.memo
        own, *pairs = memo if type(memo) is tuple else (memo,)
        others = [at for at in range(0, len(pairs), 2) if pairs[at].version != token.version][:1]
        other = [each for at in others for each in pairs[at : at + 2]]
        if shown is entry:
            # By another token than before, the schema has changed: what was shown in another version is no more.
            keeps = other and (own is None or own is token)
            force_setattr(entry, "memo", (token, *other) if keeps else token)
            return entry
        force_setattr(shown, "memo", self._as_shown)
        if own is not None and own.version == token.version:
            own = None
        force_setattr(entry, "memo", (own, token, shown) if own is not None else (None, token, shown, *other))
        return shown

    def known(self, entry: Entry) -> Entry | None:
        """The entry as it is shown, if that has been found out."""
        memo = entry.memo
        token = self.token
        if memo is token:
            return entry
        if type(memo) is tuple:
            if memo[0] is token:
                return entry
            for at in range(1, len(memo), 2):
                if memo[at] is token:
                    found: Entry = memo[at + 1]
                    return found
        return None


def is_shown_as_it_is(entry: Entry, token: Token) -> bool:
    """Whether that is known of the way that ``token`` stands for."""
    memo = entry.memo
    return memo is token or (type(memo) is tuple and memo[0] is token)


class Showing:
    """How a resource's entries are shown in one of its versions, whatever version they are stored in.

    ``schemas`` are those of all versions that the resource has, by ``group/version``; ``asks``: a webhook converts, and
    what is stored in another version is shown, settled, in that. ``token`` is that of entries of the version itself
    that are shown as they are.
    """

    def __init__(self, schemas: Mapping[str, CompiledSchema], api_version: str, *, asks: bool) -> None:
        self._schemas, self._api_version, self._asks = schemas, api_version, asks
        own = Settling(api_version, schemas[api_version], api_version, schemas[api_version])
        self.token = own.token
        self._by_version = {api_version: own}
        self._by_prefix: dict[bytes, Settling] = {}

    def of(self, entry: Entry) -> Settling:
        """How this entry is shown."""
        found = self._by_prefix.get(entry.prefix)
        if found is None:
            if len(self._by_prefix) >= _MOST_PREFIXES:  # anybody may have stored anything
                self._by_prefix.clear()
                self._by_version = {self._api_version: self._by_version[self._api_version]}
            found = self._by_prefix[entry.prefix] = self._of_version(entry.api_version)
        return found

    def shown(self, entry: Entry) -> Entry:
        """The entry as it is shown, found out if it is not known."""
        return self.of(entry).shown(entry)

    def _of_version(self, stored: str) -> Settling:
        found = self._by_version.get(stored)
        if found is None:
            source = self._schemas.get(stored)
            shown = stored if self._asks and source is not None else self._api_version
            found = self._by_version[stored] = Settling(stored, source, shown, self._schemas[shown])
        return found


def fit(obj: Object, schema: CompiledSchema) -> None:
    """Make of an object that was converted, in place, what its new version's schema lets it be. It is not defaulted."""
    _fit(obj, schema)


def _fit(obj: Object, schema: CompiledSchema) -> bool:
    if schema.is_settled(obj):
        return False
    schema.prune(obj)
    schema.drop_nulls(obj)
    return True


def _settle(obj: Object, schema: CompiledSchema) -> bool:
    """Settle an object, in place; False where that changes nothing (True may be said all the same)."""
    meta = obj["metadata"]
    sound = object_meta.is_sound(meta)
    if sound and meta.get("generation") and schema.is_settled(obj):
        return False
    if not sound:
        object_meta.drop_invalid(meta)
        object_meta.drop_unknown(meta)
    if not meta.get("generation"):
        meta["generation"] = 1
    schema.settle(obj)
    return True

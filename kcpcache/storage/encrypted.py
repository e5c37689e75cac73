"""A store that keeps some values as ciphertext: a transformer between the storage contract and whoever uses it."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from kcpcache.storage.encryption import KeyRing, UndecryptableError, describe, header_of
from kcpcache.storage.keys import registry_prefix
from kcpcache.storage.store import (
    EncryptionKeyError,
    Event,
    KeyExistsError,
    Outcomes,
    Page,
    Progress,
    Put,
    Read,
    Revision,
    RevisionConflictError,
    Store,
    StoredEntry,
    StoreError,
)

SECRETS: Final = registry_prefix("", "secrets")
"""Below this, values are encrypted."""
_PAGE: Final = 1_000


class EncryptedStore:
    """``store``, with the values below ``prefix`` encrypted in it and plain outside.

    Keeps the contract. A value that cannot be decrypted (damaged, or its key is gone) is handed out as it is stored,
    which is no object: whoever decodes it notices, and nothing else fails with it.
    """

    def __init__(self, store: Store, keys: KeyRing, prefix: str = SECRETS) -> None:
        self._store, self._keys, self._prefix = store, keys, prefix

    async def revision(self) -> Revision:
        """See ``Store``."""
        return await self._store.revision()

    async def get(self, key: str) -> Read:
        """See ``Store``."""
        read = await self._store.get(key)
        return read if read.entry is None else Read(self._plain(read.entry), read.revision)

    async def list(
        self, prefix: str, *, revision: Revision | None = None, limit: int = 0, start: str | None = None
    ) -> Page:
        """See ``Store``."""
        page = await self._store.list(prefix, revision=revision, limit=limit, start=start)
        if not prefix.startswith(self._prefix) and not self._prefix.startswith(prefix):
            return page
        return Page(tuple(map(self._plain, page.entries)), page.revision, page.next_start, page.remaining)

    async def create(self, key: str, value: bytes) -> Revision:
        """See ``Store``."""
        try:
            return await self._store.create(key, self._stored(key, value))
        except KeyExistsError as error:
            raise KeyExistsError(self._plain(error.current)) from None

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        """See ``Store``."""
        try:
            return await self._store.update(key, self._stored(key, value), expected=expected)
        except RevisionConflictError as error:
            raise self._conflict(key, expected, error) from None

    async def delete(self, key: str, *, expected: Revision) -> Revision:
        """See ``Store``."""
        try:
            return await self._store.delete(key, expected=expected)
        except RevisionConflictError as error:
            raise self._conflict(key, expected, error) from None

    async def write_each(self, puts: Sequence[Put]) -> Outcomes:
        """See ``Store``."""
        stored = [
            put if put.value is None else Put(put.key, self._stored(put.key, put.value), put.expected) for put in puts
        ]
        return [self._told(outcome) for outcome in await self._store.write_each(stored)]

    def _told(self, outcome: Revision | StoreError) -> Revision | StoreError:
        if isinstance(outcome, KeyExistsError):
            return KeyExistsError(self._plain(outcome.current))
        if isinstance(outcome, RevisionConflictError):
            return self._conflict(outcome.key, outcome.expected, outcome)
        return outcome

    async def watch(self, prefix: str, *, after: Revision) -> AsyncGenerator[Event | Progress, None]:
        """See ``Store``."""
        events = self._store.watch(prefix, after=after)
        try:
            async for event in events:
                if isinstance(event, Event) and event.key.startswith(self._prefix):
                    value = None if event.value is None else self._decrypted(event.key, event.value)
                    previous = None if event.previous is None else self._plain(event.previous)
                    yield Event(event.key, event.revision, value, previous)
                else:
                    yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]  # the stores' watches are generators

    async def compact(self, revision: Revision) -> None:
        """See ``Store``."""
        await self._store.compact(revision)

    async def bump(self, revision: Revision) -> None:
        """See ``Store``."""
        await self._store.bump(revision)

    def committed_at(self, revision: Revision) -> float | None:
        """See ``Store``."""
        return self._store.committed_at(revision)

    async def close(self) -> None:
        """See ``Store``."""
        await self._store.close()

    def _stored(self, key: str, value: bytes) -> bytes:
        return self._keys.encrypt(value, key) if key.startswith(self._prefix) else value

    def _decrypted(self, key: str, stored: bytes) -> bytes:
        try:
            return self._keys.decrypt(stored, key)
        except UndecryptableError:
            return stored

    def _plain(self, entry: StoredEntry) -> StoredEntry:
        if not entry.key.startswith(self._prefix):
            return entry
        return msgspec.structs.replace(entry, value=self._decrypted(entry.key, entry.value))

    def _conflict(self, key: str, expected: Revision, error: RevisionConflictError) -> RevisionConflictError:
        current = None if error.current is None else self._plain(error.current)
        return RevisionConflictError(key, expected, current)


async def check_keys(store: Store, keys: KeyRing | None, prefix: str = SECRETS) -> int:
    """That every live value can find its key; how many are stored in plain. For the start, before anything is written.

    Raises EncryptionKeyError. That a single value is damaged is no reason: its key is known, or nothing of it is.
    """
    plain, lacking, start = 0, dict[str, int](), None
    while True:
        page = await store.list(prefix, limit=_PAGE, start=start)
        for entry in page.entries:
            header = header_of(entry.value)
            if not header:
                plain += 1
            elif wanted := describe(header) if keys is None else keys.lacks(entry.value):
                lacking[wanted] = lacking.get(wanted, 0) + 1
        if page.next_start is None:
            break
        start = page.next_start
    if lacking:
        raise EncryptionKeyError(missing_keys(lacking, keys))
    return plain


def missing_keys(lacking: dict[str, int], keys: KeyRing | None) -> str:
    """One line on the keys that are needed (as ``describe`` names them, with how many values need each)."""
    wanted = ", ".join(f"{count} with key {key}" for key, count in sorted(lacking.items()))
    there = "there is no --encryption-key-file" if keys is None else "--encryption-key-file does not have it"
    if keys is not None and (same := [key.name for key in keys.keys if any(f'"{key.name}"' in one for one in lacking)]):
        there = f"the key {same[0]!r} in --encryption-key-file is another one of that name"
    return f"Secrets are encrypted, {wanted}, and {there}; nothing was changed"

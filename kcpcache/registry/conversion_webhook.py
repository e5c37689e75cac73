"""Conversion of custom resources between versions by a webhook: ConversionReview v1 of apiextensions.k8s.io.

Nothing is remembered: each read asks anew, a list in batches. A conversion that fails fails the request and changes
nothing; the stored form is what the object is, and it can be read in its own version without any conversion.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import orjson

from kcpcache.meta import object_meta
from kcpcache.meta.errors import BadRequestError, InternalError
from kcpcache.meta.objects import Object, copy, metadata, new_uid
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.registry.resource import Conversion, ResourceDefinition
from kcpcache.registry.settling import fit
from kcpcache.registry.view import Bookmark, Item, Listing, Segment, Watch, WatchEvent
from kcpcache.registry.webhook_client import WebhookCallError, WebhookClient, WebhookTarget, target_of

_GROUP: Final = "apiextensions.k8s.io"
_SUPPORTED: Final = ("v1", "v1beta1")
_TIMEOUT_SECONDS: Final = 30
_BATCH_OBJECTS: Final = 500
_BATCH_BYTES: Final = 1024 * 1024
_MOST_ANSWER_BYTES: Final = 16 * 1024 * 1024


class ConversionError(InternalError):
    """The webhook could not be asked, or its answer cannot be used."""


class ConversionRefusedError(ConversionError):
    """The webhook says that it cannot convert."""


class ConversionWebhook:
    """Converts the objects of one CRD. See ``resource.Conversion``."""

    def __init__(self, client: WebhookClient, target: WebhookTarget, version: str) -> None:
        self._client, self._target, self._version = client, target, version

    def __eq__(self, other: object) -> bool:
        """Whether the same webhook is asked in the same way."""
        return isinstance(other, ConversionWebhook) and (self._target, self._version) == (other._target, other._version)

    def __hash__(self) -> int:
        return hash((self._target, self._version))

    async def convert(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        """The objects in ``api_version``, in order, with their own metadata (all but labels and annotations).

        Raises ConversionError, and ConversionRefusedError where the webhook says no.
        """
        found: list[Object] = []
        for batch in _batches(objects):
            found += await self._convert(batch, api_version)
        return found

    async def _convert(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        source = f"conversion webhook for {_kind_of(objects[0])}"
        uid = new_uid()
        review = {
            "kind": "ConversionReview",
            "apiVersion": f"{_GROUP}/{self._version}",
            "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objects)},
        }
        try:
            answer = await self._client.post(
                self._target, review, timeout_seconds=_TIMEOUT_SECONDS, most_bytes=_MOST_ANSWER_BYTES
            )
        except WebhookCallError as error:
            raise ConversionError(f"{source} failed: {error}") from None
        converted = self._checked(answer, uid, source)
        if len(converted) != len(objects):
            raise ConversionError(
                f"{source} returned {len(converted)} objects, expected {len(objects)}",
            )
        return [
            _restored(obj, original, api_version, f"{source} returned invalid converted object at index {index}")
            for index, (obj, original) in enumerate(zip(converted, objects, strict=True))
        ]

    def _checked(self, answer: Object, uid: str, source: str) -> list[Any]:
        """The converted objects of an answer to ``uid``."""
        wanted = f"{_GROUP}/{self._version}", "ConversionReview"
        given = answer.get("apiVersion"), answer.get("kind")
        if given != wanted:
            why = f"expected webhook response of {wanted[0]}, Kind={wanted[1]}, got {given[0]}, Kind={given[1]}"
            raise ConversionError(f"{source} returned invalid response: {why}")
        response = answer.get("response")
        if not isinstance(response, dict):
            raise ConversionError(f"{source} returned invalid response: no response provided")
        if response.get("uid") != uid and self._version == "v1":
            why = f'expected response.uid="{uid}", got "{response.get("uid")}"'
            raise ConversionError(f"{source} returned invalid response: {why}")
        result = response.get("result")
        result = result if isinstance(result, dict) else {}
        if result.get("status") != "Success":
            why = str(
                result.get("message") or f'response.result.status was "{result.get("status", "")}", not "Success"'
            )
            raise ConversionRefusedError(f"{source} failed: {why}")
        converted = response.get("convertedObjects")
        return converted if isinstance(converted, list) else []


def conversion_of(spec: Mapping[str, Any], client: WebhookClient) -> ConversionWebhook | None:
    """The webhook of a CRD's (or APIResourceSchema's) spec; None where its strategy is another."""
    conversion = spec.get("conversion") or {}
    if conversion.get("strategy") != "Webhook":
        return None
    webhook = conversion.get("webhook") or {}
    named = webhook.get("conversionReviewVersions") or ()
    version = next((name for name in named if name in _SUPPORTED), "v1")
    return ConversionWebhook(client, target_of(webhook.get("clientConfig") or {}), version)


def _batches(objects: Sequence[Object]) -> Iterator[Sequence[Object]]:
    batch: list[Object] = []
    size = 0
    for obj in objects:
        more = len(orjson.dumps(obj))
        if batch and (len(batch) == _BATCH_OBJECTS or size + more > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(obj)
        size += more
    if batch:
        yield batch


def _kind_of(obj: Mapping[str, Any]) -> str:
    """``example.com/v1, Kind=CronTab``."""
    return f"{obj.get('apiVersion')}, Kind={obj.get('kind')}"


def _restored(obj: Any, original: Object, api_version: str, source: str) -> Object:
    """A converted object with the metadata that no conversion may change put back. Raises ConversionError."""
    if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
        raise ConversionError(f"{source}: it is no object with metadata")
    if obj.get("apiVersion") != api_version:
        why = f"invalid groupVersion (expected {api_version}, received {obj.get('apiVersion')})"
        raise ConversionError(f"{source}: {why}")
    if obj.get("kind") != original["kind"]:
        raise ConversionError(f"{source}: invalid kind (expected {original['kind']}, received {obj.get('kind')})")
    given, before = obj["metadata"], metadata(original)
    for key in ("name", "namespace", "uid"):
        if given.get(key) != before.get(key):
            raise ConversionError(f"{source}: must have the same {key}: {given.get(key)} != {before.get(key)}")
    changeable = {key: given[key] for key in ("labels", "annotations") if given.get(key) is not None}
    if errors := object_meta.type_errors(changeable):
        raise ConversionError(f"{source}: {errors[0].message}")
    kept = {key: value for key, value in before.items() if key not in {"labels", "annotations"}}
    return {**obj, "metadata": {**kept, **changeable}}


async def _converted(
    definition: ResourceDefinition, conversion: Conversion, objects: Sequence[Object], api_version: str
) -> list[Object]:
    """The objects in that version, without fields that it does not have. Raises ConversionError."""
    found = await conversion.convert(objects, api_version)
    name = api_version.rpartition("/")[2]
    schema = next(version.schema for version in definition.versions if version.name == name)
    for obj in found:
        fit(obj, schema)
    return found


async def object_in(definition: ResourceDefinition, obj: Object, api_version: str) -> Object:
    """``obj`` in another version of its resource, by whatever way the resource converts; never ``obj`` changed.

    Raises ConversionError.
    """
    if obj["apiVersion"] == api_version:
        return obj
    if definition.conversion is not None:
        return (await _converted(definition, definition.conversion, [obj], api_version))[0]
    if definition.convert is not None:
        return definition.convert(copy(obj), api_version)
    return {**obj, "apiVersion": api_version}


async def object_to_store(definition: ResourceDefinition, obj: Object) -> Object:
    """``obj``, which a client wants to write, as it is stored. Raises BadRequestError where the webhook refuses."""
    try:
        return await object_in(definition, obj, definition.storage_api_version)
    except ConversionRefusedError as error:
        raise BadRequestError(error.message) from None


async def entries_in(definition: ResourceDefinition, entries: Sequence[Entry], api_version: str) -> list[Entry]:
    """Entries as they are stored, in one version; the webhook is asked once about each. Raises ConversionError."""
    start = b'{"apiVersion":"%b",' % api_version.encode()
    others = {id(entry): entry for entry in entries if not entry.prefix.startswith(start)}
    if not others or definition.conversion is None:
        return list(entries)
    objects = [entry.object() for entry in others.values()]
    converted = await _converted(definition, definition.conversion, objects, api_version)
    for one, obj in zip(tuple(others.values()), converted, strict=True):
        at = {"cluster": one.cluster, "namespace": one.namespace, "name": one.name}
        others[id(one)] = entry_of(encode(obj), **at, revision=one.revision)
    return [others.get(id(entry), entry) for entry in entries]


async def listing_in(definition: ResourceDefinition, listing: Listing, api_version: str) -> Listing:
    """A listing of stored forms, in one version. Raises ConversionError."""
    stored = [entry for segment in listing.segments if segment.block is None for entry in segment.entries]
    found = iter(await entries_in(definition, stored, api_version))
    segments = [
        segment if segment.block is not None else Segment(list(islice(found, len(segment.entries))), segment.cluster)
        for segment in listing.segments
    ]
    return replace(listing, segments=segments)


class ConvertedWatch:
    """A watch of stored forms, in one version. See ``view.Watch``; ``next`` raises ConversionError too."""

    def __init__(self, watch: Watch, definition: ResourceDefinition, api_version: str) -> None:
        self._watch, self._definition, self._api_version = watch, definition, api_version

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``."""
        events = await self._watch.next(timeout_seconds)
        changes = [event.item.entry for event in events if isinstance(event, WatchEvent)]
        if not changes:
            return events
        entries = iter(await entries_in(self._definition, changes, self._api_version))
        return [
            WatchEvent(event.type, Item(next(entries), event.item.cluster)) if isinstance(event, WatchEvent) else event
            for event in events
        ]

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``."""
        return self._watch.bookmark()

    def close(self) -> None:
        """See ``view.Watch``."""
        self._watch.close()

"""Types of ``events.k8s.io/v1``, and the two wire forms of one stored event."""

from collections.abc import Iterable
from typing import Final

from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.core import EVENT_SOURCE, OBJECT_REFERENCE
from kcpcache.registry.builtin.meta import object_type
from kcpcache.registry.builtin.types import Scalar, package, row

_events = package("io.k8s.api.events.v1")
_S, _TIME, _MICRO = Scalar.STRING, Scalar.TIME, Scalar.MICRO_TIME

EVENTS_EVENT = object_type(
    "io.k8s.api.events.v1",
    "events.k8s.io/v1",
    "Event",
    "Something that happened to an object; kept for a while.",
    row("eventTime", 2, _MICRO, "When it was first seen, exactly.", required=True),
    row(
        "series",
        3,
        _events(
            "EventSeries",
            "An event that goes on happening.",
            row("count", 1, Scalar.INT32, "How often it has happened.", required=True),
            row("lastObservedTime", 2, _MICRO, "When it was last seen.", required=True),
        ),
        "The series that it belongs to.",
        pointer=True,
    ),
    row("reportingController", 4, _S, "Controller that reported it."),
    row("reportingInstance", 5, _S, "Instance of that controller."),
    row("action", 6, _S, "What was done or failed."),
    row("reason", 7, _S, "Why, as one CamelCase word."),
    row("regarding", 8, OBJECT_REFERENCE, "The object that the event is about."),
    row("related", 9, OBJECT_REFERENCE, "A second object that it concerns.", pointer=True),
    row("note", 10, _S, "What happened, for people."),
    row("type", 11, _S, "Normal or Warning."),
    row("deprecatedSource", 12, EVENT_SOURCE, "v1's source."),
    row("deprecatedFirstTimestamp", 13, _TIME, "v1's firstTimestamp."),
    row("deprecatedLastTimestamp", 14, _TIME, "v1's lastTimestamp."),
    row("deprecatedCount", 15, Scalar.INT32, "v1's count."),
)

_RENAMED: Final = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
)
_TO_EVENTS: Final = dict(_RENAMED)
_TO_CORE: Final = {new: old for old, new in _RENAMED}


def to_events_form(event: Object) -> Object:
    """A ``v1`` Event as ``events.k8s.io/v1``; shallow: values are shared with ``event``.

    ``eventTime`` is required there, so an event without one shows null, as in kube-apiserver.
    """
    converted = _renamed(event, _TO_EVENTS, "events.k8s.io/v1")
    converted.setdefault("eventTime", None)
    return converted


def to_core_form(event: Object) -> Object:
    """An ``events.k8s.io/v1`` Event as ``v1``; shallow: values are shared with ``event``."""
    return _renamed(event, _TO_CORE, "v1")


def _renamed(event: Object, names: dict[str, str], api_version: str) -> Object:
    pairs: Iterable[tuple[str, object]] = ((names.get(key, key), value) for key, value in event.items())
    return {**dict(pairs), "apiVersion": api_version, "kind": "Event"}

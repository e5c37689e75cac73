"""Types of the core group, ``v1``, and ``Scale`` of ``autoscaling/v1``."""

from functools import partial

from kcpcache.registry.builtin.meta import object_type
from kcpcache.registry.builtin.types import ListOf, MapOf, Scalar, package, row

_core = package("io.k8s.api.core.v1")
_object = partial(object_type, "io.k8s.api.core.v1", "v1")
_autoscaling = package("io.k8s.api.autoscaling.v1")
_S, _B, _I32, _TIME, _QUANTITIES = (
    Scalar.STRING,
    Scalar.BOOL,
    Scalar.INT32,
    Scalar.TIME,
    MapOf(Scalar.QUANTITY),
)

LOCAL_OBJECT_REFERENCE = _core(
    "LocalObjectReference",
    "Names an object of the same namespace.",
    row("name", 1, _S, "Name of the object."),
    map_type="atomic",
)

OBJECT_REFERENCE = _core(
    "ObjectReference",
    "Names an object anywhere in the workspace.",
    row("kind", 1, _S, "Kind of the object."),
    row("namespace", 2, _S, "Namespace of the object."),
    row("name", 3, _S, "Name of the object."),
    row("uid", 4, _S, "UID of the object."),
    row("apiVersion", 5, _S, "API version of the object."),
    row("resourceVersion", 6, _S, "Version of the object, where one is meant."),
    row("fieldPath", 7, _S, "Part of the object, where a part is meant."),
    map_type="atomic",
)

CONFIG_MAP = _object(
    "ConfigMap",
    "Settings for programs: text and binary items by key.",
    row("immutable", 4, _B, "If true, data cannot change any more.", pointer=True),
    row("data", 2, MapOf(_S), "Text items; keys consist of letters, digits, '-', '_' and '.'."),
    row("binaryData", 3, MapOf(Scalar.BYTES), "Binary items, base64; no key may also be in data."),
)

SECRET = _object(
    "Secret",
    "Confidential items by key.",
    row("immutable", 5, _B, "If true, data cannot change any more.", pointer=True),
    row("data", 2, MapOf(Scalar.BYTES), "Items, base64."),
    row("stringData", 4, MapOf(_S), "Items as plain text; written into data, never returned."),
    row("type", 3, _S, "What the secret is for; Opaque by default, cannot change."),
)

NAMESPACE_SPEC = _core(
    "NamespaceSpec",
    "Desired state of a namespace.",
    row("finalizers", 1, ListOf(_S), "Work that must be done before the namespace goes away."),
)

NAMESPACE_CONDITION = _core(
    "NamespaceCondition",
    "One aspect of a namespace's current state.",
    row("type", 1, _S, "Name of the aspect.", required=True),
    row("status", 2, _S, "True, False or Unknown.", required=True),
    row("lastTransitionTime", 4, _TIME, "When the status last changed."),
    row("reason", 5, _S, "Why, as one CamelCase word."),
    row("message", 6, _S, "Why, for people."),
)

NAMESPACE_STATUS = _core(
    "NamespaceStatus",
    "Current state of a namespace.",
    row("phase", 1, _S, "Where the namespace is in its life.", enum=("Active", "Terminating")),
    row("conditions", 2, ListOf(NAMESPACE_CONDITION), "Details of the state.", keys=("type",), merge="type"),
)

NAMESPACE = _object(
    "Namespace",
    "A scope for the names of objects.",
    row("spec", 2, NAMESPACE_SPEC, "Desired state."),
    row("status", 3, NAMESPACE_STATUS, "Current state; set by the server."),
)

SERVICE_ACCOUNT = _object(
    "ServiceAccount",
    "An identity for programs.",
    row("secrets", 2, ListOf(OBJECT_REFERENCE), "Secrets of the account.", keys=("name",), merge="name"),
    row("imagePullSecrets", 3, ListOf(LOCAL_OBJECT_REFERENCE), "Secrets for pulling images."),
    row("automountServiceAccountToken", 4, _B, "Whether pods get the token by default.", pointer=True),
)

EVENT_SERIES = _core(
    "EventSeries",
    "An event that goes on happening.",
    row("count", 1, _I32, "How often it has happened up to the last update."),
    row("lastObservedTime", 2, Scalar.MICRO_TIME, "When it was last seen."),
)

EVENT_SOURCE = _core(
    "EventSource",
    "Who reported an event.",
    row("component", 1, _S, "Program that reported it."),
    row("host", 2, _S, "Machine that it came from."),
)

EVENT = _object(
    "Event",
    "Something that happened to an object; kept for a while.",
    row("involvedObject", 2, OBJECT_REFERENCE, "The object that the event is about.", required=True),
    row("reason", 3, _S, "Why, as one CamelCase word."),
    row("message", 4, _S, "What happened, for people."),
    row("source", 5, EVENT_SOURCE, "Who reported it."),
    row("firstTimestamp", 6, _TIME, "When it was first seen."),
    row("lastTimestamp", 7, _TIME, "When it was last seen."),
    row("count", 8, _I32, "How often it has happened."),
    row("type", 9, _S, "Normal or Warning."),
    row("eventTime", 10, Scalar.MICRO_TIME, "When it was first seen, exactly."),
    row("series", 11, EVENT_SERIES, "The series that it belongs to.", pointer=True),
    row("action", 12, _S, "What was done or failed."),
    row("related", 13, OBJECT_REFERENCE, "A second object that it concerns.", pointer=True),
    row("reportingComponent", 14, _S, "Controller that reported it."),
    row("reportingInstance", 15, _S, "Instance of that controller."),
    metadata_required=True,
)

SCOPED_RESOURCE_SELECTOR_REQUIREMENT = _core(
    "ScopedResourceSelectorRequirement",
    "One condition on a quota scope.",
    row("scopeName", 1, _S, "Scope that the condition is on.", required=True),
    row("operator", 2, _S, "In, NotIn, Exists or DoesNotExist.", required=True),
    row("values", 3, ListOf(_S), "Values for In and NotIn; empty for the others."),
)

SCOPE_SELECTOR = _core(
    "ScopeSelector",
    "Selects what a quota counts.",
    row("matchExpressions", 1, ListOf(SCOPED_RESOURCE_SELECTOR_REQUIREMENT), "Conditions; all must hold."),
    map_type="atomic",
)

RESOURCE_QUOTA = _object(
    "ResourceQuota",
    "Limits on what a namespace may use in total.",
    row(
        "spec",
        2,
        _core(
            "ResourceQuotaSpec",
            "The limits.",
            row("hard", 1, _QUANTITIES, "Limit for each named resource."),
            row("scopes", 2, ListOf(_S), "Count only objects in all of these scopes."),
            row("scopeSelector", 3, SCOPE_SELECTOR, "Count only what this selects.", pointer=True),
        ),
        "Desired limits.",
    ),
    row(
        "status",
        3,
        _core(
            "ResourceQuotaStatus",
            "Limits in force, and use.",
            row("hard", 1, _QUANTITIES, "Limits in force."),
            row("used", 2, _QUANTITIES, "Present use."),
        ),
        "Limits in force, and use.",
    ),
)

LIMIT_RANGE_ITEM = _core(
    "LimitRangeItem",
    "Limits for one kind of thing.",
    row("type", 1, _S, "What the limits are for: Pod, Container, PersistentVolumeClaim …", required=True),
    row("max", 2, _QUANTITIES, "Most that one may use."),
    row("min", 3, _QUANTITIES, "Least that one must use."),
    row("default", 4, _QUANTITIES, "Limit where none is given."),
    row("defaultRequest", 5, _QUANTITIES, "Request where none is given."),
    row("maxLimitRequestRatio", 6, _QUANTITIES, "Most that a limit may exceed its request, as a factor."),
)

LIMIT_RANGE = _object(
    "LimitRange",
    "Limits on what single things in a namespace may use.",
    row(
        "spec",
        2,
        _core(
            "LimitRangeSpec",
            "The limits.",
            row("limits", 1, ListOf(LIMIT_RANGE_ITEM), "One item for each kind of thing.", required=True),
        ),
        "The limits.",
    ),
)

SCALE = object_type(
    "io.k8s.api.autoscaling.v1",
    "autoscaling/v1",
    "Scale",
    "How many replicas something has.",
    row(
        "spec",
        2,
        _autoscaling("ScaleSpec", "Desired scale.", row("replicas", 1, _I32, "Desired number of replicas.")),
        "Desired scale.",
    ),
    row(
        "status",
        3,
        _autoscaling(
            "ScaleStatus",
            "Current scale.",
            row("replicas", 1, _I32, "Current number of replicas.", required=True),
            row("selector", 2, _S, "Label selector of the replicas, as text."),
        ),
        "Current scale.",
    ),
)

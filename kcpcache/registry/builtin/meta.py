"""Types of k8s.io/apimachinery ``meta/v1`` that every object or request shares."""

from kcpcache.registry.builtin.types import Field, ListOf, MapOf, Message, Scalar, package, row

_meta = package("io.k8s.apimachinery.pkg.apis.meta.v1")
_S, _B, _I64, _TIME = Scalar.STRING, Scalar.BOOL, Scalar.INT64, Scalar.TIME
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

OWNER_REFERENCE = _meta(
    "OwnerReference",
    "Names an object that owns this one; garbage collection follows it.",
    row("apiVersion", 5, _S, "API version of the owner.", required=True),
    row("kind", 1, _S, "Kind of the owner.", required=True),
    row("name", 3, _S, "Name of the owner.", required=True),
    row("uid", 4, _S, "UID of the owner.", required=True),
    row("controller", 6, _B, "Whether the owner is the managing controller.", pointer=True),
    row(
        "blockOwnerDeletion",
        7,
        _B,
        "Whether foreground deletion of the owner waits for this object.",
        pointer=True,
    ),
    map_type="atomic",
)

MANAGED_FIELDS_ENTRY = _meta(
    "ManagedFieldsEntry",
    "The fields that one manager owns, and since when.",
    row("manager", 1, _S, "Who manages the fields."),
    row("operation", 2, _S, "How the manager wrote them: Apply or Update."),
    row("apiVersion", 3, _S, "Version in which the fields are named."),
    row("time", 4, _TIME, "When the entry last changed.", pointer=True),
    row("fieldsType", 6, _S, "Format of the field set; always FieldsV1."),
    row("fieldsV1", 7, Scalar.FIELDS_V1, "The owned fields as a tree.", pointer=True),
    row("subresource", 8, _S, "Subresource through which the fields were written."),
)

OBJECT_META = _meta(
    "ObjectMeta",
    "What every stored object has: identity, labels, ownership and bookkeeping.",
    row("name", 1, _S, "Name, unique within the namespace; cannot change."),
    row("generateName", 2, _S, "Prefix of a name that the server makes when name is empty."),
    row("namespace", 3, _S, "Namespace of the object; empty for cluster-scoped ones."),
    row("selfLink", 4, _S, "No longer filled in."),
    row("uid", 5, _S, "Identity that is never used twice; set by the server."),
    row("resourceVersion", 6, _S, "Opaque version of the object, for optimistic concurrency and watches."),
    row("generation", 7, _I64, "Counts the changes of the desired state."),
    row("creationTimestamp", 8, _TIME, "When the server created the object."),
    row("deletionTimestamp", 9, _TIME, "When deletion was requested; set by the server.", pointer=True),
    row("deletionGracePeriodSeconds", 10, _I64, "Seconds granted for a graceful end.", pointer=True),
    row("labels", 11, MapOf(_S), "Keys and values to select objects by."),
    row("annotations", 12, MapOf(_S), "Free keys and values for tools; not selectable."),
    row("ownerReferences", 13, ListOf(OWNER_REFERENCE), "Objects that own this one.", keys=("uid",), merge="uid"),
    row(
        "finalizers",
        14,
        ListOf(_S),
        "Work that must be done before the object goes away.",
        list_type="set",
        merge="",
    ),
    row("managedFields", 17, ListOf(MANAGED_FIELDS_ENTRY), "Which manager owns which field."),
)

LIST_META = _meta(
    "ListMeta",
    "What every list has.",
    row("selfLink", 1, _S, "No longer filled in."),
    row("resourceVersion", 2, _S, "Version of the whole list; a watch can continue from it."),
    row("continue", 3, _S, "Token that asks for the next page; empty after the last."),
    row("remainingItemCount", 4, _I64, "How many items follow this page, where that is known.", pointer=True),
)

LABEL_SELECTOR_REQUIREMENT = _meta(
    "LabelSelectorRequirement",
    "One condition on one label.",
    row("key", 1, _S, "Label key.", required=True),
    row("operator", 2, _S, "In, NotIn, Exists or DoesNotExist.", required=True, enum=_OPERATORS),
    row("values", 3, ListOf(_S), "Values for In and NotIn; empty for the others."),
)

FIELD_SELECTOR_REQUIREMENT = _meta(
    "FieldSelectorRequirement",
    "One condition on one field.",
    row("key", 1, _S, "Field path.", required=True),
    row("operator", 2, _S, "In, NotIn, Exists or DoesNotExist.", required=True),
    row("values", 3, ListOf(_S), "Values for In and NotIn; empty for the others."),
)

LABEL_SELECTOR = _meta(
    "LabelSelector",
    "Selects objects by their labels; all conditions must hold, an empty selector selects everything.",
    row("matchLabels", 1, MapOf(_S), "Labels that must be present with exactly these values."),
    row("matchExpressions", 2, ListOf(LABEL_SELECTOR_REQUIREMENT), "Further conditions on labels."),
    map_type="atomic",
)

CONDITION = _meta(
    "Condition",
    "One aspect of an object's current state.",
    row("type", 1, _S, "Name of the aspect.", required=True),
    row("status", 2, _S, "True, False or Unknown.", required=True, enum=("True", "False", "Unknown")),
    row("observedGeneration", 3, _I64, "Generation of the object that was judged."),
    row("lastTransitionTime", 4, _TIME, "When the status last changed.", required=True),
    row("reason", 5, _S, "Why, as one CamelCase word.", required=True),
    row("message", 6, _S, "Why, for people.", required=True),
)

PRECONDITIONS = _meta(
    "Preconditions",
    "What must be true of the object for the request to go ahead.",
    row("uid", 1, _S, "UID that the object must have.", pointer=True),
    row("resourceVersion", 2, _S, "Version that the object must have.", pointer=True),
)

_DRY_RUN = "All: do everything except storing the result."
_FIELD_MANAGER = "Name under which the written fields are owned."
_FIELD_VALIDATION = "What to do about unknown and duplicate fields: Ignore, Warn or Strict."


def _options(kind: str, description: str, *fields: Field) -> Message:
    return Message(f"io.k8s.apimachinery.pkg.apis.meta.v1.{kind}", description, fields, api_version="v1", kind=kind)


DELETE_OPTIONS = _options(
    "DeleteOptions",
    "How an object is to be deleted.",
    row("gracePeriodSeconds", 1, _I64, "Seconds until the object may go; zero means now.", pointer=True),
    row("preconditions", 2, PRECONDITIONS, "Delete only if these hold.", pointer=True),
    row("orphanDependents", 3, _B, "Older form of propagationPolicy Orphan.", pointer=True),
    row("propagationPolicy", 4, _S, "Orphan, Background or Foreground.", pointer=True),
    row("dryRun", 5, ListOf(_S), _DRY_RUN),
    row(
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        6,
        _B,
        "Delete even what can no longer be read from storage.",
        pointer=True,
    ),
)

CREATE_OPTIONS = _options(
    "CreateOptions",
    "How an object is to be created.",
    row("dryRun", 1, ListOf(_S), _DRY_RUN),
    row("fieldManager", 3, _S, _FIELD_MANAGER),
    row("fieldValidation", 4, _S, _FIELD_VALIDATION),
)

UPDATE_OPTIONS = _options(
    "UpdateOptions",
    "How an object is to be replaced.",
    row("dryRun", 1, ListOf(_S), _DRY_RUN),
    row("fieldManager", 2, _S, _FIELD_MANAGER),
    row("fieldValidation", 3, _S, _FIELD_VALIDATION),
)

PATCH_OPTIONS = _options(
    "PatchOptions",
    "How an object is to be patched.",
    row("dryRun", 1, ListOf(_S), _DRY_RUN),
    row("force", 2, _B, "Apply takes fields over from other managers.", pointer=True),
    row("fieldManager", 3, _S, _FIELD_MANAGER),
    row("fieldValidation", 4, _S, _FIELD_VALIDATION),
)

LIST_OPTIONS = _options(
    "ListOptions",
    "What to list or watch.",
    row("labelSelector", 1, _S, "Only objects with such labels."),
    row("fieldSelector", 2, _S, "Only objects with such fields."),
    row("watch", 3, _B, "Stream changes instead of listing."),
    row("allowWatchBookmarks", 9, _B, "The client understands BOOKMARK events."),
    row("resourceVersion", 4, _S, "Version to read at, or to watch from."),
    row("resourceVersionMatch", 10, _S, "How resourceVersion is meant: Exact or NotOlderThan."),
    row("timeoutSeconds", 5, _I64, "Seconds after which a watch ends.", pointer=True),
    row("limit", 7, _I64, "Most items of one page."),
    row("continue", 8, _S, "Token of the page before."),
    row("sendInitialEvents", 11, _B, "A watch begins with what exists, then a bookmark.", pointer=True),
)

STATUS_CAUSE = _meta(
    "StatusCause",
    "One reason of a failure.",
    row("reason", 1, _S, "What kind of mistake, as one CamelCase word."),
    row("message", 2, _S, "The mistake, for people."),
    row("field", 3, _S, "Path of the field at fault."),
)

STATUS_DETAILS = _meta(
    "StatusDetails",
    "What a Status is about.",
    row("name", 1, _S, "Name of the object."),
    row("group", 2, _S, "API group of the object."),
    row("kind", 3, _S, "Kind or resource of the object."),
    row("uid", 6, _S, "UID of the object."),
    row("causes", 4, ListOf(STATUS_CAUSE), "Every single mistake."),
    row("retryAfterSeconds", 5, Scalar.INT32, "Seconds to wait before trying again."),
)

STATUS = _options(
    "Status",
    "The outcome of a request that does not answer with an object.",
    row("metadata", 1, LIST_META, "List metadata; empty."),
    row("status", 2, _S, "Success or Failure."),
    row("message", 3, _S, "The outcome, for people."),
    row("reason", 4, _S, "Why it failed, as one CamelCase word."),
    row("details", 5, STATUS_DETAILS, "More about the failure.", pointer=True),
    row("code", 6, Scalar.INT32, "HTTP status code."),
)


def object_type(
    prefix: str, api_version: str, kind: str, description: str, *fields: Field, metadata_required: bool = False
) -> Message:
    """A top-level type: ``fields`` after ``metadata``, which is always field 1."""
    metadata = row("metadata", 1, OBJECT_META, "Standard object metadata.", pointer=True)
    if metadata_required:
        metadata = row("metadata", 1, OBJECT_META, "Standard object metadata.", required=True)
    return Message(f"{prefix}.{kind}", description, (metadata, *fields), api_version=api_version, kind=kind)

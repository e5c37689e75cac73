"""Rules of Namespaces."""

from typing import Final

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.names import qualified_name_errors
from kcpcache.meta.objects import Object, metadata, name_of
from kcpcache.registry.builtin.rules.rule import Rules, section, text, texts

NAME_LABEL: Final = "kubernetes.io/metadata.name"
FINALIZER: Final = "kubernetes"
_STANDARD_FINALIZERS: Final = (FINALIZER, "orphan", "foregroundDeletion")


def _prepare_create(obj: Object) -> None:
    """Held by the finalizer that empties it, which whoever finalizes may take off at any time."""
    spec = section(obj, "spec")
    finalizers = texts(spec, "finalizers")
    obj["spec"] = {**spec, "finalizers": finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]}


def _prepare_update(obj: Object, old: Object) -> None:
    """Finalizers change through ``/finalize`` only."""
    if old.get("spec") is None:
        obj.pop("spec", None)
    else:
        obj["spec"] = {**section(obj, "spec"), "finalizers": texts(section(old, "spec"), "finalizers")}


def _prepare_delete(obj: Object) -> None:
    """From the moment of its deletion, not from when someone notices; there is no grace that could be waited for."""
    obj["status"] = {**section(obj, "status"), "phase": "Terminating"}
    metadata(obj).pop("deletionGracePeriodSeconds", None)


def _default(obj: Object) -> None:
    """Until it is deleted, a namespace is active. A label tells its name, so that selectors find it."""
    if not metadata(obj).get("deletionTimestamp"):
        status = obj["status"] = section(obj, "status")
        status["phase"] = text(status, "phase") or "Active"
    if section(obj, "spec").get("finalizers") == []:
        del obj["spec"]["finalizers"]  # Go leaves out an empty list
    if name := name_of(obj):
        meta = metadata(obj)
        meta["labels"] = {**section(meta, "labels"), NAME_LABEL: name}


def _validate(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    stored = bool(text(metadata(obj), "resourceVersion"))
    for index, finalizer in enumerate(texts(section(obj, "spec"), "finalizers")):
        details = qualified_name_errors(finalizer)
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            details = [*details, "name is neither a standard finalizer name nor is it fully qualified"]
        path = f"spec.finalizers[{index}]" if stored else "spec.finalizers"  # whoever finalizes is told which
        errors += [field_invalid(path, finalizer, detail) for detail in details]
    return errors


def _validate_update(obj: Object, old: Object) -> list[FieldError]:
    """It is being deleted exactly when its phase says so (``ValidateNamespaceStatusUpdate``)."""
    phase, before = (text(section(one, "status"), "phase") for one in (obj, old))
    deleting = bool(metadata(obj).get("deletionTimestamp"))
    wanted = "Terminating" if deleting else "Active"
    if phase in (before, wanted):
        return []
    why = f"may only be '{wanted}' if `deletionTimestamp` is {'not ' if deleting else ''}empty"
    return [field_invalid("status.Phase", phase, why)]


NAMESPACE: Final = Rules(
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_delete=_prepare_delete,
)

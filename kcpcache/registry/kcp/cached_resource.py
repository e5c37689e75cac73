"""CachedResource (behaviour §3.1): what may be replicated, what cannot change, and the selector's short form."""

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, nested
from kcpcache.meta.selectors import label_selector_errors
from kcpcache.registry.builtin.resources import BUILTIN_RESOURCES
from kcpcache.registry.resource import NoRules

_SELECTOR_KEYS = {"matchLabels", "matchExpressions"}
_BUILTIN_GROUPS = frozenset(resource.group for resource in BUILTIN_RESOURCES)
_BUILTIN = frozenset(GroupResource(resource.group, resource.plural) for resource in BUILTIN_RESOURCES)


def normalize(obj: Object) -> None:
    """Fold ``labelSelector: {key: value}`` into ``matchLabels``, in place.

    Keys that are neither of a selector's two and have string values are labels. A patch that names a label in the short
    form of an object that is stored in the long one therefore does what it says.
    """
    selector = nested(obj, "spec", "labelSelector")
    if not isinstance(selector, dict):
        return
    short = {key: value for key, value in selector.items() if key not in _SELECTOR_KEYS}
    labels = selector.get("matchLabels", {})
    if not short or not isinstance(labels, dict) or not all(isinstance(value, str) for value in short.values()):
        return
    for key in short:
        del selector[key]
    selector["matchLabels"] = {**labels, **short}


class CachedResourceRules(NoRules):
    """See ``registry.resource.Rules``."""

    def validate(self, obj: Object) -> list[FieldError]:
        """A selector that can be evaluated, and a resource that is the user's own."""
        spec = obj["spec"]
        group, resource = spec.get("group") or "", spec["resource"]
        errors = label_selector_errors(spec.get("labelSelector") or {}, "spec.labelSelector")
        if group == "kcp.io" or group.endswith(".kcp.io"):
            errors.append(field_invalid("spec.group", group, "resources of kcp's system groups cannot be replicated"))
        elif group in _BUILTIN_GROUPS:
            builtin = GroupResource(group, resource) in _BUILTIN or not group
            path, value = ("spec.resource", resource) if builtin else ("spec.group", group)
            errors.append(field_invalid(path, value, "resources of built-in APIs cannot be replicated"))
        return errors

    def validate_update(self, obj: Object, old: Object) -> list[FieldError]:
        """Group, resource, a chosen version and a recorded identity stay."""
        errors = []
        for path in (("spec", "group"), ("spec", "resource"), ("spec", "version"), ("status", "identityHash")):
            before, now = nested(old, *path) or "", nested(obj, *path) or ""
            chosen_later = path[-1] in {"version", "identityHash"} and not before
            if before != now and not chosen_later:
                errors.append(field_invalid(".".join(path), now, "field is immutable"))
        return errors

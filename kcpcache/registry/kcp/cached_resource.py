"""CachedResource (behaviour §3.1): what may be replicated, what cannot change, and the selector's short form."""

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.names import GroupResource, dns1035_label_errors
from kcpcache.meta.objects import Object, nested
from kcpcache.meta.selectors import label_selector_errors
from kcpcache.registry.builtin.resources import BUILTIN_RESOURCES
from kcpcache.registry.builtin.rules.rule import invalid
from kcpcache.registry.kcp.claims import identity_errors
from kcpcache.registry.resource import NoRules

_SELECTOR_KEYS = {"matchLabels", "matchExpressions"}
_BUILTIN_GROUPS = frozenset(resource.group for resource in BUILTIN_RESOURCES)
_BUILTIN = frozenset(GroupResource(resource.group, resource.plural) for resource in BUILTIN_RESOURCES)


def normalize(obj: Object) -> None:
    """Fold ``labelSelector: {key: value}`` into ``matchLabels``, in place.

    All keys but a selector's two are labels, so that none is dropped as unknown, which would select more: a value
    that is no string is then an error at its place. Null takes the label away.
    """
    selector = nested(obj, "spec", "labelSelector")
    if isinstance(selector, dict) and isinstance(selector.get("matchLabels"), dict | None):
        _fold(selector)
        labels = selector.get("matchLabels") or {}
        for key in [key for key, value in labels.items() if value is None]:
            del labels[key]


def normalize_patch(patch: Object) -> None:
    """The same for a JSON merge patch, before it meets an object that is stored in the long form.

    Nulls stay: they take labels away. Where the patch removes ``matchLabels`` as a whole, its short form takes their
    place, and ``normalize`` folds it afterwards.
    """
    selector = nested(patch, "spec", "labelSelector")
    if isinstance(selector, dict) and isinstance(selector.get("matchLabels", {}), dict):
        _fold(selector)


def _fold(selector: Object) -> None:
    short = {key: selector.pop(key) for key in list(selector) if key not in _SELECTOR_KEYS}
    if short:
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), **short}


class CachedResourceRules(NoRules):
    """See ``registry.resource.Rules``."""

    def validate(self, obj: Object) -> list[FieldError]:
        """A selector that can be evaluated, and a resource that is the user's own."""
        spec = obj["spec"]
        group, resource, version = spec.get("group") or "", spec["resource"], spec.get("version") or ""
        errors = label_selector_errors(spec.get("labelSelector") or {}, "spec.labelSelector")
        if version:
            errors += invalid("spec.version", version, dns1035_label_errors(version))
        if group == "kcp.io" or group.endswith(".kcp.io"):
            errors.append(field_invalid("spec.group", group, "resources of kcp's system groups cannot be replicated"))
        elif group in _BUILTIN_GROUPS:
            builtin = GroupResource(group, resource) in _BUILTIN or not group
            path, value = ("spec.resource", resource) if builtin else ("spec.group", group)
            errors.append(field_invalid(path, value, "resources of built-in APIs cannot be replicated"))
        return errors + list(identity_errors(spec))

    def validate_update(self, obj: Object, old: Object) -> list[FieldError]:
        """Group, resource, a chosen version and a recorded identity stay."""
        errors = []
        for path in (("spec", "group"), ("spec", "resource"), ("spec", "version"), ("status", "identityHash")):
            before, now = nested(old, *path) or "", nested(obj, *path) or ""
            chosen_later = path[-1] in {"version", "identityHash"} and not before
            if before != now and not chosen_later:
                errors.append(field_invalid(".".join(path), now, "field is immutable"))
        return errors

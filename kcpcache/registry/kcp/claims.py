"""What permission claims and identities of APIExports, APIBindings and CachedResources have in common."""

from collections.abc import Iterator

from kcpcache.meta.errors import FieldError, field_duplicate, field_forbidden, field_invalid, field_required
from kcpcache.meta.names import dns1123_label_errors, dns1123_subdomain_errors
from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import label_selector_errors
from kcpcache.registry.builtin.rules.rule import invalid, section, text, texts


def claim_errors(claims: Iterator[tuple[int, Object]], path: str) -> Iterator[FieldError]:
    """What is wrong with a list of claims of either version, beyond its schema."""
    seen: set[tuple[str, str, str]] = set()
    for index, claim in claims:
        at = f"{path}[{index}]"
        key = (text(claim, "group"), text(claim, "resource"), text(claim, "identityHash"))
        if key in seen:
            yield field_duplicate(at, dict(zip(("group", "resource", "identityHash"), key, strict=True)))
        seen.add(key)
        if "" in texts(claim, "verbs"):
            yield field_invalid(f"{at}.verbs", texts(claim, "verbs"), "a verb must not be empty")
        if "selector" in claim:
            yield from _claim_selector_errors(section(claim, "selector"), f"{at}.selector")


def _claim_selector_errors(selector: Object, path: str) -> Iterator[FieldError]:
    """All objects or some, never silently none: an empty selector would read as either."""
    by_label = bool(selector.get("matchLabels") or selector.get("matchExpressions"))
    if selector.get("matchAll") is True and by_label:
        yield field_forbidden(f"{path}.matchAll", "may not be true beside matchLabels or matchExpressions")
    elif selector.get("matchAll") is not True and not by_label:
        yield field_required(path, "one of matchAll, matchLabels and matchExpressions must be set")
    yield from label_selector_errors(selector, path)


def identity_errors(spec: Object) -> Iterator[FieldError]:
    """A reference to the identity's Secret is either whole or not there, in which case the server makes one."""
    reference, path = section(spec, "identity", "secretRef"), "spec.identity.secretRef"
    name, namespace = text(reference, "name"), text(reference, "namespace")
    if not name and not namespace:
        return
    if not name:
        yield field_required(f"{path}.name", "must be set together with the namespace")
    else:
        yield from invalid(f"{path}.name", name, dns1123_subdomain_errors(name))
    if not namespace:
        yield field_required(f"{path}.namespace", "must be set together with the name")
    else:
        yield from invalid(f"{path}.namespace", namespace, dns1123_label_errors(namespace))


def reference_errors(reference: Object, path: str) -> Iterator[FieldError]:
    """What is wrong with the ``name`` of an object referred to; where the object is, the schema has checked."""
    name = text(reference, "name")
    if not name:
        yield field_required(f"{path}.name")
    else:
        yield from invalid(f"{path}.name", name, dns1123_subdomain_errors(name))


def default_old_claims(claims: Iterator[tuple[int, Object]]) -> None:
    """One spelling for v1alpha1's empty fields, in place: v1alpha2 does not tell empty from missing."""
    for _, claim in claims:
        if claim.get("group") is None:
            claim["group"] = ""
        if claim.get("identityHash") == "":
            del claim["identityHash"]

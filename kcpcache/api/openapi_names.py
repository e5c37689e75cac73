"""The names of OpenAPI operations, and their tags, as kube-apiserver makes them: generated clients are built on these.

``listCoreV1NamespacedConfigMap``, ``deleteRbacAuthorizationV1CollectionClusterRole``, ``readStableExampleComV1…``.
"""

from functools import lru_cache
from typing import Final

_VERBS: Final = {
    "get": "read",
    "put": "replace",
    "post": "create",
    "list": "list",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
}
_DESCRIPTIONS: Final = {
    "get": "read the specified",
    "put": "replace the specified",
    "post": "create a",
    "list": "list or watch objects of kind",
    "patch": "partially update the specified",
    "delete": "delete a",
    "deletecollection": "delete collection of",
}


@lru_cache(maxsize=1024)
def joined(text: str, *, capital: bool) -> str:
    """The letters and digits of ``text``, each that follows something else in upper case."""
    found: list[str] = []
    for character in text:
        if character.isalpha() or character == "_" or (character.isdigit() and found):
            found.append(character.upper() if capital else character)
            capital = False
        else:
            capital = True
    return "".join(found)


def group_words(group: str, *, capital: bool) -> str:
    """``rbac.authorization.k8s.io`` as ``RbacAuthorization``; the core group is ``Core``."""
    return joined((group or "core").removesuffix(".k8s.io"), capital=capital)


def tag(group: str, version: str) -> str:
    """``core_v1``, ``rbacAuthorization_v1``."""
    return f"{group_words(group, capital=False)}_{joined(version, capital=False)}"


def operation_id(action: str, group: str, version: str, what: str) -> str:
    """``action`` is the ``x-kubernetes-action``; ``what`` is scope, kind and subresource."""
    collection = "Collection" if action == "deletecollection" else ""
    where = f"{group_words(group, capital=True)}{joined(version, capital=True)}"
    return f"{_VERBS[action]}{where}{collection}{joined(what, capital=True)}"


def description(action: str, kind: str, subresource: str) -> str:
    """``replace status of the specified ConfigMap``, in kube-apiserver's words."""
    found = _DESCRIPTIONS[action]
    if subresource:
        verb, _, rest = found.partition(" ")
        if action == "patch":
            verb, rest = "partially update", "the specified"
        found = f"{verb} {subresource} of {rest}"
    if found.endswith(" a") and kind[:1].lower() in {*"aeiou"}:
        found += "n"
    return f"{found} {kind}"

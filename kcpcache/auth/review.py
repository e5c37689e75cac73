"""Reviews: what authorisation and authentication say when they are asked through the API."""

from collections.abc import Mapping
from typing import Any

from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.subjects import with_home
from kcpcache.auth.user import User
from kcpcache.meta.errors import (
    BadRequestError,
    FieldError,
    InvalidError,
    field_forbidden,
    field_invalid,
)
from kcpcache.meta.objects import Object, name_of, namespace_of

_GROUP = "authorization.k8s.io"
_INCOMPLETE = "there are too many rules to compare all of them with the maximal permission policies of APIExports"
_RESOURCE, _PATH = "spec.resourceAttributes", "spec.nonResourceAttributes"


def review_subject_access(review: Object, cluster: str, authorizer: Authorizer) -> Object:
    """A SubjectAccessReview with its status: whether ``spec.user`` may do that in ``cluster``.

    Raises InvalidError. A ServiceAccount without the cluster's name in its extra is taken as one of ``cluster``.
    """
    spec = _spec(review)
    errors = [*_user_errors(spec), *_attributes_errors(spec)]
    return _reviewed(review, errors, spec, _user(spec, cluster), cluster, authorizer)


def review_local_subject_access(review: Object, cluster: str, authorizer: Authorizer) -> Object:
    """A LocalSubjectAccessReview with its status: the same, for one namespace. Raises InvalidError."""
    spec = _spec(review)
    errors = [*_user_errors(spec), *_attributes_errors(spec)]
    if _mapping(spec, "nonResourceAttributes") is not None:
        errors.append(field_forbidden(_PATH, "disallowed on this kind of request"))
    namespace = (_mapping(spec, "resourceAttributes") or {}).get("namespace", "")
    if namespace != namespace_of(review):
        errors.append(field_invalid(f"{_RESOURCE}.namespace", namespace, "must match metadata.namespace"))
    return _reviewed(review, errors, spec, _user(spec, cluster), cluster, authorizer)


def review_self_subject_access(review: Object, requester: User, cluster: str, authorizer: Authorizer) -> Object:
    """A SelfSubjectAccessReview with its status: whether the requester may do that. Raises InvalidError."""
    spec = _spec(review)
    return _reviewed(review, _attributes_errors(spec), spec, requester, cluster, authorizer)


def review_self_subject_rules(review: Object, requester: User, cluster: str, authorizer: Authorizer) -> Object:
    """A SelfSubjectRulesReview with its status: all that the requester may in ``spec.namespace``.

    Raises BadRequestError where no namespace is given. Whoever may not enter the workspace has no rules but the public
    one. ``incomplete`` where there are too many rules to compare them with the policies of exports.
    """
    namespace = _spec(review).get("namespace")
    if not isinstance(namespace, str) or not namespace:
        raise BadRequestError("no namespace on request")
    found = authorizer.rules_for(requester, cluster, namespace)
    status: Object = {"resourceRules": [], "nonResourceRules": [], "incomplete": not found.complete}
    if not found.complete:
        status["evaluationError"] = _INCOMPLETE
    for rule in found.rules:
        _sort_in(status, rule)
    return {**review, "status": status}


def review_self_subject(review: Object, requester: User) -> Object:
    """A SelfSubjectReview (``kubectl auth whoami``) with its status: who the requester is."""
    return {**review, "status": {"userInfo": requester.to_user_info()}}


def _sort_in(status: Object, rule: Object) -> None:
    for kind, of_kind, fields in (
        ("resourceRules", "resources", ("verbs", "apiGroups", "resources", "resourceNames")),
        ("nonResourceRules", "nonResourceURLs", ("verbs", "nonResourceURLs")),
    ):
        if rule.get(of_kind):
            status[kind].append({field: rule[field] for field in fields if rule.get(field)})


def _reviewed(
    review: Object, errors: list[FieldError], spec: Object, user: User, cluster: str, authorizer: Authorizer
) -> Object:
    if errors:
        raise InvalidError(_GROUP, str(review.get("kind", "")), name_of(review), errors)
    decision = authorizer.authorize(_attributes(spec, user, cluster))
    return {**review, "status": _status(decision)}


def _status(decision: Decision) -> Object:
    status: Object = {"allowed": decision.allowed}
    return status | {"reason": decision.reason} if decision.reason else status


def _attributes(spec: Object, user: User, cluster: str) -> Attributes:
    resource = _mapping(spec, "resourceAttributes")
    if resource is None:
        path = _mapping(spec, "nonResourceAttributes") or {}
        return Attributes(
            user=user,
            verb=path.get("verb") or "",
            cluster=cluster,
            path=path.get("path") or "",
            is_resource=False,
        )
    return Attributes(
        user=user,
        verb=resource.get("verb") or "",
        cluster=cluster,
        group=resource.get("group") or "",
        version=resource.get("version") or "",
        resource=resource.get("resource") or "",
        subresource=resource.get("subresource") or "",
        namespace=resource.get("namespace") or "",
        name=resource.get("name") or "",
    )


def _user(spec: Object, cluster: str) -> User:
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    user = User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)
    return with_home(user, cluster)


def _user_errors(spec: Object) -> list[FieldError]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [field_invalid("spec.user", "", "at least one of user or group must be specified")]


def _attributes_errors(spec: Object) -> list[FieldError]:
    resource, path = _mapping(spec, "resourceAttributes"), _mapping(spec, "nonResourceAttributes")
    if resource is not None and path is not None:
        return [field_invalid(_PATH, path, "cannot be specified in combination with resourceAttributes")]
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [field_invalid(_RESOURCE, None, detail)]
    return []


def _spec(review: Object) -> Object:
    return _mapping(review, "spec") or {}


def _mapping(parent: Mapping[str, Any], key: str) -> Object | None:
    found = parent.get(key)
    return found if isinstance(found, dict) else None

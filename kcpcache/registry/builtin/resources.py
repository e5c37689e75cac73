"""The built-in resources: what is served of each type, and how it is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from kcpcache.meta.columns import Column
from kcpcache.meta.names import (
    GroupResource,
    dns1123_label_errors,
    dns1123_subdomain_errors,
    path_segment_errors,
    split_api_version,
)
from kcpcache.registry.builtin import (
    admissionregistration,
    apiextensions,
    authentication,
    authorization,
    certificates,
    columns,
    coordination,
    core,
    events,
    rbac,
)
from kcpcache.registry.builtin.types import Message

NameErrors: TypeAlias = Callable[[str], list[str]]

ALL_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_NAMESPACE_VERBS: Final = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
_EXTENSIONS: Final = ("api-extensions",)


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource with its verbs; ``schema`` is the type of its bodies."""

    name: str
    verbs: tuple[str, ...]
    schema: Message


@dataclass(frozen=True, slots=True)
class BuiltinResource:
    """One built-in resource, in its version and in older ones that are the same to the field.

    ``field_selectors`` maps what a field selector may name, beyond ``metadata.name`` and
    ``metadata.namespace``, to the path in the object. ``create_only`` are the review kinds: answered, never
    stored. ``stored_as`` names the resource whose store it shares; that is its own for all but
    ``events.k8s.io`` (see ``events.to_core_form``).
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    list_kind: str
    namespaced: bool
    schema: Message
    columns: tuple[Column, ...]
    stored_as: GroupResource
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    field_selectors: tuple[tuple[str, str], ...] = ()
    name_errors: NameErrors = dns1123_subdomain_errors
    create_only: bool = False
    older_versions: tuple[str, ...] = ()

    @property
    def subresource_types(self) -> tuple[Message, ...]:
        """Types of subresource bodies other than the resource's own."""
        return tuple(sub.schema for sub in self.subresources if sub.schema is not self.schema)


def _resource(schema: Message, plural: str, shown: tuple[Column, ...], **more: Any) -> BuiltinResource:
    group, version = split_api_version(schema.api_version)
    namespaced = more.pop("namespaced", False)
    return BuiltinResource(
        group=group,
        version=version,
        plural=plural,
        singular=schema.kind.lower(),
        kind=schema.kind,
        list_kind=f"{schema.kind}List",
        namespaced=namespaced,
        schema=schema,
        columns=shown,
        stored_as=more.pop("stored_as", GroupResource(group, plural)),
        **more,
    )


def _review(schema: Message, *, namespaced: bool = False) -> BuiltinResource:
    found = _resource(schema, f"{schema.kind.lower()}s", columns.NAME_CREATED_AT, namespaced=namespaced)
    return replace(found, list_kind="", verbs=("create",), create_only=True)


def _status(schema: Message, name: str = "status") -> Subresource:
    return Subresource(name, ("get", "patch", "update"), schema)


def _same_paths(*paths: str) -> tuple[tuple[str, str], ...]:
    return tuple((path, path) for path in paths)


_REFERENCE_FIELDS: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _events_columns() -> tuple[Column, ...]:
    """The columns of v1 events over the other form."""

    def over(value: Any) -> Any:
        if not callable(value):
            return value

        def converted(event: Mapping[str, Any], now: datetime) -> Any:
            return value(events.to_core_form(dict(event)), now)

        return converted

    return tuple(replace(column, value=over(column.value)) for column in columns.EVENT)


BUILTIN_RESOURCES: Final[tuple[BuiltinResource, ...]] = (
    _resource(
        core.NAMESPACE,
        "namespaces",
        columns.NAMESPACE,
        short_names=("ns",),
        verbs=_NAMESPACE_VERBS,
        subresources=(Subresource("finalize", ("update",), core.NAMESPACE), _status(core.NAMESPACE)),
        field_selectors=(("name", "metadata.name"), ("status.phase", "status.phase")),
        name_errors=dns1123_label_errors,
    ),
    _resource(core.CONFIG_MAP, "configmaps", columns.CONFIG_MAP, namespaced=True, short_names=("cm",)),
    _resource(core.SECRET, "secrets", columns.SECRET, namespaced=True, field_selectors=_same_paths("type")),
    _resource(
        core.SERVICE_ACCOUNT,
        "serviceaccounts",
        columns.SERVICE_ACCOUNT,
        namespaced=True,
        short_names=("sa",),
        subresources=(Subresource("token", ("create",), authentication.TOKEN_REQUEST),),
    ),
    _resource(
        core.EVENT,
        "events",
        columns.EVENT,
        namespaced=True,
        short_names=("ev",),
        field_selectors=(
            *_same_paths("reason", "type", "reportingComponent"),
            ("source", "source.component"),
            *_same_paths(*(f"involvedObject.{name}" for name in _REFERENCE_FIELDS)),
        ),
    ),
    _resource(
        core.RESOURCE_QUOTA,
        "resourcequotas",
        columns.RESOURCE_QUOTA,
        namespaced=True,
        short_names=("quota",),
        subresources=(_status(core.RESOURCE_QUOTA),),
    ),
    _resource(core.LIMIT_RANGE, "limitranges", columns.NAME_CREATED_AT, namespaced=True, short_names=("limits",)),
    _resource(rbac.ROLE, "roles", columns.NAME_CREATED_AT, namespaced=True, name_errors=path_segment_errors),
    _resource(
        rbac.ROLE_BINDING,
        "rolebindings",
        columns.ROLE_BINDING,
        namespaced=True,
        name_errors=path_segment_errors,
    ),
    _resource(rbac.CLUSTER_ROLE, "clusterroles", columns.NAME_CREATED_AT, name_errors=path_segment_errors),
    _resource(
        rbac.CLUSTER_ROLE_BINDING,
        "clusterrolebindings",
        columns.ROLE_BINDING,
        name_errors=path_segment_errors,
    ),
    _review(authorization.SUBJECT_ACCESS_REVIEW),
    _review(authorization.LOCAL_SUBJECT_ACCESS_REVIEW, namespaced=True),
    _review(authorization.SELF_SUBJECT_ACCESS_REVIEW),
    _review(authorization.SELF_SUBJECT_RULES_REVIEW),
    _review(authentication.TOKEN_REVIEW),
    replace(_review(authentication.SELF_SUBJECT_REVIEW), older_versions=("v1beta1",)),  # for kubectl 1.27's whoami
    _resource(
        apiextensions.CUSTOM_RESOURCE_DEFINITION,
        "customresourcedefinitions",
        columns.NAME_CREATED_AT,
        short_names=("crd", "crds"),
        categories=_EXTENSIONS,
        subresources=(_status(apiextensions.CUSTOM_RESOURCE_DEFINITION),),
    ),
    _resource(coordination.LEASE, "leases", columns.LEASE, namespaced=True),
    _resource(
        events.EVENTS_EVENT,
        "events",
        _events_columns(),
        namespaced=True,
        short_names=("ev",),
        stored_as=GroupResource("", "events"),
        field_selectors=(
            *_same_paths("reason", "type", "reportingController"),
            *_same_paths(*(f"regarding.{name}" for name in _REFERENCE_FIELDS)),
        ),
    ),
    _resource(
        admissionregistration.MUTATING_WEBHOOK_CONFIGURATION,
        "mutatingwebhookconfigurations",
        columns.WEBHOOK_CONFIGURATION,
        categories=_EXTENSIONS,
    ),
    _resource(
        admissionregistration.VALIDATING_WEBHOOK_CONFIGURATION,
        "validatingwebhookconfigurations",
        columns.WEBHOOK_CONFIGURATION,
        categories=_EXTENSIONS,
    ),
    _resource(
        admissionregistration.VALIDATING_ADMISSION_POLICY,
        "validatingadmissionpolicies",
        columns.VALIDATING_ADMISSION_POLICY,
        categories=_EXTENSIONS,
        subresources=(_status(admissionregistration.VALIDATING_ADMISSION_POLICY),),
    ),
    _resource(
        admissionregistration.VALIDATING_ADMISSION_POLICY_BINDING,
        "validatingadmissionpolicybindings",
        columns.VALIDATING_ADMISSION_POLICY_BINDING,
        categories=_EXTENSIONS,
    ),
    _resource(
        certificates.CERTIFICATE_SIGNING_REQUEST,
        "certificatesigningrequests",
        columns.CERTIFICATE_SIGNING_REQUEST,
        short_names=("csr",),
        subresources=(
            _status(certificates.CERTIFICATE_SIGNING_REQUEST, "approval"),
            _status(certificates.CERTIFICATE_SIGNING_REQUEST),
        ),
        field_selectors=_same_paths("spec.signerName"),
    ),
)

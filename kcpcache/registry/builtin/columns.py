"""The columns that kube-apiserver prints for each built-in type, in its order and with its words."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from kcpcache.meta.columns import (
    AGE_COLUMN,
    CREATED_AT_COLUMN,
    NAME_COLUMN,
    UNKNOWN_AGE,
    Column,
    ColumnValue,
    age_since,
    human_duration,
)
from kcpcache.meta.objects import nested

_Obj: TypeAlias = Mapping[str, Any]
_NONE: Final = "<none>"
_UNSET: Final = "<unset>"


def _column(name: str, value: ColumnValue, description: str, *, type_: str = "string", priority: int = 0) -> Column:
    return Column(name, type_, "name" if name == "Name" else "", description, priority, value)


def _count(*fields: str) -> Callable[[_Obj, datetime], int]:
    """A number, whatever the column says that it is: kube's columns of counts say ``string``."""

    def value(obj: _Obj, _now: datetime) -> int:
        return sum(len(obj.get(field) or ()) for field in fields)

    return value


def _path(*steps: str) -> Callable[[_Obj, datetime], str]:
    def value(obj: _Obj, _now: datetime) -> str:
        return str(nested(obj, *steps) or "")

    return value


def _role(binding: _Obj, _now: datetime) -> str:
    ref = binding.get("roleRef") or {}
    return f"{ref.get('kind', '')}/{ref.get('name', '')}"


def _subjects(kind: str) -> Callable[[_Obj, datetime], str]:
    def value(binding: _Obj, _now: datetime) -> str:
        return ", ".join(
            f"{subject.get('namespace', '')}/{subject['name']}" if kind == "ServiceAccount" else subject["name"]
            for subject in binding.get("subjects") or ()
            if subject.get("kind") == kind
        )

    return value


def _quota(*, limits: bool) -> Callable[[_Obj, datetime], str]:
    def value(quota: _Obj, _now: datetime) -> str:
        hard = nested(quota, "status", "hard") or {}
        used = nested(quota, "status", "used") or {}
        return ", ".join(
            f"{name}: {used.get(name, '0')}/{hard[name]}"
            for name in sorted(hard)
            if name.startswith("limits") is limits
        )

    return value


def _requested_duration(request: _Obj, _now: datetime) -> str:
    seconds = nested(request, "spec", "expirationSeconds")
    return human_duration(timedelta(seconds=seconds)) if isinstance(seconds, int) else _NONE


def _request_condition(request: _Obj, _now: datetime) -> str:
    found = {condition.get("type") for condition in nested(request, "status", "conditions") or ()}
    states = [state for state in ("Approved", "Denied", "Failed") if state in found] or ["Pending"]
    if nested(request, "status", "certificate"):
        states.append("Issued")
    return ",".join(states)


def _validations(policy: _Obj, _now: datetime) -> int:
    return len(nested(policy, "spec", "validations") or ())


def _param_kind(policy: _Obj, _now: datetime) -> str:
    kind = nested(policy, "spec", "paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else _UNSET


def _param_ref(binding: _Obj, _now: datetime) -> str:
    ref = nested(binding, "spec", "paramRef")
    if not ref:
        return _UNSET
    namespace, name = ref.get("namespace"), ref.get("name") or "*"
    return f"{namespace}/{name}" if namespace else name


def _first_seen(event: _Obj, now: datetime) -> str:
    found = age_since(event.get("firstTimestamp"), now)
    return age_since(event.get("eventTime"), now) if found == UNKNOWN_AGE else found


def _last_seen(event: _Obj, now: datetime) -> str:
    if event.get("series"):
        return age_since(event["series"].get("lastObservedTime"), now)
    found = age_since(event.get("lastTimestamp"), now)
    return _first_seen(event, now) if found == UNKNOWN_AGE else found


def _event_count(event: _Obj, _now: datetime) -> int:
    series = event.get("series")
    return int(series.get("count", 0) if series else event.get("count") or 1)


def _event_object(event: _Obj, _now: datetime) -> str:
    involved = event.get("involvedObject") or {}
    kind, name = str(involved.get("kind") or "").lower(), involved.get("name")
    return f"{kind}/{name}" if name else kind


def _event_source(event: _Obj, _now: datetime) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance")
    return f"{component}, {host}" if host else component


def _event_message(event: _Obj, _now: datetime) -> str:
    return str(event.get("message") or "").strip()


NAME_AGE: Final = (NAME_COLUMN, AGE_COLUMN)
NAME_CREATED_AT: Final = (NAME_COLUMN, CREATED_AT_COLUMN)

CONFIG_MAP: Final = (
    NAME_COLUMN,
    _column("Data", _count("data", "binaryData"), "Number of items."),
    AGE_COLUMN,
)
SECRET: Final = (
    NAME_COLUMN,
    _column("Type", _path("type"), "What the secret is for."),
    _column("Data", _count("data"), "Number of items."),
    AGE_COLUMN,
)
NAMESPACE: Final = (
    NAME_COLUMN,
    _column("Status", _path("status", "phase"), "Where the namespace is in its life."),
    AGE_COLUMN,
)
SERVICE_ACCOUNT: Final = (
    NAME_COLUMN,
    _column("Secrets", _count("secrets"), "Number of secrets."),
    AGE_COLUMN,
)
RESOURCE_QUOTA: Final = (
    NAME_COLUMN,
    _column("Request", _quota(limits=False), "Use and limit of what is requested."),
    _column("Limit", _quota(limits=True), "Use and limit of limits."),
    AGE_COLUMN,
)
ROLE_BINDING: Final = (
    NAME_COLUMN,
    _column("Role", _role, "The role granted."),
    AGE_COLUMN,
    _column("Users", _subjects("User"), "Users it is granted to.", priority=1),
    _column("Groups", _subjects("Group"), "Groups it is granted to.", priority=1),
    _column("ServiceAccounts", _subjects("ServiceAccount"), "Service accounts it is granted to.", priority=1),
)
LEASE: Final = (
    NAME_COLUMN,
    _column("Holder", _path("spec", "holderIdentity"), "Who holds the lease."),
    AGE_COLUMN,
)
CERTIFICATE_SIGNING_REQUEST: Final = (
    NAME_COLUMN,
    AGE_COLUMN,
    _column("SignerName", _path("spec", "signerName"), "Who is to sign."),
    _column("Requestor", _path("spec", "username"), "Who asked."),
    _column("RequestedDuration", _requested_duration, "Wanted lifetime."),
    _column("Condition", _request_condition, "Approval and outcome."),
)
WEBHOOK_CONFIGURATION: Final = (
    NAME_COLUMN,
    _column("Webhooks", _count("webhooks"), "Number of webhooks."),
    AGE_COLUMN,
)
VALIDATING_ADMISSION_POLICY: Final = (
    NAME_COLUMN,
    _column("Validations", _validations, "Number of rules.", type_="integer"),
    _column("ParamKind", _param_kind, "Kind of the parameters."),
    AGE_COLUMN,
)
VALIDATING_ADMISSION_POLICY_BINDING: Final = (
    NAME_COLUMN,
    _column("PolicyName", _path("spec", "policyName"), "The policy put in force."),
    _column("ParamRef", _param_ref, "The parameters."),
    AGE_COLUMN,
)
EVENT: Final = (
    _column("Last Seen", _last_seen, "Time since it was last seen."),
    _column("Type", _path("type"), "Normal or Warning."),
    _column("Reason", _path("reason"), "Why."),
    _column("Object", _event_object, "The object that it is about."),
    _column("Subobject", _path("involvedObject", "fieldPath"), "Part of the object.", priority=1),
    _column("Source", _event_source, "Who reported it.", priority=1),
    _column("Message", _event_message, "What happened."),
    _column("First Seen", _first_seen, "Time since it was first seen.", priority=1),
    _column("Count", _event_count, "How often it has happened.", priority=1),
    _column("Name", ".metadata.name", "Name of the event.", priority=1),
)

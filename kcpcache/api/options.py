"""Query parameters and DeleteOptions as the registry's options, refused as kube-apiserver refuses them."""

import re
from functools import lru_cache
from json import dumps
from typing import Any, Final, Literal

from kcpcache.api.paths import RequestInfo
from kcpcache.meta.errors import (
    BadRequestError,
    FieldError,
    InvalidError,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
    field_too_long,
)
from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import parse_field_selector, parse_label_selector
from kcpcache.registry.view import DeleteOptions, ListOptions, WriteOptions

_INT64_MAX: Final = 2**63 - 1
_MOST_DIGITS: Final = 19
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_SHOWN_CHARACTERS: Final = 40
_DURATION: Final = re.compile(
    r"[-+]?(?:0|(?:(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:ns|us|µs|μs|ms|s|m|h)){1,20})"
)
_MANAGER_BYTES: Final = 128
_AGENT_CHARACTERS: Final = 256
_NOT_OLDER_THAN: Final = "NotOlderThan"
_MATCHES: Final = ("Exact", _NOT_OLDER_THAN)
_NO_MATCH_AND_CONTINUE: Final = "resourceVersionMatch is forbidden when continue is provided"
_POLICIES: Final = ("Foreground", "Background", "Orphan")
_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")
_LIST_OPTIONS, _DELETE_OPTIONS = "ListOptions", "DeleteOptions"


def _refuse(kind: str, errors: list[FieldError]) -> None:
    if errors:
        raise InvalidError("meta.k8s.io", kind, "", errors)


def number(info: RequestInfo, parameter: str) -> int | None:
    """A number of 64 bits, maybe negative; None where it is not given. Raises BadRequestError."""
    given = info.query.get(parameter)
    if not given:
        return None
    text = given[0]
    why = "" if _INTEGER.fullmatch(text) else "invalid syntax"
    # Python refuses to convert thousands of digits at all: look at the length first.
    if not why and (len(text.lstrip("+-0")) > _MOST_DIGITS or not -_INT64_MAX - 1 <= int(text) <= _INT64_MAX):
        why = "value out of range"
    if why:
        raise BadRequestError(f"strconv.ParseInt: parsing {dumps(text[:_SHOWN_CHARACTERS], ensure_ascii=False)}: {why}")
    return int(text)


def resource_version(text: str) -> str:
    """A resourceVersion that a client named, as it is. Raises BadRequestError where it is not a decimal number."""
    if text and (not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS or int(text) > _INT64_MAX):
        why = "value out of range" if text.isascii() and text.isdigit() else "invalid syntax"
        shown = dumps(text[:_SHOWN_CHARACTERS], ensure_ascii=False)
        parsed = f"resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: {why}"
        raise BadRequestError(f"invalid resource version: {parsed}")
    return text


def check_timeout(info: RequestInfo) -> None:
    """That ``timeout``, which a request other than a watch may carry, is a duration. Raises BadRequestError."""
    text = info.value("timeout")
    if text and not _DURATION.fullmatch(text):
        shown = dumps(text[:_SHOWN_CHARACTERS])
        raise BadRequestError(f"invalid timeout specified in the request URL - time: invalid duration {shown}")


def list_options(info: RequestInfo) -> ListOptions:
    """What a list, watch or deletecollection selects.

    Raises BadRequestError, and InvalidError for parameters that exclude each other (as ``ValidateListOptions``).
    """
    if not info.query:
        return ListOptions(namespace=info.namespace)
    watch = info.verb == "watch"
    match: Any = info.value("resourceVersionMatch")
    version = info.value("resourceVersion")
    token = info.value("continue")
    number(info, "timeoutSeconds")  # must be one where it has no meaning, too, and so must the limit of a watch
    limit = number(info, "limit") or 0
    initial = info.flag("sendInitialEvents")
    if watch:
        _refuse(_LIST_OPTIONS, _watch_errors(match, token, initial=initial is not None))
    else:
        _refuse(_LIST_OPTIONS, _list_errors(match, version, token, initial=initial is not None))
    if token and not watch and version not in {"", "0"}:  # a watch has no pages
        raise BadRequestError("specifying resource version is not allowed when using continue")
    if info.verb == "list" and version == "0" and not token:
        limit = 0  # kube-apiserver answers from its watch cache then, which has no pages
    return ListOptions(
        namespace=info.namespace,
        label_selector=parse_label_selector(info.value("labelSelector")),
        field_selector=parse_field_selector(info.value("fieldSelector")),
        resource_version=resource_version(version),
        resource_version_match=match,
        limit=0 if watch else max(limit, 0),
        continue_token="" if watch else token,
        allow_watch_bookmarks=bool(info.flag("allowWatchBookmarks")),
        send_initial_events=initial,
    )


def _list_errors(match: str, version: str, token: str, *, initial: bool) -> list[FieldError]:
    path, errors = "resourceVersionMatch", []
    if match and not version:
        errors.append(field_forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if match and token:
        errors.append(field_forbidden(path, _NO_MATCH_AND_CONTINUE))
    if match not in {"", *_MATCHES}:
        errors.append(field_not_supported(path, match, [*_MATCHES, ""]))
    if match == "Exact" and version == "0":
        errors.append(field_forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if initial:
        errors.append(field_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def _watch_errors(match: str, token: str, *, initial: bool) -> list[FieldError]:
    path, errors = "resourceVersionMatch", []
    if initial and match != _NOT_OLDER_THAN:
        why = f"sendInitialEvents requires setting resourceVersionMatch to {_NOT_OLDER_THAN}"
        errors.append(field_forbidden(path, why))
    if match and not initial:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        errors.append(field_forbidden(path, why))
    if match not in {"", _NOT_OLDER_THAN}:
        errors.append(field_not_supported(path, match, [_NOT_OLDER_THAN]))
    if match and token:
        errors.append(field_forbidden(path, _NO_MATCH_AND_CONTINUE))
    return errors


def write_options(
    info: RequestInfo, user_agent: str, *, apply: bool = False, warnings: list[str] | None = None
) -> WriteOptions:
    """How to write. The field manager is that of the query, else the client's name in ``User-Agent``.

    ``apply``: for a server-side apply, which must name its manager. ``warnings`` takes what the write warns of, also
    of one that is refused. Raises InvalidError.
    """
    found = [] if warnings is None else warnings
    kind = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}.get(
        info.verb, "CreateOptions"
    )
    if not info.query and not apply:
        return WriteOptions(
            field_manager=_manager_of(user_agent[:_AGENT_CHARACTERS]), field_validation="Warn", warnings=found
        )
    errors: list[FieldError] = []
    manager = info.value("fieldManager")
    if apply and not manager:
        errors.append(field_required("fieldManager", "is required for apply patch"))
    if info.verb == "patch" and not apply and info.flag("force") is not None:
        errors.append(field_forbidden("force", "may not be specified for non-apply patch"))
    errors += _manager_errors(manager)
    errors += _dry_run_errors(info.query.get("dryRun") or [])
    validation: Any = info.value("fieldValidation")
    if validation not in _VALIDATIONS:
        errors.append(field_not_supported("fieldValidation", validation, _VALIDATIONS))
    _refuse(kind, errors)
    return WriteOptions(
        dry_run=bool(info.value("dryRun")),
        field_manager=manager or _manager_of(user_agent[:_AGENT_CHARACTERS]),
        field_validation=validation or "Warn",
        applied=apply,
        warnings=found,
    )


def _manager_errors(manager: str) -> list[FieldError]:
    if manager.isascii() and manager.isprintable() and len(manager) <= _MANAGER_BYTES:
        return []
    errors, position = [], 0
    if len(manager.encode()) > _MANAGER_BYTES:
        errors.append(field_too_long("fieldManager", _MANAGER_BYTES))
    for character in manager[:_MANAGER_BYTES]:
        if not character.isprintable():
            why = f"invalid character U+{ord(character):04X} (at position {position})"
            errors.append(field_invalid("fieldManager", manager, why))
        position += len(character.encode())
    return errors


def _dry_run_errors(values: list[Any]) -> list[FieldError]:
    if all(value == "All" for value in values):
        return []
    shown = ", ".join(dumps(value, ensure_ascii=False) for value in values)
    why = f'Unsupported value: []string{{{shown}}}: supported values: "All"'
    return [FieldError("FieldValueNotSupported", "dryRun", why)]


@lru_cache(maxsize=1024)
def _manager_of(user_agent: str) -> str:
    """What kube calls ``prefixFromUserAgent``: what is before the slash, as far as it is printable."""
    name = user_agent.partition("/")[0].strip()
    return "".join(c for c in name if c.isprintable()).encode()[:_MANAGER_BYTES].decode(errors="ignore") or "unknown"


def delete_options(info: RequestInfo, body: Object, *, warnings: list[str] | None = None) -> DeleteOptions:
    """How to delete: a ``DeleteOptions`` body ({} where there is none), completed by the query.

    ``warnings`` takes what the deletion warns of. Raises InvalidError and BadRequestError.
    """
    kind = body.get("kind")
    if kind not in (None, "", _DELETE_OPTIONS):  # no set: what a body says may be unhashable
        raise BadRequestError(f'the body of a delete must be of kind {_DELETE_OPTIONS}, not "{kind}"')
    preconditions = body.get("preconditions")
    preconditions = preconditions if isinstance(preconditions, dict) else {}
    dry_run = body.get("dryRun") or info.query.get("dryRun") or []
    errors: list[FieldError] = []
    policy: Any = body.get("propagationPolicy") or info.value("propagationPolicy")
    orphan = body.get("orphanDependents", info.flag("orphanDependents"))
    if policy and orphan is not None:
        errors.append(
            field_invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set")
        )
    if policy and policy not in _POLICIES:
        errors.append(field_not_supported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    errors += _dry_run_errors(dry_run if isinstance(dry_run, list) else [dry_run])
    _refuse(_DELETE_OPTIONS, errors)
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    grace = body.get("gracePeriodSeconds", number(info, "gracePeriodSeconds"))
    return DeleteOptions(
        dry_run=bool(dry_run),
        propagation_policy=policy,
        uid=_text(preconditions, "uid"),
        resource_version=_text(preconditions, "resourceVersion"),
        grace_period_seconds=grace if isinstance(grace, int) else None,
        warnings=[] if warnings is None else warnings,
    )


def _text(preconditions: Object, key: str) -> str:
    value = preconditions.get(key) or ""
    if not isinstance(value, str):
        raise BadRequestError(f"preconditions.{key} must be a string")
    return value


IncludeObject = Literal["Metadata", "None", "Object"]


def include_object(info: RequestInfo) -> IncludeObject:
    """What the rows of a Table carry. Raises BadRequestError."""
    match info.value("includeObject"):
        case "" | "Metadata":
            return "Metadata"
        case "None":
            return "None"
        case "Object":
            return "Object"
        case other:
            raise BadRequestError(f"unrecognized includeObject value: {dumps(other[:_SHOWN_CHARACTERS])}")

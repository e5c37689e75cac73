"""Names of resources and objects, and what Kubernetes allows in them."""

import re
from functools import lru_cache
from typing import Final, NamedTuple


class GroupResource(NamedTuple):
    """``cpuflavors`` in ``cloud.example.com``; the core group is ""."""

    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


class GroupVersionResource(NamedTuple):
    """A resource in one of its API versions."""

    group: str
    version: str
    resource: str

    @property
    def group_resource(self) -> GroupResource:
        """Without the version."""
        return GroupResource(self.group, self.resource)

    @property
    def api_version(self) -> str:
        """What ``apiVersion`` says: ``group/version``, or ``v1``."""
        return api_version(self.group, self.version)

    def __str__(self) -> str:
        return f"{self.resource}.{self.version}.{self.group}" if self.group else f"{self.resource}.{self.version}"


def api_version(group: str, version: str) -> str:
    """``group/version``, or the bare version for the core group."""
    return f"{group}/{version}" if group else version


def split_api_version(value: str) -> tuple[str, str]:
    """The inverse of ``api_version``."""
    group, slash, version = value.rpartition("/")
    return (group, version) if slash else ("", value)


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS1123_LABEL = re.compile(_LABEL)
_DNS1123_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DNS1035_LABEL = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LOGICAL_CLUSTER_PATH = re.compile(rf"{_LABEL}(:{_LABEL})*")
_SPECIAL_PATH = re.compile(r"(system|user):[^/%\x00-\x1f\x7f-\x9f]+")
"""System clusters, and home workspaces: these are named by users, who may have any name."""

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_DNS1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_LABEL_BYTES, _SUBDOMAIN_BYTES, _REMEMBERED_BYTES = 63, 253, 317


def dns1123_label_errors(value: str) -> list[str]:
    """What is wrong with ``value`` as a DNS label, in kube's words; empty where nothing is."""
    errors = [f"must be no more than {_LABEL_BYTES} characters"] if len(value) > _LABEL_BYTES else []
    if _DNS1123_LABEL.fullmatch(value):
        return errors
    return [*errors, "must not contain dots" if _DNS1123_SUBDOMAIN.fullmatch(value) else _LABEL_TEXT]


def dns1123_subdomain_errors(value: str) -> list[str]:
    """What is wrong with ``value`` as a DNS subdomain, in kube's words; empty where nothing is."""
    errors = [f"must be no more than {_SUBDOMAIN_BYTES} characters"] if len(value) > _SUBDOMAIN_BYTES else []
    return errors if _DNS1123_SUBDOMAIN.fullmatch(value) else [*errors, _SUBDOMAIN_TEXT]


def dns1035_label_errors(value: str) -> list[str]:
    """What is wrong with ``value`` as a label that starts with a letter, such as a resource's or version's name."""
    errors = [f"must be no more than {_LABEL_BYTES} characters"] if len(value) > _LABEL_BYTES else []
    return errors if _DNS1035_LABEL.fullmatch(value) else [*errors, _DNS1035_TEXT]


def kind_errors(value: str) -> list[str]:
    """What is wrong with ``value`` as a kind."""
    errors = dns1035_label_errors(value.lower())
    return [f"may have mixed case, but should otherwise match: {','.join(errors)}"] if errors else []


def path_segment_errors(value: str) -> list[str]:
    """What keeps ``value`` from being a path segment (RBAC names may be anything else).

    Unlike Kubernetes' names these have no control characters either: no storage key could hold them.
    """
    if value in {".", ".."}:
        return [f"may not be '{value}'"]
    errors = [f"may not contain '{bad}'" for bad in "/%" if bad in value]
    return [*errors, "may not contain control characters"] if _CONTROL.search(value) else errors


def qualified_name_errors(value: str) -> list[str]:
    """What is wrong with ``value`` as a label or annotation key (``prefix/name``)."""
    return [] if len(value) <= _REMEMBERED_BYTES and _is_qualified_name(value) else _qualified_name_errors(value)


@lru_cache(maxsize=4096)
def _is_qualified_name(value: str) -> bool:
    """The same few keys come again and again."""
    return not _qualified_name_errors(value)


def _qualified_name_errors(value: str) -> list[str]:
    prefix, slash, name = value.rpartition("/")
    errors: list[str] = []
    if slash:
        if "/" in prefix:
            return [
                "a qualified name " + _QUALIFIED_TEXT.removeprefix("name part ") + " with an optional DNS "
                "subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ]
        if not prefix:
            errors.append("prefix part must be non-empty")
        else:
            errors += [f"prefix part {error}" for error in dns1123_subdomain_errors(prefix)]
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > _LABEL_BYTES:
        errors.append(f"name part must be no more than {_LABEL_BYTES} characters")
    if not _QUALIFIED_NAME.fullmatch(name):
        errors.append(_QUALIFIED_TEXT)
    return errors


def label_value_errors(value: str) -> list[str]:
    """What is wrong with ``value`` as a label's value."""
    errors = [f"must be no more than {_LABEL_BYTES} characters"] if len(value) > _LABEL_BYTES else []
    return errors if not value or _QUALIFIED_NAME.fullmatch(value) else [*errors, _VALUE_TEXT]


def is_logical_cluster_path(value: str) -> bool:
    """Whether ``value`` can be a workspace path (``root:org:ws``) or a logical cluster's name."""
    return (_LOGICAL_CLUSTER_PATH.fullmatch(value) or _SPECIAL_PATH.fullmatch(value)) is not None


_VERSION: Final = re.compile(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?")
_STAGES: Final = {None: 0, "beta": 1, "alpha": 2}


def version_order(name: str) -> tuple[int, int, int, str]:
    """Kubernetes' order of versions as a sort key: ``v2``, ``v1``, ``v2beta1``, ``v1alpha2``, …, then by text."""
    found = _VERSION.fullmatch(name)
    if found is None:
        return (3, 0, 0, name)
    return (_STAGES[found[2]], -int(found[1]), -int(found[3] or 0), name)

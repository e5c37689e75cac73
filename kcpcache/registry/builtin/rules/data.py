"""Rules of ConfigMaps and Secrets, after kube's ``ValidateConfigMap`` and ``ValidateSecret``."""

import base64
import re
from typing import Any, Final

import orjson

from kcpcache.meta.errors import REDACTED, FieldError, field_invalid, field_required, field_too_long, field_type_invalid
from kcpcache.meta.objects import Object, annotations_of, metadata
from kcpcache.registry.builtin.rules.rule import Rules, entries, frozen, immutable, invalid, section, text

MAX_DATA_BYTES: Final = 1024 * 1024
SERVICE_ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"
_MAX_KEY_BYTES: Final = 253
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_TEXT: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_REQUIRED_KEYS: Final = {
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_JSON_KEYS: Final = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def key_errors(key: str) -> list[str]:
    """What is wrong with a key of ``data``, in kube's words."""
    errors = [f"must be no more than {_MAX_KEY_BYTES} characters"] if len(key) > _MAX_KEY_BYTES else []
    if not _KEY.fullmatch(key):
        errors.append(_KEY_TEXT)
    if key in {".", ".."}:
        errors.append(f"must not be '{key}'")
    elif key.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def _decoded(value: Any) -> bytes | None:
    """The bytes of a base64 item; None where it is none. Go ignores line breaks."""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError:
        return None


def _items(obj: Object, field: str) -> tuple[dict[str, bytes], list[FieldError]]:
    """The decoded binary items, and what is wrong with them."""
    found: dict[str, bytes] = {}
    errors: list[FieldError] = []
    for key, value in entries(obj, field):
        errors += invalid(f"{field}[{key}]", key, key_errors(key))
        decoded = _decoded(value)
        if decoded is None:
            errors.append(field_type_invalid(f"{field}[{key}]", REDACTED, "illegal base64 data"))
        else:
            found[key] = decoded
    return found, errors


def _validate_config_map(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    size = 0
    binary, binary_errors = _items(obj, "binaryData")
    for key, value in entries(obj, "data"):
        errors += invalid(f"data[{key}]", key, key_errors(key))
        if key in section(obj, "binaryData"):
            errors.append(field_invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += len(str(value).encode())
    errors += binary_errors
    if size + sum(map(len, binary.values())) > MAX_DATA_BYTES:
        errors.append(field_too_long("[]", MAX_DATA_BYTES))
    return errors


def _update_config_map(obj: Object, old: Object) -> list[FieldError]:
    return frozen(obj, old, "data", "binaryData")


def _default_secret(obj: Object) -> None:
    """``stringData`` goes into ``data``, where it wins; the type is Opaque unless given.

    Data that is none stays, to be refused: kube-apiserver decodes it before anything is put in its place.
    """
    plain = obj.get("stringData") or {}
    texts_only = isinstance(plain, dict) and all(isinstance(value, str | None) for value in plain.values())
    if texts_only:  # else it stays, and the schema refuses it
        obj.pop("stringData", None)
    if texts_only and plain:
        data = obj["data"] = {} if obj.get("data") is None else obj["data"]
        for key, value in plain.items() if isinstance(data, dict) else ():
            if data.get(key) is None or _decoded(data[key]) is not None:
                data[key] = base64.b64encode((value or "").encode()).decode()
    if not obj.get("type"):
        obj["type"] = "Opaque"


def _validate_secret(obj: Object) -> list[FieldError]:
    data, errors = _items(obj, "data")
    if sum(map(len, data.values())) > MAX_DATA_BYTES:
        errors.append(field_too_long("data", MAX_DATA_BYTES))
    return errors + _secret_type_errors(obj, text(obj, "type"), data)


def _secret_type_errors(obj: Object, kind: str, data: dict[str, bytes]) -> list[FieldError]:
    """What the well-known types ask for; all other types may hold anything."""
    if kind == "kubernetes.io/service-account-token":
        has_account = isinstance(metadata(obj).get("annotations"), dict) and annotations_of(obj).get(
            SERVICE_ACCOUNT_NAME
        )
        return [] if has_account else [field_required(f"metadata.annotations[{SERVICE_ACCOUNT_NAME}]")]
    if kind == "kubernetes.io/basic-auth":
        if "username" in data or "password" in data:
            return []
        return [field_required("data[username]"), field_required("data[password]")]
    if key := _JSON_KEYS.get(kind):
        return _json_errors(key, data)
    if kind == "kubernetes.io/tls":
        return [field_required(f"data[{key}]") for key in _REQUIRED_KEYS[kind] if key not in data]
    return [field_required(f"data[{key}]") for key in _REQUIRED_KEYS.get(kind, ()) if not data.get(key)]


def _json_errors(key: str, data: dict[str, bytes]) -> list[FieldError]:
    if key not in data:
        return [field_required(f"data[{key}]")]
    try:
        parsed = orjson.loads(data[key])
    except orjson.JSONDecodeError as error:
        return [field_invalid(f"data[{key}]", REDACTED, error.msg)]
    return [] if isinstance(parsed, dict) else [field_invalid(f"data[{key}]", REDACTED, "must be a JSON object")]


def _update_secret(obj: Object, old: Object) -> list[FieldError]:
    return immutable("type", obj.get("type"), old.get("type")) + frozen(obj, old, "data")


CONFIG_MAP: Final = Rules(validate=_validate_config_map, validate_update=_update_config_map)
SECRET: Final = Rules(default=_default_secret, validate=_validate_secret, validate_update=_update_secret)

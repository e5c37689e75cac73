"""Rules of ``spec.conversion``, of CustomResourceDefinitions and of APIResourceSchemas.

Rules and texts follow the validation of Kubernetes' apiextensions.k8s.io/v1; field paths are those of v1.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid, field_not_supported, field_required
from kcpcache.meta.go_values import go_value
from kcpcache.meta.names import dns1123_subdomain_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import section, text, texts, version_name_errors, whole
from kcpcache.schema.values import shown

_STRATEGIES: Final = ("None", "Webhook")
_REVIEW_VERSIONS: Final = ("v1", "v1beta1")
_PEM_BLOCK: Final = re.compile(rb"(-----BEGIN ([A-Z0-9 ]+)-----\r?\n[^-]*-----END \2-----)")
_NO_AUTHORITY: Final = "no valid certificate authority data seen"
_MOST_SHOWN_BYTES: Final = 64
_NOT_IN_HOSTS: Final = frozenset(" {}|\\^`")
_MAX_PORT: Final = 65535


def choice_errors(path: str, value: str, choices: tuple[str, ...]) -> list[FieldError]:
    """That a choice was made, and of these."""
    if not value:
        return [field_required(path)]
    return [] if value in choices else [field_not_supported(path, value, choices)]


def conversion_errors(conversion: Object, path: str, *, services: bool = True) -> Iterator[FieldError]:
    """``services``: whether the webhook may be a Service. Without a conversion there is nothing to say."""
    if not conversion:
        return
    strategy = text(conversion, "strategy")
    yield from choice_errors(f"{path}.strategy", strategy, _STRATEGIES)
    webhook = section(conversion, "webhook")
    if strategy != "Webhook":
        why = "should not be set when strategy is not set to Webhook"
        if webhook.get("clientConfig") is not None:
            yield field_forbidden(f"{path}.webhook.clientConfig", why)
        if webhook.get("conversionReviewVersions"):
            yield field_forbidden(f"{path}.webhook.conversionReviewVersions", why)
        return
    if not isinstance(webhook.get("clientConfig"), dict):
        yield field_required(f"{path}.webhook.clientConfig", "required when strategy is set to Webhook")
    else:
        yield from _client_errors(webhook["clientConfig"], f"{path}.webhook.clientConfig", services=services)
    yield from _review_version_errors(webhook, f"{path}.webhook.conversionReviewVersions")


def _client_errors(client: Object, path: str, *, services: bool) -> Iterator[FieldError]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield field_required(path, "exactly one of url or service is required" if services else "url is required")
    elif url is not None:
        yield from _url_errors(text(client, "url"), f"{path}.url")
    else:
        for key in ("name", "namespace"):
            if not text(section(service), key):
                yield field_required(f"{path}.service.{key}", f"service {key} is required")
        port = whole(section(service), "port")
        if port is not None and not 1 <= port <= _MAX_PORT:
            yield field_invalid(
                f"{path}.service.port", port, "port is not valid: must be between 1 and 65535, inclusive"
            )
        yield from _service_path_errors(text(section(service), "path"), f"{path}.service.path")


def _service_path_errors(value: str, path: str) -> Iterator[FieldError]:
    if not value or value == "/":
        return
    if not value.startswith("/"):
        yield field_invalid(path, value, "must start with a '/'")
    steps = value[1:].removesuffix("/").split("/")
    for index, step in enumerate(steps):
        if not step:
            yield field_invalid(path, value, f"segment[{index}] may not be empty")
            continue
        for error in dns1123_subdomain_errors(step):
            yield field_invalid(path, value, f"segment[{index}]: {error}")


def _url_errors(url: str, path: str) -> Iterator[FieldError]:
    form = "desired format: https://host[/path]"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        yield field_required(path, f"url must be a valid URL: {error}; {form}")
        return
    if bad := next((char for char in parts.netloc if char in _NOT_IN_HOSTS), ""):
        why = f"parse {shown(url)}: invalid character {shown(bad)} in host name"
        yield field_required(path, f"url must be a valid URL: {why}; {form}")
        return
    if parts.scheme != "https":
        yield field_invalid(path, parts.scheme, f"'https' is the only allowed URL scheme; {form}")
    if not host:
        yield field_invalid(path, parts.netloc, f"host must be specified; {form}")
    if parts.username is not None:
        yield field_invalid(path, "…", "user information is not permitted in the URL")
    for what, value in (("query parameters", parts.query), ("fragments", parts.fragment)):
        if value:
            yield field_invalid(path, value, f"{what} are not permitted in the URL")


def _review_version_errors(webhook: Object, path: str) -> Iterator[FieldError]:
    versions = texts(webhook, "conversionReviewVersions")
    if not versions:
        yield field_required(path)
        return
    yield from version_name_errors(versions, path)
    if not set(versions) & set(_REVIEW_VERSIONS):
        why = f"must include at least one of {', '.join(_REVIEW_VERSIONS)}"
        yield FieldError("FieldValueInvalid", path, f"Invalid value: {go_value(versions)}: {why}")


def ca_bundle_errors(conversion: Object, before: Object, path: str) -> Iterator[FieldError]:
    """The authorities of the webhook of a definition that is established must be such, unless they were not before."""
    bundle, old = (section(one, "webhook", "clientConfig").get("caBundle") for one in (conversion, before))
    if text(conversion, "strategy") != "Webhook" or not bundle or (old and _bundle_error(old)):
        return
    if why := _bundle_error(bundle):
        shown = ", ".join(f"0x{byte:02x}" for byte in _decoded(bundle)[:_MOST_SHOWN_BYTES])
        detail = f"Invalid value: []byte{{{shown}}}: unable to load root certificates: {why}"
        yield FieldError("FieldValueInvalid", f"{path}.webhook.clientConfig.caBundle", detail)


def _decoded(bundle: object) -> bytes:
    try:
        return base64.b64decode(str(bundle))
    except (binascii.Error, ValueError):
        return b""


def _bundle_error(bundle: object) -> str:
    """Why a bundle holds no certificate; "" where it does."""
    from cryptography import x509

    blocks = _PEM_BLOCK.findall(_decoded(bundle))
    if not blocks:
        return "unable to parse bytes as PEM block"
    certificates = [block for block, kind in blocks if kind == b"CERTIFICATE"]
    for block in certificates:
        try:
            x509.load_pem_x509_certificate(block)
        except (ValueError, x509.InvalidVersion):
            continue
        return ""
    return "failed to parse certificate: x509: malformed certificate" if certificates else _NO_AUTHORITY

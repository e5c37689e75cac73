"""``kubectl kcp crd snapshot``: CustomResourceDefinitions as the APIResourceSchemas that an APIExport can name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kcpcache.client import yaml_text
from kcpcache.kubectl import commands
from kcpcache.kubectl.session import CommandError, Session
from kcpcache.meta.names import dns1123_subdomain_errors
from kcpcache.meta.objects import Object

_VERSION_FIELDS = ("deprecated", "deprecationWarning", "additionalPrinterColumns", "selectableFields")


def snapshot(session: Session, command: commands.Snapshot) -> None:
    """Print an APIResourceSchema for each definition in the file, a ``---`` after each. Raises CommandError."""
    try:
        text = session.stdin.read() if command.filename == "-" else Path(command.filename).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"error opening {command.filename}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{command.filename} is not UTF-8") from None
    for definition in definitions(text):
        schema = api_resource_schema(definition, command.prefix)
        if command.output == "json":
            session.say(json.dumps(schema) + "\n---")
        else:
            session.say(f"{yaml_text.dump(schema)}\n---")


def definitions(text: str) -> Iterator[Object]:
    """The CustomResourceDefinitions in YAML or JSON, those of lists included. Raises CommandError for all else."""
    try:
        documents = yaml_text.load_documents(text)
    except yaml_text.YamlError as error:
        raise CommandError(f"not YAML: {yaml_text.one_line(error)}") from None
    opened: set[int] = set()
    while documents:
        document = documents.pop(0)
        kind = str(document.get("kind")) if isinstance(document, dict) else type(document).__name__
        if kind in {"List", "CustomResourceDefinitionList"}:
            if id(document) in opened:
                raise CommandError(f"a {kind} that contains itself, or comes twice, cannot be taken apart")
            opened.add(id(document))
            documents = [*_listed(document, "items"), *documents]
        elif kind == "CustomResourceDefinition" and document.get("apiVersion") == "apiextensions.k8s.io/v1":
            yield document
        else:
            raise CommandError(f"unexpected type for CRD {kind}: an apiextensions.k8s.io/v1 one is needed")


def api_resource_schema(definition: Object, prefix: str) -> Object:
    """The APIResourceSchema ``<prefix>.<definition's name>``. Raises CommandError for what kcp cannot take over."""
    spec, crd = _part(definition, "spec"), _part(definition, "metadata").get("name", "")
    name = f"{prefix}.{crd}"
    if errors := dns1123_subdomain_errors(name):
        raise CommandError(f"error converting CRD: metadata.name: Invalid value: {name!r}: {'; '.join(errors)}")
    versions = _listed(spec, "versions")
    conversion = _conversion(_part(spec, "conversion"))
    if len(versions) > 1 and conversion is None:
        raise CommandError(f"error converting CRD: multiple versions specified for {crd} but no conversion strategy")
    return {
        "apiVersion": "apis.kcp.io/v1alpha1",
        "kind": "APIResourceSchema",
        "metadata": {"name": name},
        "spec": {
            **({"conversion": conversion} if conversion else {}),
            "group": spec.get("group", ""),
            "names": _part(spec, "names"),
            "scope": spec.get("scope", ""),
            "versions": [_version(version) for version in versions],
        },
    }


def _part(of: Object, field: str) -> Object:
    """An object within another; {} where it is not set."""
    found = of.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise CommandError(f"error converting CRD: {field}: Invalid value: must be an object")
    return found


def _listed(of: Object, field: str) -> list[Any]:
    found = of.get(field)
    if found is None:
        return []
    if not isinstance(found, list):
        raise CommandError(f"error converting CRD: {field}: Invalid value: must be a list")
    return found


def _conversion(given: Object) -> Object | None:
    if not given:
        return None
    if given.get("strategy") != "Webhook":
        return {"strategy": given.get("strategy", "")}
    webhook = _part(given, "webhook")
    client = _part(webhook, "clientConfig")
    if client.get("service"):
        raise CommandError("error converting CRD: webhooks that refer to services are not supported, use a URL instead")
    if not client.get("url"):
        raise CommandError("error converting CRD: webhooks URL must be set")
    kept = {key: client[key] for key in ("url", "caBundle") if key in client}
    reviews = webhook.get("conversionReviewVersions") or []
    return {"strategy": "Webhook", "webhook": {"clientConfig": kept, "conversionReviewVersions": reviews}}


def _version(version: Any) -> Object:
    if not isinstance(version, dict):
        raise CommandError("error converting CRD: versions: Invalid value: each must be an object")
    kept = {field: version[field] for field in _VERSION_FIELDS if field in version}
    return {
        "name": version.get("name", ""),
        "served": version.get("served", False),
        "storage": version.get("storage", False),
        **kept,
        "schema": _part(_part(version, "schema"), "openAPIV3Schema"),
        "subresources": _part(version, "subresources"),
    }

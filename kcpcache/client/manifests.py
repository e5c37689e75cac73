"""Manifests: objects in files, and the order in which they can be applied."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kcpcache.client import yaml_text
from kcpcache.meta.objects import Object

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_FIRST = ("Namespace", "CustomResourceDefinition", "APIResourceSchema", "APIExport", "APIBinding")
_LISTS = "List"


class ManifestError(Exception):
    """A file that holds no manifests; one line that says where and why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object, and where it was written: the file and its place in it, from 0."""

    obj: Object
    file: Path
    index: int

    def __str__(self) -> str:
        return f"{self.obj['kind']} {self.obj['metadata']['name']} ({self.file})"


def files_below(directory: Path) -> list[Path]:
    """All manifest files of a tree, by path; hidden ones are left out."""
    found = (path for path in directory.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(directory).parts))


def read_manifests(file: Path, text: str | None = None) -> list[Manifest]:
    """The objects of a file, or of ``text`` in its place, those of lists included. Raises ManifestError."""
    try:
        content = file.read_text(encoding="utf-8") if text is None else text
        documents = yaml_text.load_documents(content)
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{file} cannot be read: {error}") from None
    except yaml_text.YamlError as error:
        raise ManifestError(f"{file} is not YAML: {yaml_text.one_line(error)}") from None
    try:
        return [Manifest(obj, file, index) for index, obj in enumerate(_objects(documents, file))]
    except RecursionError:
        raise ManifestError(f"{file} holds a list that contains itself, or lists too deep in each other") from None


def _objects(documents: Iterable[Any], file: Path) -> Iterator[Object]:
    for document in documents:
        if isinstance(document, dict) and str(document.get("kind", "")).endswith(_LISTS) and "items" in document:
            items = document["items"] or []
            if not isinstance(items, list):
                raise ManifestError(f"{file} holds a {document['kind']} whose items are no list")
            yield from _objects(items, file)
            continue
        given = document if isinstance(document, dict) else {}
        metadata = given.get("metadata")
        if not all(isinstance(given.get(name), str) and given[name] for name in ("apiVersion", "kind")):
            raise ManifestError(f"{file} holds something without apiVersion and kind")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise ManifestError(f"{file} holds a {given['kind']} without metadata.name")
        yield given


def in_order(manifests: Iterable[Manifest]) -> list[Manifest]:
    """What others need comes first: namespaces, definitions, schemas, exports, bindings; the rest as it came."""
    return sorted(manifests, key=lambda manifest: _rank(manifest.obj))


def _rank(obj: Object) -> int:
    return _FIRST.index(obj["kind"]) if obj["kind"] in _FIRST else len(_FIRST)

"""Kubeconfig files as kubectl reads and edits them: several files as one, unknown fields kept, edits under a lock.

Rules: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files"; client-go's ``tools/clientcmd``.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kcpcache.client import yaml_text
from kcpcache.meta.objects import Object
from kcpcache.private_files import write_atomically

LOCK_SECONDS = 5.0
_LOCK_POLL_SECONDS = 0.05
_KINDS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_PATH_FIELDS = {"clusters": ("certificate-authority",), "users": ("client-certificate", "client-key", "tokenFile")}
_PRIVATE = 0o600


class KubeconfigError(Exception):
    """A kubeconfig that cannot be used; one line that says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One named cluster, context or user: what it says, and the file that says it."""

    body: Object
    origin: Path

    def path(self, name: str) -> Path | None:
        """A field that names a file, seen from the kubeconfig's directory; None where it is not set."""
        value = self.body.get(name)
        return self.origin.parent / str(value) if value else None


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """All files as one: of entries with one name, and of current contexts, the first counts."""

    clusters: Mapping[str, Entry]
    contexts: Mapping[str, Entry]
    users: Mapping[str, Entry]
    current_context: str
    files: tuple[Path, ...]
    default_file: Path
    """Where the current context is written: the first of the files that exists."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be changed: whole entries by name, and the current context where it is not None.

    An entry's origin says where a new one goes: to the file of the one it was made from.
    """

    clusters: Mapping[str, Entry] = field(default_factory=dict)
    contexts: Mapping[str, Entry] = field(default_factory=dict)
    current_context: str | None = None


def kubeconfig_files(explicit: str, environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """The files in order: ``--kubeconfig``, else those of ``$KUBECONFIG``, else ``~/.kube/config``."""
    if explicit:
        return (Path(explicit),)
    listed = dict.fromkeys(part for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part)
    return tuple(Path(part) for part in listed) or (home / ".kube" / "config",)


def load_kubeconfig(files: tuple[Path, ...], *, explicit: bool = False) -> Kubeconfig:
    """Read the files; one that is missing counts as empty, unless it was named by flag. Raises KubeconfigError."""
    documents = {file: document for file in files if (document := _read(file)) is not None}
    if explicit and not documents:
        raise KubeconfigError(f"{files[0]} does not exist: name another file with --kubeconfig")
    merged: dict[str, dict[str, Entry]] = {kind: {} for kind in _KINDS}
    current_context = ""
    for file, document in documents.items():
        current_context = current_context or str(document.get("current-context") or "")
        for kind, entries in merged.items():
            for name, body in _entries(document, kind, file):
                entries.setdefault(name, Entry(body, file))
    return Kubeconfig(
        **merged, current_context=current_context, files=files, default_file=next(iter(documents), files[0])
    )


def write_edit(
    config: Kubeconfig,
    edit: Edit,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make the changes, each in the file it belongs to, with all files locked as kubectl locks them.

    What others changed since ``config`` was read stays; a file keeps its mode, and is replaced as a whole.
    Raises KubeconfigError where a lock is not given back in time, or a file cannot be written.
    """
    with contextlib.ExitStack() as locks:
        for file in sorted({*config.files, *_destinations(config, edit)}):
            locks.enter_context(_locked(file, now, sleep))
        for file in sorted(_destinations(config, edit)):
            document = _read(file) or {"apiVersion": "v1", "kind": "Config"}
            for kind in ("clusters", "contexts"):
                for name, entry in getattr(edit, kind).items():
                    if _destination(config, kind, name, entry) == file:
                        _put(document, kind, name, _seen_from(file, kind, entry))
            if edit.current_context is not None and file == config.default_file:
                document["current-context"] = edit.current_context
            _write(file, document)


def _destinations(config: Kubeconfig, edit: Edit) -> set[Path]:
    found = {
        _destination(config, kind, name, entry)
        for kind in ("clusters", "contexts")
        for name, entry in getattr(edit, kind).items()
    }
    return found | ({config.default_file} if edit.current_context is not None else set())


def _destination(config: Kubeconfig, kind: str, name: str, entry: Entry) -> Path:
    existing: Entry | None = getattr(config, kind).get(name)
    return existing.origin if existing else entry.origin


def _seen_from(file: Path, kind: str, entry: Entry) -> Object:
    """The entry's body with its relative paths made absolute where it goes to another directory."""
    if file.parent == entry.origin.parent:
        return entry.body
    paths = {name: str(path.absolute()) for name in _PATH_FIELDS.get(kind, ()) if (path := entry.path(name))}
    return entry.body | paths


def _put(document: Object, kind: str, name: str, body: Object) -> None:
    entries = document.get(kind) or []
    for entry in entries:
        if isinstance(entry, dict) and entry.get("name") == name:
            entry[_KINDS[kind]] = body
            return
    document[kind] = [*entries, {"name": name, _KINDS[kind]: body}]


def _entries(document: Object, kind: str, file: Path) -> Iterator[tuple[str, Object]]:
    entries = document.get(kind) or []
    if not isinstance(entries, list):
        raise KubeconfigError(f"{file}: {kind} is not a list")
    for entry in entries:
        body = entry.get(_KINDS[kind]) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(body or {}, dict) or "name" not in entry:
            raise KubeconfigError(f"{file}: an entry of {kind} is not a name with a {_KINDS[kind]}")
        yield str(entry["name"]), body or {}


def _read(file: Path) -> Object | None:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KubeconfigError(f"{file} cannot be read: {error.strerror}") from None
    try:
        document: Any = next(iter(yaml_text.load_documents(content)), {})
    except (yaml_text.YamlError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{file} is not YAML: {yaml_text.one_line(error)}") from None
    if not isinstance(document, dict):
        raise KubeconfigError(f"{file} is not a kubeconfig")
    return document


def _write(file: Path, document: Object) -> None:
    target = file.resolve()  # a link stays a link
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else _PRIVATE
        write_atomically(target, yaml_text.dump(document).encode(), mode)
    except OSError as error:
        raise KubeconfigError(f"{file} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _locked(file: Path, now: Callable[[], float], sleep: Callable[[float], None]) -> Iterator[None]:
    """``<file>.lock`` made for this block: how kubectl keeps two editors apart."""
    lock, deadline = file.with_name(f"{file.name}.lock"), now() + LOCK_SECONDS
    try:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        while True:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0))
                break
            except FileExistsError:
                if now() > deadline:
                    raise KubeconfigError(f"{file} is locked; if nobody edits it, remove {lock}") from None
                sleep(_LOCK_POLL_SECONDS)
    except OSError as error:
        raise KubeconfigError(f"{lock} cannot be made: {error.strerror}") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def names(entries: Iterable[str]) -> str:
    """Names for an error's text."""
    return ", ".join(sorted(entries)) or "none"

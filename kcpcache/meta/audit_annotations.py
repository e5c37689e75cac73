"""Notes that any part of the server makes for the audit event of the request it works for."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_annotations: ContextVar[dict[str, str] | None] = ContextVar("audit_annotations", default=None)


def annotate(key: str, value: str) -> None:
    """Note ``value`` under ``key``; the first note of a key stays, as in kube. Nothing where nobody audits."""
    found = _annotations.get()
    if found is not None:
        found.setdefault(key, value)


@contextlib.contextmanager
def collected(into: dict[str, str]) -> Iterator[None]:
    """What is noted inside, by this task and by those that it starts, goes ``into``."""
    token = _annotations.set(into)
    try:
        yield
    finally:
        _annotations.reset(token)

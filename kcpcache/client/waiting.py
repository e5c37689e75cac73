"""Waiting for what controllers do."""

import time
from collections.abc import Callable

from kcpcache.client.connection import Connection
from kcpcache.meta import conditions
from kcpcache.meta.objects import Object

_FIRST_POLL_SECONDS, _POLL_SECONDS = 0.05, 0.5


class NotInTimeError(Exception):
    """What was waited for did not come; the text says what and how long."""


def wait_for(
    connection: Connection,
    path: str,
    done: Callable[[Object], bool],
    timeout_seconds: float,
    what: str,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Object:
    """Get the object at ``path`` until it is ``done``. Raises NotInTimeError ("<what> within …"), ApiError."""
    deadline, pause = now() + timeout_seconds, _FIRST_POLL_SECONDS
    while not done(found := connection.get(path)):
        if now() >= deadline:
            raise NotInTimeError(f"{what} within {timeout_seconds:g} s")
        sleep(min(pause, _POLL_SECONDS))
        pause *= 2
    return found


def is_established(definition: Object) -> bool:
    """Whether a CustomResourceDefinition is served."""
    return conditions.is_true(definition, "Established")


def in_phase(phase: str) -> Callable[[Object], bool]:
    """Whether ``status.phase`` is this one."""
    return lambda obj: obj.get("status", {}).get("phase") == phase

"""An operator as kopf's users write them; test_kopf_operator.py runs it as a process of its own."""

import logging
from typing import Any

import kopf

GROUP, PLURAL = "clients.example.com", "widgets"


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Keep progress and last-seen state where a CRD with a schema keeps them, and events out of the way."""
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.posting.level = logging.WARNING
    settings.watching.server_timeout = 10


@kopf.on.create(GROUP, "v1", PLURAL)
async def created(spec: kopf.Spec, patch: kopf.Patch, **_: Any) -> dict[str, Any]:
    """What ``status.created`` is made of."""
    patch.status["phase"] = "Created"
    return {"size": spec.get("size")}


@kopf.on.update(GROUP, "v1", PLURAL, field="spec")
async def updated(spec: kopf.Spec, patch: kopf.Patch, **_: Any) -> None:
    """Follow the spec."""
    patch.status["replicas"] = spec.get("replicas", 0)
    patch.status["phase"] = "Updated"


@kopf.on.delete(GROUP, "v1", PLURAL)
async def deleted(name: str, logger: kopf.ObjectLogger, **_: Any) -> None:
    """Hold the object until this has run."""
    logger.info("cleaned up after %s", name)


@kopf.timer(GROUP, "v1", PLURAL, interval=1.0, initial_delay=0.5)
async def ticked(status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    """Count seconds in the status."""
    patch.status["ticks"] = status.get("ticks", 0) + 1

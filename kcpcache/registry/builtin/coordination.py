"""Types of ``coordination.k8s.io/v1``."""

from kcpcache.registry.builtin.meta import object_type
from kcpcache.registry.builtin.types import Scalar, package, row

_coordination = package("io.k8s.api.coordination.v1")
_S, _I32, _MICRO = Scalar.STRING, Scalar.INT32, Scalar.MICRO_TIME

LEASE = object_type(
    "io.k8s.api.coordination.v1",
    "coordination.k8s.io/v1",
    "Lease",
    "A claim that its holder must renew; for elections and heartbeats.",
    row(
        "spec",
        2,
        _coordination(
            "LeaseSpec",
            "The claim.",
            row("holderIdentity", 1, _S, "Who holds it.", pointer=True),
            row("leaseDurationSeconds", 2, _I32, "Seconds after renewTime until others may take it.", pointer=True),
            row("acquireTime", 3, _MICRO, "When the holder took it.", pointer=True),
            row("renewTime", 4, _MICRO, "When the holder last renewed it.", pointer=True),
            row("leaseTransitions", 5, _I32, "How often it changed hands.", pointer=True),
            row("strategy", 6, _S, "How coordinated election picks the holder.", pointer=True),
            row("preferredHolder", 7, _S, "Who should take it over.", pointer=True),
        ),
        "The claim.",
    ),
)

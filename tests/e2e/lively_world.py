"""Cloud Co. with several consumers, for the page to show, and the tokens of those who look at it."""

import json
from pathlib import Path
from typing import Final

from cloud_co import bind_catalogue, share_catalogue
from real_kubectl import Kubectl

ADMIN, STRANGER = "token-of-the-operator", "token-of-somebody"
PROVIDER: Final = "root:cloud-co"
CONSUMERS: Final = ("shop", "billing", "analytics", "payments")


def write_tokens(path: Path) -> Path:
    """A token file with an administrator and a user who has no workspace of his own."""
    path.write_text(f'{ADMIN},operator,operator,"system:masters"\n{STRANGER},somebody,somebody,"staff"\n')
    return path


def flavor(name: str, cores: int, architecture: str = "amd64", **annotations: str) -> str:
    """A CPUFlavor of the catalogue."""
    notes = "".join(f"\n    {key}: {json.dumps(value)}" for key, value in annotations.items())
    return (
        "apiVersion: cloud.example.com/v1\nkind: CPUFlavor\nmetadata:\n"
        f"  name: {name}\n" + (f"  annotations:{notes}\n" if notes else "") + f"spec:\n  cores: {cores}\n"
        f"  architecture: {architecture}\n"
    )


def build(kubectl: Kubectl) -> None:
    """The provider shares its catalogue, every consumer binds it, and one of them has workspaces below."""
    kubectl.workspaces("cloud-co", *CONSUMERS)
    share_catalogue(kubectl, PROVIDER)
    for consumer in CONSUMERS:
        bind_catalogue(kubectl, f"root:{consumer}", PROVIDER)

"""What docker/Dockerfile says, instruction by instruction."""

import json
import re
from typing import Final, NamedTuple

from real_server import REPOSITORY

DOCKER: Final = REPOSITORY / "docker"


class Instruction(NamedTuple):
    """``COPY``, ``RUN`` and so on: the stage that it is in (0 is the first), its name, and the rest on one line."""

    stage: int
    name: str
    text: str


def instructions(*names: str) -> list[Instruction]:
    """Those of these names, in the order of the file."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found, stage = [], -1
    for line in filter(None, text.splitlines()):
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, rest.strip()))
    return [instruction for instruction in found if instruction.name in names]


def texts(name: str) -> list[str]:
    """What stands after each instruction of that name."""
    return [instruction.text for instruction in instructions(name)]


def entry_point() -> list[str]:
    """The command that a container runs."""
    (found,) = texts("ENTRYPOINT")
    return list(json.loads(found))


def health_check() -> list[str]:
    """The command that tells whether a container is healthy."""
    (found,) = texts("HEALTHCHECK")
    return list(json.loads(found[found.index("CMD ") + 4 :]))

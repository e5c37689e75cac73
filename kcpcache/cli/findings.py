"""What a check of ``kcpcache doctor`` found."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` is what was looked at; ``mend`` is what to do, "" where nothing is."""

    check: str
    level: Level
    text: str
    mend: str = ""

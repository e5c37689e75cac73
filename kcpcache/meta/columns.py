"""The columns of a Table, and ages as kubectl prints them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

ColumnValue: TypeAlias = "Callable[[Mapping[str, Any], datetime], Any] | str"
"""A cell from (object, now), or a JSONPath that somebody else compiles."""

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
UNKNOWN_AGE = "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what ``columnDefinitions`` says of it, and where its cells come from.

    Priority 0 is always shown, higher ones with ``-o wide``.
    """

    name: str
    type: str
    format: str
    description: str
    priority: int
    value: ColumnValue

    def definition(self) -> dict[str, Any]:
        """The entry of the Table's ``columnDefinitions``."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def human_duration(duration: timedelta) -> str:
    """A length of time in at most two units, coarser the longer: ``90s``, ``3m20s``, ``5h10m``, ``5d``, ``2y30d``.

    After apimachinery's ``duration.HumanDuration``; up to two seconds of clock skew count as ``0s``.
    """
    # Go truncates towards zero where it compares with -1.
    seconds = int(duration.total_seconds())
    if seconds < -1:
        return "<invalid>"
    for below, unit, name, rest_below, rest_unit, rest_name in _STEPS:
        if seconds < below:
            rest = seconds % unit // rest_unit if seconds < rest_below else 0
            return f"{max(seconds, 0) // unit}{name}" + (f"{rest}{rest_name}" if rest > 0 else "")
    return f"{seconds // _YEAR}y"


_STEPS = (
    # shorter than, counted in, and below this limit the rest counted in
    (2 * _MINUTE, 1, "s", 0, 1, ""),
    (3 * _HOUR, _MINUTE, "m", 10 * _MINUTE, 1, "s"),
    (2 * _DAY, _HOUR, "h", 8 * _HOUR, _MINUTE, "m"),
    (2 * _YEAR, _DAY, "d", 8 * _DAY, _HOUR, "h"),
    (8 * _YEAR, _YEAR, "y", 8 * _YEAR, _DAY, "d"),
)


def parse_time(value: object) -> datetime | None:
    """A ``Time`` or ``MicroTime`` of an object; None where it is missing or no RFC 3339 time."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def age_since(value: object, now: datetime) -> str:
    """How long ago the time ``value`` is, for people; ``<unknown>`` where there is none."""
    moment = parse_time(value)
    return human_duration(now - moment) if moment else UNKNOWN_AGE


def age(obj: Mapping[str, Any], now: datetime) -> str:
    """The AGE cell: how long ago the object was created."""
    metadata = obj.get("metadata")
    return age_since(metadata.get("creationTimestamp"), now) if isinstance(metadata, dict) else UNKNOWN_AGE


NAME_COLUMN = Column("Name", "string", "name", "Name of the object.", 0, ".metadata.name")
AGE_COLUMN = Column("Age", "string", "", "Time since the object was created.", 0, age)
CUSTOM_AGE_COLUMN = Column("Age", "date", "", AGE_COLUMN.description, 0, ".metadata.creationTimestamp")
"""The one that custom resources have where they name none."""
CREATED_AT_COLUMN = Column("Created At", "date", "", "When the object was created.", 0, ".metadata.creationTimestamp")

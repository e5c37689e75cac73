"""What came out: rows of one table, growth curves, JSON, and plots where matplotlib is there."""

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

HEADER = ("", "name", "measured", "spread", "baseline", "ratio", "goal", "reached")
VERSIONS = ("kcpcache", "uvicorn", "uvloop", "httptools", "apsw", "orjson")


@dataclass(frozen=True)
class Goal:
    """``sign`` is ``>=`` or ``<=``; ``of_ratio``: the goal is for measured / baseline."""

    sign: str
    number: float
    of_ratio: bool = False

    def reached(self, value: float, ratio: float | None) -> bool | None:
        """None where there is nothing to compare."""
        found = ratio if self.of_ratio else value
        if found is None:
            return None
        return found >= self.number if self.sign == ">=" else found <= self.number


@dataclass(frozen=True)
class Row:
    """One measurement: the median of its rounds, in ``unit``."""

    workload: str
    name: str
    unit: str
    value: float
    spread: tuple[float, float]
    rounds: int
    baseline: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    reached: bool | None = None


@dataclass(frozen=True)
class Curve:
    """How a cost grows: points of (how many there are, cost of one)."""

    workload: str
    name: str
    x: str
    y: str
    points: list[tuple[float, float]]


@dataclass
class Report:
    """Collects; what was added before a workload failed stays."""

    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(
        self,
        workload: str,
        name: str,
        unit: str,
        values: Sequence[float],
        *,
        baseline: Sequence[float] = (),
        goal: Goal | None = None,
    ) -> None:
        """A row from the values of its rounds, and the baseline's of the same rounds. No values: no row."""
        if not values:
            self.notes.append(f"{workload} {name}: not measured on this server")
            return
        value = statistics.median(values)
        beside = statistics.median(baseline) if baseline else None
        ratio = value / beside if beside else None
        reached = goal.reached(value, ratio) if goal else None
        spread = (min(values), max(values))
        self.rows.append(Row(workload, name, unit, value, spread, len(values), beside, ratio, goal, reached))

    def grow(self, workload: str, name: str, x: str, y: str, points: Sequence[tuple[float, float]]) -> None:
        """A curve; and a row that compares the cost of one at the largest count with that at the smallest."""
        self.curves.append(Curve(workload, name, x, y, list(points)))
        if len(points) > 1 and points[0][1]:
            grown = points[-1][1] / points[0][1]
            self.add(workload, f"growth: {name}, {points[0][0]:g} -> {points[-1][0]:g} {x}", "times", [grown])

    def table(self) -> str:
        """The rows as text in columns."""
        lines = [HEADER, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[index]) for line in lines) for index in range(len(HEADER))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        text.insert(1, "  ".join("-" * width for width in widths))
        text += [f"note: {note}" for note in self.notes] + [f"FAILED: {failure}" for failure in self.failures]
        return "\n".join(text)

    def lines(self, start: int) -> str:
        """The rows from ``start`` on, a line each, for whoever waits."""
        rows = (" ".join(cell for cell in _cells(row) if cell) for row in self.rows[start:])
        return "".join(f"  {row}\n" for row in rows)

    def json(self, options: dict[str, Any]) -> bytes:
        """Everything, with the machine and the versions."""
        content = {
            "machine": machine(),
            "options": options,
            "rows": [asdict(row) for row in self.rows],
            "curves": [asdict(curve) for curve in self.curves],
            "notes": self.notes,
            "failures": self.failures,
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)

    def plot(self, folder: Path) -> str | None:
        """One SVG per curve; why there is none, where matplotlib is missing."""
        try:
            import matplotlib as mpl
        except ModuleNotFoundError:
            return "no plots: matplotlib is not installed"
        mpl.use("svg")
        from matplotlib import pyplot as plt

        folder.mkdir(parents=True, exist_ok=True)
        for curve in self.curves:
            figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
            axes.plot(*zip(*curve.points, strict=True), marker="o")
            axes.set(title=f"{curve.workload}: {curve.name}", xlabel=curve.x, ylabel=curve.y, xlim=(0, None))
            axes.set_ylim(0, None)
            name = "".join(letter if letter.isalnum() else "-" for letter in f"{curve.workload}-{curve.name}".lower())
            figure.savefig(folder / f"{name}.svg", format="svg", metadata={"Date": None})
            plt.close(figure)
        return None


def machine() -> dict[str, Any]:
    """What the figures depend on. Versions are those of this program's own environment."""
    found: dict[str, Any] = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    found |= {"cpus": os.cpu_count(), "load_1_5_15_minutes": [round(load, 2) for load in os.getloadavg()]}
    return found | {"versions": {name: importlib.metadata.version(name) for name in VERSIONS}}


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def _cells(row: Row) -> tuple[str, ...]:
    goal = "" if row.goal is None else f"{row.goal.sign} {row.goal.number:g}{' x' if row.goal.of_ratio else ''}"
    return (
        row.workload,
        row.name,
        f"{_figure(row.value)} {row.unit}",
        f"{_figure(row.spread[0])}..{_figure(row.spread[1])} ({row.rounds})",
        "" if row.baseline is None else _figure(row.baseline),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        goal,
        {None: "", True: "yes", False: "no"}[row.reached],
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

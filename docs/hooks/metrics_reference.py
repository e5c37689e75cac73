"""The reference's page of metrics, from the catalogue that the program counts by."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from kcpcache.metrics.catalog import ALL, Metric, Origin

_TITLES: Final[dict[Origin, str]] = {
    "kcpcache": "kcpcache's own",
    "kcp": "Named as in kcp",
    "Kubernetes": "Named as in Kubernetes",
    "Prometheus": "Of the process",
}
_HEAD: Final = """\
# Metrics

What `/metrics` tells, in Prometheus' text format, or OpenMetrics where that is asked for. How to scrape it:
[Monitor a server](../how-to/monitor.md).

No label names a workspace, and none can be made to grow by clients: resources of tenants beyond the first hundred are
counted under `other`. A histogram has the series `_bucket` (with the label `le`), `_sum` and `_count`.
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    order = list(_TITLES)
    metrics = sorted(ALL, key=lambda metric: (order.index(metric.origin), metric.name))
    for origin, group in groupby(metrics, key=lambda metric: metric.origin):
        yield f"## {_TITLES[origin]}\n"
        yield "| metric | type | labels | what it tells |"
        yield "| --- | --- | --- | --- |"
        yield from map(_row, group)
        yield ""


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"

"""The reference's page of metrics, from the catalogue that the program counts by."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from kcpcache.metrics.catalog import ALL, Metric, Origin
from kcpcache.metrics.sources import MOST_STORED_RESOURCES
from kcpcache.runtime.replication_measures import MOST_NAMED

_TITLES: Final[dict[Origin, str]] = {
    "kcpcache": "kcpcache's own",
    "kcp": "Named as in kcp",
    "Kubernetes": "Named as in Kubernetes",
    "Prometheus": "Of the process",
}
_HEAD: Final = f"""\
# Metrics

What `/metrics` tells, in Prometheus' text format, or OpenMetrics where that is asked for. How to scrape it:
[Monitor a server](../how-to/monitor.md).

No label can be made to grow by clients: there is never a series for each workspace or object, and resources of tenants
beyond the first {MOST_STORED_RESOURCES} are counted under `other`.

What is told of replication is told of each CachedResource. Its label `cachedresource` is the path of its workspace and
its name, such as `root:provider:memflavors-v1`. The oldest {MOST_NAMED} have series of their own, which go when they
are deleted; all others, and copies that belong to none, share the value `other`.

A histogram has the series `_bucket` (with the label `le`), `_sum` and `_count`.
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

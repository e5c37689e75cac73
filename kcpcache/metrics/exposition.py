"""The text that Prometheus reads. Importing this module takes a moment: it is left until somebody scrapes."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from kcpcache.measure import Histogram
from kcpcache.metrics.catalog import Metric, Sample


class _Samples(Collector):
    """Gives the client library what was measured elsewhere."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Family]:
        found: dict[Metric, list[Sample]] = {}
        for sample in self._samples:
            found.setdefault(sample.metric, []).append(sample)
        return (_family(metric, samples) for metric, samples in found.items())


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    numbers = kind(metric.name, metric.help, labels=metric.labels)
    histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for _, labels, value in samples:
        if isinstance(value, Histogram):
            bounds = [*map(floatToGoString, value.bounds), "+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(value.counts)), strict=True))
            histograms.add_metric(labels, buckets, value.sum)
        else:
            numbers.add_metric(labels, value)
    return histograms if metric.kind == "histogram" else numbers


def exposition(samples: Iterable[Sample], accept: str) -> tuple[bytes, bytes]:
    """Content type and text, as the ``Accept`` header wants it; with what is known of the process.

    Takes milliseconds and reads files of the system: not for the event loop.
    """
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Samples(samples))
    return content_type.encode(), encode(registry)

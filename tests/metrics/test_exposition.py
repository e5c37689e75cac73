import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from kcpcache.measure import Histogram
from kcpcache.metrics import catalog
from kcpcache.metrics.exposition import exposition


def read(*samples):
    """(name, labels) → value, as Prometheus reads it."""
    content_type, text = exposition(samples, "")
    assert content_type.startswith(b"text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_a_histogram_becomes_cumulative_buckets_a_sum_and_a_count():
    histogram = Histogram((1, 10))
    for value in (1, 2, 3, 100):
        histogram.observe(value)
    found = read(catalog.STORE_SECONDS.sample(histogram, "get"))
    operation, name = ("operation", "get"), "etcd_request_duration_seconds"
    buckets = {labels[0][1]: value for (series, *labels), value in found.items() if series == f"{name}_bucket"}
    assert buckets == {"1.0": 1, "10.0": 3, "+Inf": 4}
    assert found[(f"{name}_sum", operation)] == 106
    assert found[(f"{name}_count", operation)] == 4


def test_counters_and_gauges_keep_their_names_and_the_process_is_measured_too():
    found = read(catalog.WATCH_EVENTS.sample(3, "g", "v1", 'K"x'), catalog.STORE_HEALTHY.sample(1))
    assert found[("apiserver_watch_events_total", ("group", "g"), ("kind", 'K"x'), ("version", "v1"))] == 3
    assert found[("kcpcache_store_healthy",)] == 1
    names = {key[0] for key in found}
    assert {metric.name for metric in catalog.ALL if metric.origin == "Prometheus"} <= names


def test_open_metrics_is_given_to_who_asks_for_it():
    content_type, text = exposition([catalog.STORE_HEALTHY.sample(1)], "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith(b"application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_client_library_is_not_imported_before_the_first_scrape():
    script = "import sys, kcpcache.server; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

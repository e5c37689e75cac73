from pathlib import Path

from kcpcache.metrics import catalog
from kcpcache.metrics.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text() == page(), "run: python -m kcpcache.metrics.reference > docs/reference/metrics.md"


def test_names_follow_prometheus_conventions():
    names = [metric.name for metric in catalog.ALL]
    assert len(set(names)) == len(names)
    for metric in catalog.ALL:
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert "cluster" not in metric.labels, "never one series per workspace"
        assert "workspace" not in metric.labels

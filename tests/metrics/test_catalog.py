from kcpcache.metrics import catalog


def test_names_follow_prometheus_conventions():
    names = [metric.name for metric in catalog.ALL]
    assert len(set(names)) == len(names)
    for metric in catalog.ALL:
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert "cluster" not in metric.labels, "never one series per workspace"
        assert "workspace" not in metric.labels

"""The feature gate of cached resources, as flags and the environment spell it (behaviour §3)."""

import pytest
from pydantic import ValidationError

from kcpcache.config import Settings


def test_cached_apis_are_on_unless_they_are_switched_off():
    assert Settings().cached_apis
    assert not Settings(feature_gates="CachedAPIs=false").cached_apis


@pytest.mark.parametrize("spelling", ["CachedAPIs", "CacheAPIs"])
@pytest.mark.parametrize(("value", "on"), [("false", False), ("true", True), ("False", False)])
def test_the_gate_is_understood_in_kcps_spelling_too(spelling: str, value: str, on: bool, monkeypatch):
    assert Settings(feature_gates=f"{spelling}={value}").cached_apis is on
    monkeypatch.setenv("KCPCACHE_FEATURE_GATES", f"{spelling}={value}")
    assert Settings().cached_apis is on


@pytest.mark.parametrize("wrong", ["CachedApis=false", "CachedAPIs", "CachedAPIs=no", "Other=true"])
def test_what_is_no_gate_is_refused_by_name(wrong: str):
    with pytest.raises(ValidationError, match="feature_gates"):
        Settings(feature_gates=wrong)

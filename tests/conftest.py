"""What all tests have in common."""

from hypothesis import HealthCheck, settings

# Timings are no assertions, here neither: a busy machine may take as long as it likes for an example.
settings.register_profile("kcpcache", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kcpcache")

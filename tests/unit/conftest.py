"""The same examples on every run, and no failure for a slow machine: what fails here fails everywhere."""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "unit", derandomize=True, deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow]
)
# For `make mutate`, which asks of a mutant whether anything fails, not for the smallest example that does.
settings.register_profile(
    "mutate",
    settings.get_profile("unit"),
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
)
settings.load_profile("unit")

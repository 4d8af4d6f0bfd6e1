"""Metrics that CloudWatch reads off the functions' log lines, so that a request pays for none of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.metrics import HTTP, server_errors_name
from infra.constructs.watched import Watched

CHECK_MILLISECONDS = "CheckMilliseconds"
NOT_READY = "NotReady"


@dataclass(frozen=True)
class Filter:
    """`pattern` picks lines of the function's log, `value` is what each of them counts."""

    folder: str
    name: str
    pattern: str
    value: str = "1"


FILTERS: Sequence[Filter] = (
    # `road` is how the answers came about: of a batch's pairs each road once, in the alphabet's order, joined by +
    Filter(
        "entitlements",
        "CacheHits",
        '{ ($.road = "hit") || ($.road = "document") || ($.road = "document+hit") }',
    ),
    Filter("entitlements", "CacheMisses", '{ $.road = "*refill*" }'),
    Filter("entitlements", "StaleServed", '{ $.road = "*stale*" }'),
    Filter(
        "entitlements",
        CHECK_MILLISECONDS,
        '{ $.message = "GET /api/v1/entitlements/check 200" }',
        "$.duration_ms",
    ),
    Filter("health", NOT_READY, '{ $.message = "GET /ready 503" }'),
    *(
        Filter(folder, server_errors_name(folder), "{ $.status >= 500 }")
        for folder in HTTP
        if folder != "health"  # its 503 is an answer
    ),
)


def add_filters(scope: Construct, watched: Watched) -> list[logs.CfnMetricFilter]:
    """The functions' log groups must be there."""
    return [_add(scope, watched, each) for each in FILTERS]


def _add(scope: Construct, watched: Watched, each: Filter) -> logs.CfnMetricFilter:
    counts = each.value == "1"  # a duration has no natural 0
    transformation = logs.CfnMetricFilter.MetricTransformationProperty(
        metric_namespace=watched.prefix,
        metric_name=each.name,
        metric_value=each.value,
        default_value=0 if counts else None,
        unit="Count" if counts else "Milliseconds",
    )
    return logs.CfnMetricFilter(
        scope,
        each.name,
        log_group_name=watched.log_group(each.folder),
        filter_name=each.name,
        filter_pattern=each.pattern,
        metric_transformations=[transformation],
    )

"""The metrics that alarms and the dashboard look at: the service's own, and AWS's of what it runs on."""

from collections.abc import Iterable

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk.aws_cloudwatch import MathExpression, Metric

from infra import fleet
from infra.constructs.watched import Watched
from infra.routes import ROUTES

FIVE = Duration.minutes(5)
HTTP = tuple(sorted({route.function for route in ROUTES}))

SUM, MAXIMUM, AVERAGE, SAMPLES = "Sum", "Maximum", "Average", "SampleCount"


def own(watched: Watched, service: str, name: str, statistic: str = SUM) -> Metric:
    """What a function writes into its log (embedded metric format)."""
    return _metric(watched.prefix, name, statistic, {"service": service})


def read_off(watched: Watched, name: str, statistic: str = SUM) -> Metric:
    """What a filter counts in the logs (`infra.constructs.log_metrics`): 0 in a minute that has other lines."""
    return _metric(watched.prefix, name, statistic, {})


def heartbeats(watched: Watched, service: str, name: str) -> MathExpression:
    """How often a metric was written that comes with every invocation: 0 where nothing is invoked."""
    return MathExpression(
        expression="FILL(beats, 0)", using_metrics={"beats": own(watched, service, name, SAMPLES)}, label="written"
    )


def of_function(watched: Watched, folder: str, name: str, statistic: str = SUM) -> Metric:
    """`AWS/Lambda`, over all versions of the function."""
    return _metric("AWS/Lambda", name, statistic, {"FunctionName": watched.functions[folder]}, label=folder)


def of_functions(watched: Watched, folders: Iterable[str], name: str) -> MathExpression:
    """The sum over some functions; an alarm takes ten metrics at most."""
    metrics = {folder: of_function(watched, folder, name) for folder in folders}
    return MathExpression(
        expression=" + ".join(f"FILL({key}, 0)" for key in metrics), using_metrics={**metrics}, label=name
    )


def of_queue(name: str, metric: str, statistic: str = MAXIMUM) -> Metric:
    return _metric("AWS/SQS", metric, statistic, {"QueueName": name})


def of_table(watched: Watched, name: str, statistic: str = SUM, operation: str | None = None) -> Metric:
    more = {} if operation is None else {"Operation": operation}
    return _metric("AWS/DynamoDB", name, statistic, {"TableName": watched.table, **more}, label=operation)


def of_database(watched: Watched, name: str, statistic: str = AVERAGE) -> Metric:
    database = watched.database
    dimension = "DBClusterIdentifier" if database.kind == "aurora" else "DBInstanceIdentifier"
    return _metric("AWS/RDS", name, statistic, {dimension: database.identifier})


def of_proxy(watched: Watched, name: str, statistic: str = AVERAGE) -> Metric:
    return _metric("AWS/RDS", name, statistic, {"ProxyName": watched.database.proxy})


def of_front(watched: Watched, name: str, statistic: str = SUM) -> Metric:
    """`name` as an HTTP API has it: `Count`, `4xx`, `5xx`, `Latency` (milliseconds)."""
    front = watched.front
    if front.kind == "http":
        return _metric("AWS/ApiGateway", name, statistic, {"ApiId": front.api, "Stage": front.stage})
    rest = {"4xx": "4XXError", "5xx": "5XXError"}.get(name, name)
    return _metric("AWS/ApiGateway", rest, statistic, {"ApiName": front.api, "Stage": front.stage}, label=name)


def server_errors_name(folder: str) -> str:
    return folder.capitalize() + "ServerErrors"


def server_errors(watched: Watched, folder: str) -> MathExpression:
    """Answers of 500 and more, and invocations that came to no answer: crashed, or timed out."""
    return MathExpression(
        expression=f"FILL({folder}_answered, 0) + FILL({folder}_crashed, 0)",
        using_metrics={
            f"{folder}_answered": read_off(watched, server_errors_name(folder)),
            f"{folder}_crashed": of_function(watched, folder, "Errors"),
        },
        label="errors",
    )


def error_share(watched: Watched, folder: str) -> MathExpression:
    """Per cent of the function's requests; none below five errors, which are no trend."""
    return MathExpression(
        expression=f"IF({folder}_errors >= 5, 100 * {folder}_errors / {folder}_asked, 0)",
        using_metrics={
            f"{folder}_errors": server_errors(watched, folder),
            f"{folder}_asked": of_function(watched, folder, "Invocations"),
        },
        label="errors, %",
    )


def slowness(watched: Watched, least: int) -> MathExpression:
    """The p95 in milliseconds where there are checks enough that it is no cold start's."""
    return MathExpression(
        expression=f"IF(asked >= {least}, slow, 0)",
        using_metrics={
            "slow": of_function(watched, "entitlements", "Duration", "p95"),
            "asked": of_function(watched, "entitlements", "Invocations"),
        },
        label="p95, ms",
    )


def front_error_share(watched: Watched) -> MathExpression:
    return MathExpression(
        expression="IF(errors >= 5, 100 * errors / asked, 0)",
        using_metrics={"errors": of_front(watched, "5xx"), "asked": of_front(watched, "Count")},
        label="5xx, %",
    )


def hit_share(watched: Watched, least: int = 0) -> MathExpression:
    """Per cent of the checks that the cache answered; 100 below `least` checks, which say nothing."""
    return MathExpression(
        expression=f"IF(hits + misses + old > {least}, 100 * hits / (hits + misses + old), 100)",
        using_metrics={
            "hits": read_off(watched, "CacheHits"),
            "misses": read_off(watched, "CacheMisses"),
            "old": read_off(watched, "StaleServed"),
        },
        label="answered by the cache, %",
    )


def news(watched: Watched) -> MathExpression:
    """Drifts that a run found, less those left to a person: these are found again each night, until one acts."""
    return MathExpression(
        expression="FILL(found, 0) - FILL(left, 0)",
        using_metrics={
            "found": own(watched, "reconciliation", "DriftFound"),
            "left": own(watched, "reconciliation", "DriftLeft"),
        },
        label="drifts",
    )


def refused_alone(watched: Watched) -> MathExpression:
    """Webhooks with a bad signature, where not one had a good one. Each answer counts as both, as 0 or as 1."""
    return MathExpression(
        expression="IF(good < 1, bad, 0)",
        using_metrics={
            "good": own(watched, "webhooks", "EventAccepted"),
            "bad": own(watched, "webhooks", "BadSignature"),
        },
        label="refused, none accepted",
    )


def proxy_share(watched: Watched) -> MathExpression:
    """Per cent of the connections that the proxy may have to the database."""
    return MathExpression(
        expression="100 * open / most",
        using_metrics={
            "open": of_proxy(watched, "DatabaseConnections", MAXIMUM),
            "most": of_proxy(watched, "MaxDatabaseConnectionsAllowed", MAXIMUM),
        },
        label="connections, %",
    )


def table_throttles(watched: Watched) -> MathExpression:
    names = {"late_reads": "ReadThrottleEvents", "late_writes": "WriteThrottleEvents"}
    metrics = {key: of_table(watched, name) for key, name in names.items()}
    expression = "FILL(late_reads, 0) + FILL(late_writes, 0)"
    return MathExpression(expression=expression, using_metrics={**metrics}, label="turned away")


def table_errors(watched: Watched) -> MathExpression:
    """Faults of DynamoDB itself, in the operations that checks and publications rest on."""
    names = {"bad_reads": "BatchGetItem", "bad_writes": "PutItem"}
    metrics = {key: of_table(watched, "SystemErrors", operation=name) for key, name in names.items()}
    expression = "FILL(bad_reads, 0) + FILL(bad_writes, 0)"
    return MathExpression(expression=expression, using_metrics={**metrics}, label="own faults")


def claimed_share(watched: Watched) -> MathExpression:
    """Per cent of the account's executions at once that are in use or set aside."""
    claimed = _metric("AWS/Lambda", "ClaimedAccountConcurrency", MAXIMUM, {})
    return MathExpression(
        expression=f"100 * claimed / {watched.quota}", using_metrics={"claimed": claimed}, label="claimed, %"
    )


def compute(watched: Watched, folder: str) -> MathExpression:
    """Gigabyte-seconds: what Lambda bills beside the number of invocations."""
    gigabytes = fleet.function(folder).memory / 1024
    return MathExpression(
        expression=f"{folder}_ms / 1000 * {gigabytes:g}",
        using_metrics={f"{folder}_ms": of_function(watched, folder, "Duration")},
        label=folder,
    )


def log_bytes(watched: Watched, folder: str) -> Metric:
    dimensions = {"LogGroupName": watched.log_group(folder)}
    return _metric("AWS/Logs", "IncomingBytes", SUM, dimensions, label=folder)


def nat_bytes(watched: Watched) -> list[Metric]:
    """To the world, and from it."""
    if watched.nat is None:
        return []
    if watched.nat.kind == "gateway":
        namespace, dimension, names = (
            "AWS/NATGateway",
            "NatGatewayId",
            ("BytesOutToDestination", "BytesInFromDestination"),
        )
    else:
        namespace, dimension, names = "AWS/EC2", "InstanceId", ("NetworkOut", "NetworkIn")
    return [_metric(namespace, name, SUM, {dimension: watched.nat.identifier}) for name in names]


def _metric(namespace: str, name: str, statistic: str, dimensions: dict[str, str], label: str | None = None) -> Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        statistic=statistic,
        dimensions_map=dimensions or None,
        label=label,
        period=FIVE,
    )

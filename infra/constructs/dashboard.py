"""The dashboard: what callers see first, then what keeps it true, what it earns, what it runs on, what it costs."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk.aws_cloudwatch import GraphWidget, IMetric, IWidget, MathExpression, TextWidget
from constructs import Construct

from infra.constructs import metrics
from infra.constructs.log_metrics import CHECK_MILLISECONDS
from infra.constructs.metrics import MAXIMUM, SUM, of_front, of_proxy, of_queue, of_table, own, read_off
from infra.constructs.watched import Watched

_WHOLE = 24
"""Columns of a dashboard."""

PERCENTILES = ("p50", "p95", "p99")


def add_dashboard(scope: Construct, watched: Watched, alarms: Sequence[str], runbooks: str) -> cloudwatch.Dashboard:
    """Named as the deployment. `alarms` by name: their states stand on top."""
    shown = [_named(scope, watched, name) for name in alarms]
    states = cloudwatch.AlarmStatusWidget(title="Alarms", alarms=shown, width=_WHOLE, height=4)
    text = f"# {watched.prefix}\nThe alarms' runbooks: {runbooks}. Logs: the saved queries under `{watched.prefix}/`."
    return cloudwatch.Dashboard(
        scope,
        "Dashboard",
        dashboard_name=watched.prefix,
        default_interval=Duration.hours(12),
        widgets=[
            [TextWidget(markdown=text, width=_WHOLE, height=2)],
            [states],
            _checks(watched),
            _fronts(watched),
            _events(watched),
            _repairs(watched),
            _business(watched),
            _database(watched),
            _table(watched),
            _costs(watched),
        ],
    )


def _named(scope: Construct, watched: Watched, name: str) -> cloudwatch.IAlarm:
    """Without a reference to its resource."""
    arn = Stack.of(scope).format_arn(
        service="cloudwatch",
        resource="alarm",
        resource_name=f"{watched.prefix}-{name}",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return cloudwatch.Alarm.from_alarm_arn(scope, name, arn)


def _row(*widgets: tuple[str, Sequence[IMetric], Sequence[IMetric]]) -> list[IWidget]:
    """Graphs side by side: title, what the left axis measures, what the right one does."""
    width = _WHOLE // len(widgets)
    return [
        GraphWidget(title=title, left=list(left), right=list(right), width=width, height=6)
        for title, left, right in widgets
    ]


def _checks(watched: Watched) -> list[IWidget]:
    inside = [read_off(watched, CHECK_MILLISECONDS, each).with_(label=f"check {each}") for each in PERCENTILES]
    billed = [
        metrics.of_function(watched, "entitlements", "Duration", each).with_(label=f"function {each}")
        for each in PERCENTILES
    ]
    roads = [read_off(watched, name) for name in ("CacheHits", "CacheMisses", "StaleServed")]
    return _row(
        ("Checks: milliseconds, as the handler and as Lambda measure them", [*inside, *billed], []),
        ("Checks: answered by the cache", [metrics.hit_share(watched)], roads),
        (
            "Checks: errors",
            [metrics.server_errors(watched, "entitlements")],
            [metrics.error_share(watched, "entitlements")],
        ),
    )


def _fronts(watched: Watched) -> list[IWidget]:
    latency = [of_front(watched, "Latency", each).with_(label=each) for each in PERCENTILES]
    answers = [of_front(watched, name) for name in ("4xx", "5xx")]
    errors = [
        metrics.server_errors(watched, folder).with_(label=folder) for folder in metrics.HTTP if folder != "health"
    ]
    return _row(
        ("API: milliseconds", latency, []),
        ("API: requests", [of_front(watched, "Count")], answers),
        ("Errors by function", errors, []),
    )


def _events(watched: Watched) -> list[IWidget]:
    ingress = [own(watched, "webhooks", name) for name in ("EventAccepted", "BadSignature")]
    settled = [
        own(watched, "apply_events", f"Event{name}")
        for name in ("Applied", "Superseded", "Ignored", "Failed", "RejectedMode", "Retried", "Broken", "UnknownStatus")
    ]
    depth = of_queue(watched.queue, "ApproximateNumberOfMessagesVisible").with_(label="waiting")
    dead = of_queue(watched.dead_letters, "ApproximateNumberOfMessagesVisible").with_(label="dead letters")
    waits = [
        of_queue(watched.queue, "ApproximateAgeOfOldestMessage").with_(label="oldest message, s"),
        own(watched, "apply_events", "EventAgeSeconds", MAXIMUM).with_(label="oldest when applied, s"),
    ]
    return _row(
        ("Webhooks", ingress, []),
        ("Events: what became of them", settled, []),
        ("Events: waiting", [depth, dead], waits),
    )


def _repairs(watched: Watched) -> list[IWidget]:
    drifts = [
        own(watched, "reconciliation", name)
        for name in ("DriftFound", "DriftRepaired", "DriftLeft", "DriftFailed", "DriftUnrepaired")
    ]
    runs = [own(watched, "reconciliation", name) for name in ("RunDone", "RunWaiting", "RunFailed", "SliceInterrupted")]
    age = own(watched, "reconciliation", "ReconciliationAgeHours", MAXIMUM)
    debts = [own(watched, "outbox", name, MAXIMUM) for name in ("OutboxBacklog", "OutboxTried", "OutboxUnpublished")]
    return _row(
        ("Reconciliation: drifts", drifts, []),
        ("Reconciliation: runs, and hours since the last whole one", runs, [age]),
        ("Outbox: owed, and for how long", debts, [own(watched, "outbox", "OutboxOldestSeconds", MAXIMUM)]),
    )


def _business(watched: Watched) -> list[IWidget]:
    """Measured once an hour, by `functions/outbox`."""
    gauges = [own(watched, "outbox", name, MAXIMUM) for name in ("PayingCustomers", "UnclearItems", "InboxFailed")]
    return _row(
        ("MRR by currency, in its minor units", [_each(watched, "currency", "MrrMinorUnits")], []),
        ("Subscriptions by status", [_each(watched, "status", "Subscriptions")], []),
        ("Paying customers, unclear items; events failed for good", gauges, []),
    )


def _each(watched: Watched, dimension: str, name: str) -> MathExpression:
    """One line for each value there is of the dimension."""
    found = f'{{"{watched.prefix}",service,{dimension}}} MetricName="{name}"'
    return MathExpression(
        expression=f"SEARCH('{found}', 'Maximum', 3600)",
        label=f"${{PROP('Dim.{dimension}')}}",
        period=Duration.hours(1),
    )


def _database(watched: Watched) -> list[IWidget]:
    aurora = watched.database.kind == "aurora"
    size = ["ServerlessDatabaseCapacity", "ACUUtilization"] if aurora else ["FreeStorageSpace", "FreeableMemory"]
    proxy = [of_proxy(watched, name, MAXIMUM) for name in ("ClientConnections", "DatabaseConnections")]
    pinned = of_proxy(watched, "DatabaseConnectionsCurrentlySessionPinned", MAXIMUM)
    wait = [
        of_proxy(watched, "DatabaseConnectionsBorrowLatency", each).with_(label=f"wait {each}, microseconds")
        for each in ("Average", "p99")
    ]
    return _row(
        (
            "PostgreSQL: CPU and size",
            [metrics.of_database(watched, "CPUUtilization")],
            [metrics.of_database(watched, name) for name in size],
        ),
        (
            "PostgreSQL: connections, deadlocks",
            [metrics.of_database(watched, "DatabaseConnections", MAXIMUM)],
            [metrics.of_database(watched, "Deadlocks")],
        ),
        ("Proxy: connections, and the wait for one", [*proxy, pinned], wait),
    )


def _table(watched: Watched) -> list[IWidget]:
    used = [of_table(watched, f"Consumed{kind}CapacityUnits") for kind in ("Read", "Write")]
    slow = [
        of_table(watched, "SuccessfulRequestLatency", "p99", operation).with_(label=f"{operation} p99, ms")
        for operation in ("BatchGetItem", "PutItem")
    ]
    return _row(
        ("DynamoDB: units used", used, []),
        ("DynamoDB: turned away, own faults", [metrics.table_throttles(watched), metrics.table_errors(watched)], []),
        ("DynamoDB: milliseconds", slow, []),
    )


def _costs(watched: Watched) -> list[IWidget]:
    day = Duration.days(1)
    folders = tuple(watched.functions)
    invoked = [metrics.of_function(watched, folder, "Invocations").with_(period=day) for folder in folders]
    computed = [metrics.compute(watched, folder).with_(period=day) for folder in folders]
    logged = [metrics.log_bytes(watched, folder).with_(period=day) for folder in folders]
    sent = [each.with_(period=day, statistic=SUM) for each in metrics.nat_bytes(watched)]
    return _row(
        ("Cost: invocations a day", invoked, []),
        ("Cost: GB-seconds a day", computed, [metrics.claimed_share(watched)]),
        ("Cost: bytes of logs a day, and through the NAT", logged, sent),
    )

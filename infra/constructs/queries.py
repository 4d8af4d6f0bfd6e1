"""Saved Logs Insights queries: what runbooks ask. No line names a user; about users ask `billing customer show`."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.metrics import HTTP
from infra.constructs.watched import Watched
from infra.routes import BACKGROUND

_ALL = (*HTTP, *BACKGROUND)


@dataclass(frozen=True)
class Query:
    """`text`: one command a line, after the first joined by |. What stands in <…> the asker fills in."""

    name: str
    folders: Sequence[str]
    text: str


QUERIES = (
    Query(
        "by-correlation-id",
        _ALL,
        """
        fields @timestamp, service, level, message, status, code, duration_ms, exception_name
        filter correlation_id = "<request id, event id or run id>"
        sort @timestamp asc
        """,
    ),
    Query(
        "errors",
        _ALL,
        """
        filter level = "ERROR" or @message like /Task timed out|Runtime exited/
        stats count(*) as times, latest(correlation_id) as example by service, message, code, exception_name
        sort times desc
        """,
    ),
    Query(
        "slow-checks",
        ("entitlements",),
        """
        fields @timestamp, message, road, duration_ms, cold_start, project_id, correlation_id
        filter ispresent(road) and duration_ms >= 50
        sort duration_ms desc
        limit 100
        """,
    ),
    Query(
        "checks-by-road",
        ("entitlements",),
        """
        filter ispresent(road)
        stats count(*) as answers, pct(duration_ms, 50) as p50, pct(duration_ms, 95) as p95 by road, bin(5m)
        """,
    ),
    Query(
        "checks-by-project",
        ("entitlements",),
        """
        filter ispresent(project_id)
        stats count(*) as answers, pct(duration_ms, 95) as p95 by project_id, key_id
        sort answers desc
        """,
    ),
    Query(
        "refused",
        HTTP,
        """
        filter status >= 400 and status < 500
        stats count(*) as times by service, code, bin(1h)
        sort times desc
        """,
    ),
    Query(
        "events-failed",
        ("apply_events",),
        """
        fields @timestamp, correlation_id, type, status, reason
        filter message = "event" and status in ["failed", "rejected_mode"]
        sort @timestamp desc
        """,
    ),
    Query(
        "events-retried",
        ("apply_events",),
        """
        filter ispresent(message_id)
        stats count(*) as times, latest(@timestamp) as last by message, code, exception_name, message_id
        sort times desc
        """,
    ),
    Query(
        "events-by-status",
        ("apply_events",),
        """
        filter message = "event"
        stats count(*) as events by type, status
        sort events desc
        """,
    ),
    Query(
        "deliveries-by-status",
        ("webhooks",),
        """
        filter ispresent(status)
        stats count(*) as deliveries, pct(duration_ms, 95) as p95 by status, code, bin(1h)
        """,
    ),
    Query(
        "outbox",
        ("outbox",),
        """
        fields @timestamp, OutboxBacklog, OutboxTried, OutboxOldestSeconds, OutboxPublished, OutboxUnpublished
        filter message = "outbox swept"
        sort @timestamp desc
        """,
    ),
    Query(
        "runs",
        ("reconciliation",),
        """
        fields @timestamp, correlation_id, ended, code, DriftFound, DriftRepaired, DriftFailed, exception_name
        filter ispresent(ended) and ended != "idle"
        sort @timestamp desc
        """,
    ),
    Query(
        "cold-starts",
        _ALL,
        """
        filter @type = "REPORT"
        parse @message /Restore Duration: (?<restored>[0-9.]+) ms/
        filter ispresent(@initDuration) or ispresent(restored)
        stats count(*) as starts, pct(@initDuration, 95) as init_p95, pct(restored, 95) as restored_p95 by @log
        """,
    ),
    Query(
        "audit-heads",
        ("outbox",),
        """
        fields @timestamp, project_id, head
        filter message = "audit_head"
        sort @timestamp desc
        """,
    ),
)


def add_queries(scope: Construct, watched: Watched) -> list[logs.CfnQueryDefinition]:
    """In the console under the deployment's name. No other resource refers to them."""
    return [
        logs.CfnQueryDefinition(
            scope,
            "".join(word.capitalize() for word in query.name.split("-")),
            name=f"{watched.prefix}/{query.name}",
            log_group_names=[watched.log_group(folder) for folder in query.folders],
            query_string="\n| ".join(line.strip() for line in query.text.strip().splitlines()),
        )
        for query in QUERIES
    ]

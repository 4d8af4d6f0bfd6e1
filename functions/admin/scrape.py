"""The business and the queues as Prometheus reads them, counted anew for each scrape. No label names a user."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import get_args

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from billing.domain.drift import DriftKind, DriftStatus, RunStatus
from billing.domain.revenue import minor_units
from billing.http.exchange import Response
from billing.http.exposition import MEDIA_TYPE, exposition
from billing.http.operations import Operation
from billing.store import reports, run_lists
from billing.store.connection import Connection, transaction
from billing.store.runs import last_done_at
from billing.usecases.report_revenue import Present, all_projects, survey_projects
from functions.admin.desk import Call, Desk, Routes

SCRAPE = Operation(
    "GET",
    "/metrics",
    "scrapeMetrics",
    "The business, the inbox and the outbox in numbers, for Prometheus",
    None,
    media_type=MEDIA_TYPE,
)


def _scrape(desk: Desk, call: Call) -> Response:
    now = desk.now()
    with transaction(desk.database_url) as connection:
        ids = all_projects(connection)
        present = survey_projects(connection, ids, now)
        families = [*_now(present), *_sold(connection, ids), *_queues(connection, now), *_runs(connection, now)]
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}
    return Response(200, exposition(families), headers, {"key_id": call.admin.key_id})


def _now(present: list[Present]) -> Iterator[Metric]:
    subscriptions = GaugeMetricFamily(
        "billing_subscriptions", "Subscriptions by Stripe's status.", labels=("project", "status")
    )
    paying = GaugeMetricFamily("billing_paying_customers", "Customers whose MRR is not zero.", labels=("project",))
    unclear = GaugeMetricFamily(
        "billing_unclear_items", "Subscription items whose price or discount is not known.", labels=("project",)
    )
    mrr = GaugeMetricFamily(
        "billing_mrr_minor_units", "Monthly recurring revenue in minor units.", labels=("project", "currency")
    )
    grants = GaugeMetricFamily("billing_grants", "Live grants and denials.", labels=("project", "kind"))
    for one in present:
        for status, number in one.subscriptions.items():
            subscriptions.add_metric((one.project_id, status), number)
        paying.add_metric((one.project_id,), one.paying_customers)
        unclear.add_metric((one.project_id,), one.unclear_items)
        for currency, exact in one.mrr.items():
            mrr.add_metric((one.project_id, currency), minor_units(exact))
        grants.add_metric((one.project_id, "grant"), one.grants)
        grants.add_metric((one.project_id, "denial"), one.denials)
    yield from (subscriptions, paying, unclear, mrr, grants)


def _sold(connection: Connection, ids: list[str]) -> Iterator[Metric]:
    """Since the beginning: a purchase once recorded stays, whatever is refunded."""
    lines = CounterMetricFamily(
        "billing_purchases", "Lines of one-time checkouts that were paid.", labels=("project", "currency")
    )
    asked = CounterMetricFamily(
        "billing_purchases_minor_units", "What those lines cost, in minor units.", labels=("project", "currency")
    )
    for money in reports.sum_purchases(connection, ids):
        lines.add_metric((money.project_id, money.currency), money.number)
        asked.add_metric((money.project_id, money.currency), money.amount)
    yield from (lines, asked)


def _queues(connection: Connection, now: datetime) -> Iterator[Metric]:
    inbox = GaugeMetricFamily("billing_inbox_events", "Stripe's events by what became of them.", labels=("status",))
    for status, number in reports.count_inbox(connection).items():
        inbox.add_metric((status,), number)
    debts, since = reports.outbox_debts(connection)
    age = max((now - since).total_seconds(), 0) if since else 0
    yield inbox
    yield GaugeMetricFamily("billing_outbox_debts", "Publications that are owed.", value=debts)
    yield GaugeMetricFamily("billing_outbox_oldest_seconds", "How long the oldest of them is owed.", value=age)


def _runs(connection: Connection, now: datetime) -> Iterator[Metric]:
    """The age has no sample as long as no whole run was ever done: alert on its absence too."""
    age = GaugeMetricFamily(
        "billing_reconciliation_age_seconds", "Since the last whole reconciliation that repaired what it found."
    )
    done_at = last_done_at(connection)
    if done_at is not None:
        age.add_metric((), max((now - done_at).total_seconds(), 0))
    drifts = GaugeMetricFamily(
        "billing_reconciliation_drifts", "What the last run that ended had found.", labels=("kind", "status")
    )
    last = run_lists.last_run_over(connection)
    for kind in get_args(DriftKind):
        for status in get_args(DriftStatus):
            drifts.add_metric((kind, status), last.counts.get(kind, {}).get(status, 0) if last else 0)
    runs = GaugeMetricFamily("billing_reconciliation_runs", "Runs by their status.", labels=("status",))
    counts = run_lists.count_runs(connection)
    for status in get_args(RunStatus):
        runs.add_metric((status,), counts.get(status, 0))
    yield from (age, drifts, runs)


ROUTES: Routes = ((SCRAPE, _scrape),)

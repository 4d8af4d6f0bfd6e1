"""The business of projects in numbers: what holds now, and what moved in a period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from billing.domain.revenue import MONTHS_A_YEAR, MOVEMENTS, Movement, Share, minor_units, monthly
from billing.store import reports
from billing.store.connection import Connection
from billing.store.reports import MoneyRow, MovementRow, RevenueRow

STATUSES = ("active", "trialing", "past_due", "paused", "unpaid")
"""Of `subscription.status`: those in which a subscription was begun and is not over."""

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Period:
    """`[start, end)`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Present:
    """What a project has now. `mrr` is exact, in minor units by currency.

    unclear_items: those whose price or discount is not known, so that `mrr` may lack or exceed what they bring.
    """

    project_id: str
    subscriptions: dict[str, int]
    paying_customers: int
    unclear_items: int
    mrr: dict[str, Fraction]
    grants: int
    denials: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Customers who moved so, and by how many minor units a month together; never negative."""

    customers: int
    amount: int


@dataclass(frozen=True, slots=True)
class Revenue:
    """In minor units of one currency, each rounded once: so parts may differ from their whole by one.

    `mrr` and `arr` (twelve times as much) are of now; `opening` and `closing` of the period's ends, by the ledger.
    """

    currency: str
    mrr: int
    arr: int
    opening: int
    closing: int
    moved: dict[Movement, Moved]


@dataclass(frozen=True, slots=True)
class Report:
    """A project's present, and what the period brought and took."""

    present: Present
    revenue: list[Revenue]
    purchases: list[MoneyRow]
    refunds: list[MoneyRow]


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all projects together; a subscription or customer of two of them counts in both. `mrr`: minor units."""

    subscriptions: dict[str, int]
    paying_customers: int
    unclear_items: int
    mrr: dict[str, int]


def all_projects(connection: Connection) -> list[str]:
    """Their ids in order: some hundreds at most."""
    ids: list[str] = []
    while True:
        batch = reports.list_project_ids(connection, ids[-1] if ids else None, _BATCH)
        ids += batch
        if len(batch) < _BATCH:
            return ids


def total(present: Sequence[Present]) -> Totals:
    """The sums over projects; money is rounded once, at the end."""
    subscriptions: Counter[str] = Counter()
    exact: dict[str, Fraction] = {}
    for one in present:
        subscriptions.update(one.subscriptions)
        for currency, amount in one.mrr.items():
            exact[currency] = exact.get(currency, Fraction()) + amount
    mrr = {currency: minor_units(amount) for currency, amount in exact.items()}
    paying, unclear = sum(one.paying_customers for one in present), sum(one.unclear_items for one in present)
    return Totals(dict(subscriptions), paying, unclear, mrr)


def survey_projects(connection: Connection, projects: Sequence[str], now: datetime) -> list[Present]:
    """Each project's present, in their order, over all its rows."""
    counts = reports.count_subscriptions(connection, projects, STATUSES)
    found = {(row.project_id, row.status): row.subscriptions for row in counts}
    granted = {(row.project_id, row.denial): row.number for row in reports.count_grants(connection, projects, now)}
    rows = reports.sum_revenue(connection, projects, now)
    whole = {row.project_id: row for row in rows if row.currency is None}
    return [
        Present(
            project_id,
            {status: found.get((project_id, status), 0) for status in STATUSES},
            whole[project_id].customers if project_id in whole else 0,
            whole[project_id].unclear if project_id in whole else 0,
            _mrr([row for row in rows if row.project_id == project_id]),
            granted.get((project_id, False), 0),
            granted.get((project_id, True), 0),
        )
        for project_id in projects
    ]


def report_revenue(connection: Connection, projects: Sequence[str], period: Period, now: datetime) -> list[Report]:
    """One report for each project, in their order."""
    moving = reports.sum_movements(connection, projects, period.start, period.end)
    purchases = reports.sum_purchases(connection, projects, period.start, period.end)
    refunds = reports.sum_refunds(connection, projects, period.start, period.end)
    return [
        Report(
            present,
            _revenue(present.mrr, [row for row in moving if row.project_id == present.project_id]),
            [row for row in purchases if row.project_id == present.project_id],
            [row for row in refunds if row.project_id == present.project_id],
        )
        for present in survey_projects(connection, projects, now)
    ]


def _mrr(rows: list[RevenueRow]) -> dict[str, Fraction]:
    shares: dict[str, list[Share]] = {}
    for row in rows:
        if row.currency is not None and row.divisor is not None:
            shares.setdefault(row.currency, []).append(Share(row.amount, row.divisor))
    return {currency: monthly(shares[currency]) for currency in sorted(shares)}


def _revenue(mrr: dict[str, Fraction], moving: list[MovementRow]) -> list[Revenue]:
    """By currency, also those of which nothing is left."""
    currencies = sorted({*mrr, *(row.currency for row in moving)})
    return [
        _of_currency(currency, mrr.get(currency, Fraction()), [row for row in moving if row.currency == currency])
        for currency in currencies
    ]


def _of_currency(currency: str, mrr: Fraction, moving: list[MovementRow]) -> Revenue:
    return Revenue(
        currency,
        minor_units(mrr),
        minor_units(mrr * MONTHS_A_YEAR),
        minor_units(_opening(moving)),
        minor_units(_closing(moving)),
        {movement: _moved([row for row in moving if row.movement == movement]) for movement in MOVEMENTS},
    )


def _moved(rows: list[MovementRow]) -> Moved:
    customers = sum(row.customers for row in rows if row.divisor is None)
    return Moved(customers, minor_units(abs(_closing(rows) - _opening(rows))))


def _opening(rows: list[MovementRow]) -> Fraction:
    return monthly(Share(row.opening, row.divisor) for row in rows if row.divisor is not None)


def _closing(rows: list[MovementRow]) -> Fraction:
    return monthly(Share(row.closing, row.divisor) for row in rows if row.divisor is not None)

"""The business in numbers: subscriptions, recurring revenue and its movements, grants, purchases and refunds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from billing.domain.revenue import month_of
from billing.errors import FieldFault, Refused
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, page, place
from billing.http.schemas import Instant, ProjectId
from billing.store.connection import transaction
from billing.store.projects import find_project
from billing.store.reports import MoneyRow, list_project_ids
from billing.usecases.manage_projects import no_project
from billing.usecases.report_revenue import Moved, Period, Report, Revenue, report_revenue
from functions.admin.desk import Call, Desk, Routes, answered


class MetricsQuery(PageQuery):
    """Without `project_id` all projects, by id. The period is `[from, to)`: this calendar month (UTC) up to now."""

    project_id: ProjectId | None = None
    start: Annotated[Instant | None, Field(alias="from")] = None
    end: Annotated[Instant | None, Field(alias="to", description="Cut at the present")] = None


class MovedAnswer(BaseModel):
    """How many customers, and by how many minor units a month together."""

    customers: int
    amount: int


class MovementsAnswer(BaseModel):
    """A customer's revenue from the project at the period's start against that at its end."""

    new: MovedAnswer
    reactivation: MovedAnswer
    expansion: MovedAnswer
    contraction: MovedAnswer
    churn: MovedAnswer


class RevenueAnswer(BaseModel):
    """Minor units of the currency. `mrr` and `arr` are of now; `opening_mrr` and `closing_mrr` of the period's ends."""

    currency: str
    mrr: int
    arr: int
    opening_mrr: int
    closing_mrr: int
    movements: MovementsAnswer


class MoneyAnswer(BaseModel):
    currency: str
    count: int
    amount: int


class SubscriptionsAnswer(BaseModel):
    """Now, by Stripe's `status`."""

    active: int
    trialing: int
    past_due: int
    paused: int
    unpaid: int


class GrantsAnswer(BaseModel):
    """Now. A denial takes a feature away."""

    grants: int
    denials: int


class ProjectMetrics(BaseModel):
    """`unclear_items`: subscription items whose price or discount is not known well enough to count right in `mrr`."""

    project_id: str
    subscriptions: SubscriptionsAnswer
    paying_customers: int
    unclear_items: int
    revenue: list[RevenueAnswer]
    live: GrantsAnswer
    purchases: list[MoneyAnswer]
    refunds: list[MoneyAnswer]


class MetricsAnswer(Page[ProjectMetrics]):
    """Purchases, refunds and movements are those of `[from, to)`; all else is as of `as_of`."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    as_of: Instant
    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]


METRICS = Operation(
    "GET",
    "/api/v1/admin/metrics",
    "readMetrics",
    "Subscriptions, recurring revenue and its movements, grants, purchases and refunds of projects",
    MetricsAnswer,
    query=MetricsQuery,
    problems=("project_not_found",),
)


def _metrics(desk: Desk, call: Call) -> Response:
    query, now = of(MetricsQuery, call.asked.query), desk.now()
    period = _period(query, now)
    after = place(query, str)
    with transaction(desk.database_url) as connection:
        if query.project_id is None:
            ids = list_project_ids(connection, after[0] if after else None, query.limit + 1)
        elif find_project(connection, query.project_id) is None:
            raise no_project(query.project_id)
        else:
            ids = [query.project_id]
        shown = page(query, ids, lambda project_id: (project_id,))
        told = report_revenue(connection, shown.data, period, now)
    answer = MetricsAnswer(
        data=[_project(report) for report in told],
        has_more=shown.has_more,
        next_cursor=shown.next_cursor,
        as_of=now,
        start=period.start,
        end=period.end,
    )
    return answered(call, answer)


def _period(query: MetricsQuery, now: datetime) -> Period:
    start, end = query.start or month_of(now), min(query.end or now, now)
    if start >= end:
        fault = FieldFault("?from", "from must lie before to, and in the past")
        raise Refused("invalid_request", "The period is empty.", fields=(fault,))
    return Period(start, end)


def _project(report: Report) -> ProjectMetrics:
    now = report.present
    return ProjectMetrics(
        project_id=now.project_id,
        subscriptions=SubscriptionsAnswer.model_validate(now.subscriptions),
        paying_customers=now.paying_customers,
        unclear_items=now.unclear_items,
        revenue=[_revenue(revenue) for revenue in report.revenue],
        live=GrantsAnswer(grants=now.grants, denials=now.denials),
        purchases=[_money(money) for money in report.purchases],
        refunds=[_money(money) for money in report.refunds],
    )


def _revenue(revenue: Revenue) -> RevenueAnswer:
    return RevenueAnswer(
        currency=revenue.currency,
        mrr=revenue.mrr,
        arr=revenue.arr,
        opening_mrr=revenue.opening,
        closing_mrr=revenue.closing,
        movements=MovementsAnswer.model_validate({name: _moved(moved) for name, moved in revenue.moved.items()}),
    )


def _moved(moved: Moved) -> MovedAnswer:
    return MovedAnswer(customers=moved.customers, amount=moved.amount)


def _money(money: MoneyRow) -> MoneyAnswer:
    return MoneyAnswer(currency=money.currency, count=money.number, amount=money.amount)


ROUTES: Routes = ((METRICS, _metrics),)

"""Users: listed, and all that is known about one of them on one page."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, page, place
from billing.http.schemas import Instant, ProjectId
from billing.store import customer_page as stored
from billing.store import projects
from billing.store.connection import transaction
from billing.store.inbox import Status
from billing.usecases.customer_page import customer_page
from billing.usecases.manage_projects import no_project
from functions.admin.desk import Call, Desk, Routes, answered

OneT = TypeVar("OneT")


class Section(BaseModel, Generic[OneT]):
    """A list of the page, cut at its latest rows."""

    data: list[OneT]
    has_more: bool


class StripeCustomer(BaseModel):
    id: str
    created_at: Instant
    deleted_at: Instant | None


class Bought(BaseModel):
    """What was bought, and which project sells it."""

    product_id: str
    project_id: str
    price_id: str
    lookup_key: str | None
    quantity: int


class Item(Bought):
    id: str
    period_start: Instant
    period_end: Instant


class Subscription(BaseModel):
    """As Stripe last stated it; `status` is Stripe's word."""

    id: str
    stripe_customer_id: str
    status: str
    start_at: Instant
    trial_end: Instant | None
    cancel_at: Instant | None
    cancel_at_period_end: bool
    canceled_at: Instant | None
    ended_at: Instant | None
    latest_invoice_id: str | None
    items: Section[Item]


class Purchase(Bought):
    """A line of a one-time checkout; `amount` in minor units. `paid_at` null: not paid."""

    session_id: str
    line_item_id: str
    amount: int
    currency: str
    payment_intent_id: str | None
    paid_at: Instant | None


class Refund(BaseModel):
    id: str
    amount: int
    status: str
    created_at: Instant


class Dispute(BaseModel):
    id: str
    amount: int
    status: str
    opened_at: Instant
    closed_at: Instant | None


class Charge(BaseModel):
    """A charge of which money went back, or may: known here since its first refund or dispute."""

    id: str
    amount: int
    currency: str
    payment_intent_id: str | None
    invoice_id: str | None
    subscription_id: str | None
    session_id: str | None
    refunds: Section[Refund]
    disputes: Section[Dispute]


class Grant(BaseModel):
    """Given by hand, or (`denial`) taken. `valid_to` null: for ever."""

    id: str
    project_id: str
    feature: str
    value: Any
    denial: bool
    priority: int
    valid_from: Instant
    valid_to: Instant | None
    reason: str
    actor: str
    created_at: Instant
    revoked_at: Instant | None


class CheckoutSession(BaseModel):
    id: str
    project_id: str
    mode: Literal["payment", "subscription"]
    status: Literal["open", "complete", "expired"]
    expires_at: Instant
    created_at: Instant


class RecentEvent(BaseModel):
    """`created` is Stripe's clock."""

    id: str
    type: str
    status: Status
    reason: str | None
    created: Instant | None
    received_at: Instant


class RecentAct(BaseModel):
    """A row of the audit about one of the user's grants or events."""

    project_id: str | None
    seq: int
    at: Instant
    actor: str
    action: str
    target: str
    reason: str | None


class CustomerAnswer(BaseModel):
    """One user. `entitlements` is what the project's own key is answered now; the rest is the whole namespace's."""

    project_id: str
    user_id: str
    namespace: str
    version: int
    created_at: Instant
    changed_at: Instant | None
    stripe_customers: Section[StripeCustomer]
    subscriptions: Section[Subscription]
    purchases: Section[Purchase]
    charges: Section[Charge]
    grants: Section[Grant]
    checkout_sessions: Section[CheckoutSession]
    events: Section[RecentEvent]
    audit: Section[RecentAct]
    entitlements: dict[str, Any]


class CustomerRow(BaseModel):
    """`stripe_customer` is the one that lives; `version` counts the changes of what they hold."""

    user_id: str
    version: int
    stripe_customer: str | None
    created_at: Instant
    changed_at: Instant | None


class CustomersQuery(PageQuery):
    project_id: Annotated[ProjectId, Field(description="Whose users: those of its namespace")]


_CUSTOMERS = "/api/v1/admin/customers"
LIST = Operation(
    "GET",
    _CUSTOMERS,
    "listCustomers",
    "A project's users, by id",
    Page[CustomerRow],
    query=CustomersQuery,
    problems=("project_not_found",),
)
# Greedy: some fronts decode a path before they match it, and a user id may hold slashes.
READ = Operation(
    "GET",
    _CUSTOMERS + "/{project_id}/{user_id+}",
    "readCustomer",
    "All that is known about one user",
    CustomerAnswer,
    problems=("project_not_found", "customer_not_found"),
)


def _list(desk: Desk, call: Call) -> Response:
    query = of(CustomersQuery, call.asked.query)
    after = place(query, str)
    with transaction(desk.database_url) as connection:
        if projects.find_project(connection, query.project_id) is None:
            raise no_project(query.project_id)
        rows = stored.list_customers(
            connection, query.project_id, after=after[0] if after else "", limit=query.limit + 1
        )
    told = [CustomerRow.model_validate(row, from_attributes=True) for row in rows]
    return answered(call, page(query, told, lambda row: (row.user_id,)))


def _read(desk: Desk, call: Call) -> Response:
    told = customer_page(desk.database_url, call.asked.path["project_id"], call.asked.path["user_id"], desk.now())
    return answered(call, CustomerAnswer.model_validate(told))


ROUTES: Routes = ((LIST, _list), (READ, _read))

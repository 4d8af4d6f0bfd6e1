"""All that Stripe has of this account, list by list and page by page, newest first: what a rebuild reads.

The order of `STAGES` is that in which one thing refers to another. Refunds and disputes name their charges, so charges
are not listed. Metadata says what is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from stripe import StripeClient

from billing.domain.facts import EventFact, InvoiceFact
from billing.payments.charges import read_dispute, read_refund
from billing.payments.events import read_checkout, read_customer, read_subscription, subscription_of_invoice
from billing.payments.members import Members
from billing.payments.objects import CHECKOUT_PARTS, page, read_whole_checkout
from billing.payments.prices import EXPAND, read_price, read_product

Stage = Literal["products", "prices", "customers", "subscriptions", "invoices", "checkouts", "refunds", "disputes"]
STAGES: tuple[Stage, ...] = get_args(Stage)

_LISTS: Mapping[Stage, tuple[str, Mapping[str, Any]]] = {
    "products": ("/v1/products", {}),
    "prices": ("/v1/prices", {"expand": [f"data.{path}" for path in EXPAND]}),
    "customers": ("/v1/customers", {}),
    "subscriptions": ("/v1/subscriptions", {"status": "all"}),  # the default leaves the canceled ones out
    "invoices": ("/v1/invoices", {}),
    "checkouts": (
        "/v1/checkout/sessions",
        {"status": "complete", "expand": [f"data.{path}" for path in CHECKOUT_PARTS]},
    ),
    "refunds": ("/v1/refunds", {}),
    "disputes": ("/v1/disputes", {}),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a list, seen at Stripe's second `at`."""

    id: str
    at: int
    raw: Members = field(repr=False)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    rows: tuple[Row, ...]
    more: bool


def read_page(client: StripeClient, stage: Stage, after: str | None) -> HistoryPage:
    """The page behind the object `after` (None: the first). Raises Transient; Rejected, `missing("starting_after")`
    where Stripe has that object no more.
    """
    path, params = _LISTS[stage]
    found = page(client, path, dict(params), after)
    return HistoryPage(
        tuple(Row(raw.reference("id"), found.at, raw) for raw in found.rows), more=found.last is not None
    )


def project_of(row: Row) -> str | None:
    """Whose a `product` is by its metadata: `billing_project_id`, ours, or `project_id`, an operator's."""
    metadata = row.raw.inner_or_none("metadata") or Members({}, "metadata")
    return metadata.text_or_none("billing_project_id") or metadata.text_or_none("project_id")


def customer_of(row: Row) -> str | None:
    """The Stripe customer that a subscription, an invoice or a checkout session names."""
    return row.raw.reference_or_none("customer")


def fact_of(client: StripeClient, stage: Stage, row: Row) -> EventFact | None:
    """What the row states; None where it has no bearing on what anybody may do.

    Raises Permanent (`unknown_shape`), and Transient where a session has more lines than its list tells.
    """
    match stage:
        case "products":
            return read_product(row.raw)
        case "prices":
            return read_price(row.raw)
        case "customers":
            return read_customer(row.raw)
        case "subscriptions":
            return read_subscription(row.raw)
        case "invoices":
            return _invoice(row.raw)
        case "checkouts":
            fact = read_checkout(row.raw)
            return read_whole_checkout(client, row.raw) if fact.mode == "payment" and fact.paid else None
        case "refunds":
            return read_refund(row.raw)
        case "disputes":
            return read_dispute(row.raw)


def _invoice(raw: Members) -> InvoiceFact | None:
    """Of a subscription's `invoice`: paid at `status_transitions.paid_at`; or not paid though it was tried, failed when
    it was first tried, which is at `finalized_at`.
    """
    subscription_id = subscription_of_invoice(raw)
    moments = raw.inner("status_transitions")
    paid_at, finalized_at = moments.instant_or_none("paid_at"), moments.instant_or_none("finalized_at")
    customer = raw.reference_or_none("customer")
    if subscription_id is None or customer is None:
        return None
    if paid_at is not None:
        return InvoiceFact(raw.reference("id"), customer, subscription_id, "paid", paid_at)
    if not raw.flag("attempted"):
        return None
    failed_at = finalized_at or raw.instant("created")
    return InvoiceFact(raw.reference("id"), customer, subscription_id, "failed", failed_at)

"""Opens Stripe's customer portal, where users change, cancel and resume what they pay for, and see their invoices."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from billing.domain.origins import fault_of_redirect
from billing.errors import FieldFault, Refused
from billing.payments import sessions
from billing.payments.client import Rejected, StripeClient
from billing.store import customers
from billing.store.connection import transaction
from billing.usecases.ensure_customer import forget_stripe_customer
from billing.usecases.once import Finished, Outcome, Request, once
from billing.usecases.price_order import Seller


@dataclass(frozen=True, slots=True)
class Visit:
    """Whose portal to open, and where its way back leads. `project_id` is what the caller believes its key is of."""

    user_id: str
    return_url: str
    project_id: str | None = None


def open_portal(
    database_url: str,
    stripe: StripeClient,
    seller: Seller,
    request: Request,
    visit: Visit,
    now: Callable[[], datetime],
) -> Outcome:
    """201 with `{url}`. In a shared namespace the portal shows all the customer has there, whichever project sold it.

    Raises Transient, and Refused: `wrong_project`, `url_not_allowed`, `customer_not_found`, `customer_deleted`,
    `portal_not_configured`, or of the Idempotency-Key.
    """
    if visit.project_id is not None and visit.project_id != seller.project_id:
        raise Refused("wrong_project", "The key is of another project than the one named: use that project's own key.")
    return once(database_url, request, lambda: _open(database_url, stripe, seller, visit, now))


def _open(
    database_url: str, stripe: StripeClient, seller: Seller, visit: Visit, now: Callable[[], datetime]
) -> Finished:
    fault = fault_of_redirect(visit.return_url, seller.allowed_origins)
    if fault is not None:
        faults = (FieldFault("/return_url", fault),)
        raise Refused("url_not_allowed", "Use a URL of the project's allowed origins.", fields=faults)
    stripe_id = _stripe_customer(database_url, seller.namespace, visit.user_id)
    try:
        url = sessions.open_portal(stripe, stripe_id, visit.return_url)
    except Rejected as refusal:
        if refusal.missing("customer"):
            forget_stripe_customer(database_url, stripe_id, now())
            raise _deleted() from refusal
        raise _not_configured(refusal) from refusal
    return Finished(201, json.dumps({"url": url}))


def _stripe_customer(database_url: str, namespace: str, user_id: str) -> str:
    with transaction(database_url) as connection:
        customer = customers.find(connection, namespace, user_id)
    if customer is not None and customer.stripe_id is not None:
        return customer.stripe_id
    if customer is not None and customer.generation > 0:
        raise _deleted()
    raise Refused("customer_not_found", "The user has never been to a checkout, so there is nothing to manage.")


def _deleted() -> Refused:
    return Refused("customer_deleted", "The customer was deleted in Stripe: a new checkout makes a new one.")


def _not_configured(refusal: Rejected) -> Refused:
    """Its customer and URL being good, all a portal session can still lack is the account's configuration."""
    return Refused(
        "portal_not_configured",
        f"Save a customer portal configuration in Stripe's dashboard, in this mode. {refusal.detail}",
    )

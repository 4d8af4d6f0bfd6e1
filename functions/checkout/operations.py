"""Checkouts: what there is to buy, a user sent to Stripe's page to buy it, and what came of it applied."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from billing.http.operations import Operation
from billing.http.schemas import CheckoutBody, Instant
from functions.checkout.catalog import CatalogAnswer

AT_STRIPE = ("stripe_key_refused", "stripe_unavailable")


class CheckoutAnswer(BaseModel):
    """Send the user's browser to `url`; the session is over at `expires_at`."""

    session_id: str
    url: str
    expires_at: Instant


class SyncAnswer(BaseModel):
    """`status` is Stripe's word; `paid` also where nothing was to be paid.

    Every later answer about the user is of `entitlements_version` or newer.
    """

    session_id: str
    status: Literal["open", "complete", "expired"]
    payment_status: Literal["paid", "unpaid"]
    entitlements_version: int


OPEN = Operation(
    "POST",
    "/api/v1/checkout",
    "openCheckout",
    "Open a hosted checkout for a user",
    CheckoutAnswer,
    status=201,
    body=CheckoutBody,
    problems=(
        "url_not_allowed",
        "price_not_found",
        "mixed_prices",
        "already_subscribed",
        "promotion_code_not_found",
        "checkout_refused",
        "contended",
        *AT_STRIPE,
    ),
    opens="project",
    writes=True,
)
SYNC = Operation(
    "POST",
    "/api/v1/checkout/{session_id}/sync",
    "syncCheckout",
    "Apply a checkout's outcome now, for the page the user comes back to",
    SyncAnswer,
    problems=("session_not_found", "fetch_budget_spent", "contended", "raced", "unreadable_newer", *AT_STRIPE),
    opens="project",
)
CATALOG = Operation(
    "GET",
    "/api/v1/catalog",
    "readOwnCatalog",
    "What the project sells and gates now",
    CatalogAnswer,
    opens="project",
)
OPERATIONS = (OPEN, SYNC, CATALOG)

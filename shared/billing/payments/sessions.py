"""What a sale needs of Stripe: the customer, the hosted checkout, the portal. Each create is safe to send again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from stripe import StripeClient
from stripe.params.checkout import SessionCreateParams

from billing.domain.windows import from_seconds
from billing.errors import Transient
from billing.payments.client import create_once, derived_key, our_errors

Mode = Literal["payment", "subscription"]
_LONGEST_REFERENCE = 200  # of `client_reference_id`


@dataclass(frozen=True, slots=True)
class OrderLine:
    price_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Order:
    """What to open a checkout for. `project_id` and `user_id` go into metadata for people; no code reads them there."""

    project_id: str
    user_id: str
    mode: Mode
    lines: tuple[OrderLine, ...]
    success_url: str
    cancel_url: str
    trial_days: int | None = None
    promotion_code: str | None = None
    allow_promotion_codes: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """An open `checkout.session`: send the browser to `url` before `expires_at`."""

    id: str
    url: str
    expires_at: datetime


def create_customer(client: StripeClient, namespace: str, user_id: str, generation: int) -> str:
    """The id of a new `customer`. The same one however often this runs for a generation within 24 h (Stripe's memory).

    Its parameters are constant, so that no retry can differ. Raises Transient, Rejected.
    """
    user = hashlib.sha256(user_id.encode()).hexdigest()[:32]
    return create_once(
        f"customer:{namespace}:{user}:{generation}",
        lambda options: client.v1.customers.create(
            {"metadata": {"billing_namespace": namespace, "billing_user_id": user_id}}, options
        ),
    ).id


def set_email(client: StripeClient, stripe_customer_id: str, email: str) -> None:
    """Where Stripe sends the customer's receipts. Raises Transient, Rejected (also where the customer is gone)."""
    with our_errors(named="customer"):
        client.v1.customers.update(stripe_customer_id, {"email": email})


def open_checkout(client: StripeClient, stripe_customer_id: str, order: Order, seed: str) -> Opened:
    """A hosted `checkout.session`; the same one for the same order and seed within 24 h. Raises Transient, Rejected."""
    params = _checkout_params(stripe_customer_id, order)
    session = create_once(
        derived_key(f"checkout:{order.project_id}", seed, params),
        lambda options: client.v1.checkout.sessions.create(params, options),
    )
    if session.url is None:
        raise Transient("stripe_unavailable", f"Stripe opened {session.id} without a page: try again with another key.")
    return Opened(session.id, session.url, from_seconds(session.expires_at))


def open_portal(client: StripeClient, stripe_customer_id: str, return_url: str) -> str:
    """The URL of a new `billing_portal.session`. Raises Transient, Rejected."""
    with our_errors():
        session = client.v1.billing_portal.sessions.create({"customer": stripe_customer_id, "return_url": return_url})
    return session.url


def _checkout_params(stripe_customer_id: str, order: Order) -> SessionCreateParams:
    metadata = {"billing_project_id": order.project_id, "billing_user_id": order.user_id}
    params: SessionCreateParams = {
        "mode": order.mode,
        "ui_mode": "hosted_page",
        "customer": stripe_customer_id,
        "line_items": [{"price": line.price_id, "quantity": line.quantity} for line in order.lines],
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "metadata": metadata,
    }
    if len(order.user_id) <= _LONGEST_REFERENCE:
        params["client_reference_id"] = order.user_id
    if order.mode == "subscription":
        params["subscription_data"] = {"metadata": metadata}
        if order.trial_days is not None:
            params["subscription_data"]["trial_period_days"] = order.trial_days
    if order.promotion_code is not None:
        params["discounts"] = [{"promotion_code": order.promotion_code}]
    elif order.allow_promotion_codes:
        params["allow_promotion_codes"] = True
    return params

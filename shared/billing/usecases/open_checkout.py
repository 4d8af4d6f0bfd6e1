"""Opens a hosted Stripe checkout for a project's user. What can be checked here is checked before Stripe is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime

from billing.domain.windows import rfc3339
from billing.errors import FieldFault, Refused, Transient
from billing.payments import sessions
from billing.payments.client import Rejected, StripeClient
from billing.payments.sessions import Opened, Order
from billing.store import checkouts
from billing.store.checkouts import CheckoutSession
from billing.store.connection import transaction
from billing.usecases.ensure_customer import Linked, ensure_customer, forget_stripe_customer
from billing.usecases.once import Finished, Outcome, Request, once
from billing.usecases.price_order import Seller, Wanted, price_order

_LINE = re.compile(r"line_items\[(\d+)\]")
_ROUNDS = 2


def open_checkout(
    database_url: str,
    stripe: StripeClient,
    seller: Seller,
    request: Request,
    wanted: Wanted,
    now: Callable[[], datetime],
) -> Outcome:
    """201 with `{session_id, url, expires_at}`.

    Raises Transient, and Refused with the codes of `price_order` and `once`, `promotion_code_not_found`,
    `checkout_refused`. Whatever is raised gives the Idempotency-Key back.
    """
    return once(database_url, request, lambda: _open(database_url, stripe, seller, request.seed, wanted, now))


def _open(
    database_url: str, stripe: StripeClient, seller: Seller, seed: str, wanted: Wanted, now: Callable[[], datetime]
) -> Finished:
    with transaction(database_url) as connection:
        order = price_order(connection, seller, wanted)
    for _ in range(_ROUNDS):
        linked = ensure_customer(database_url, stripe, seller.namespace, wanted.user_id)
        try:
            opened = _at_stripe(stripe, linked, order, wanted.email, seed)
        except Rejected as refusal:
            if not refusal.missing("customer"):
                raise _refused(refusal, wanted) from refusal
            forget_stripe_customer(database_url, linked.stripe_id, now())
        else:
            return _finished(seller, linked, order, opened)
    raise Transient("contended", "The customer keeps being deleted in Stripe meanwhile: try again.")


def _at_stripe(stripe: StripeClient, linked: Linked, order: Order, email: str | None, seed: str) -> Opened:
    if email is not None:
        sessions.set_email(stripe, linked.stripe_id, email)
    return sessions.open_checkout(stripe, linked.stripe_id, order, seed)


def _finished(seller: Seller, linked: Linked, order: Order, opened: Opened) -> Finished:
    session = CheckoutSession(opened.id, seller.project_id, linked.id, order.mode, "open", opened.expires_at)
    body = json.dumps({"session_id": opened.id, "url": opened.url, "expires_at": rfc3339(opened.expires_at)})
    return Finished(201, body, lambda connection: checkouts.record(connection, session))


def _refused(refusal: Rejected, wanted: Wanted) -> Refused:
    """Stripe's no, in terms of the caller's body. Only Stripe's code and parameter are told: no values."""
    line = _LINE.match(refusal.param)
    if line is not None and int(line[1]) < len(wanted.lines):
        fault = FieldFault(wanted.lines[int(line[1])].pointer, f"Stripe refuses it: {refusal.reason or 'no code'}")
        return Refused("price_not_found", "Use active prices of this project.", fields=(fault,))
    if refusal.param.startswith(("discounts", "promotion_code")):
        fault = FieldFault("/promotion_code", "no promotion code that can be used here")
        return Refused("promotion_code_not_found", "Use the id of an active promotion code.", fields=(fault,))
    if refusal.param == "email":
        fault = FieldFault("/email", "Stripe takes it for no e-mail address")
        return Refused("invalid_request", "Send an e-mail address, or none.", fields=(fault,))
    return Refused("checkout_refused", refusal.detail)

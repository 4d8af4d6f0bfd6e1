"""Paying at the checkout: by the hosted page, by tests, by Stripe's own CLI; delayed payments decided later."""

from infra.local.stripe_double import billing
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import StripeFault, invalid, missing
from infra.local.stripe_double.events import emit
from infra.local.stripe_double.objects import (
    checkout,
    customers,
    invoice_lines,
    invoices,
    methods,
    payments,
    subscriptions,
)
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj


def confirm(account: Account, params: Params, session_id: str) -> Obj:
    """POST /v1/payment_pages/{id}/confirm, as Stripe's CLI does it in place of a browser."""
    method = methods.resolve(account, params["payment_method"], param="payment_method")
    return pay(account, session_id, method)


def pay(account: Account, session_id: str, method: Obj, *, email: str | None = None) -> Obj:
    """The customer pays with the method. StripeFault 402 if it is declined: the session stays open for another."""
    session = checkout.open_session(account, session_id)
    declined = methods.behaviour_of(account, method) == "decline"
    if declined:
        _decline(account, session, method)
        raise _card_fault(session)
    email = email or session["customer_email"]
    customer = _customer(account, session, email, method)
    if session["mode"] == "subscription":
        _subscribe(account, session, customer, method)
    else:
        _buy(account, session, customer, method)
    session.update(
        status="complete",
        customer=customer["id"] if customer else None,
        customer_details=checkout.customer_details(email, customer),
    )
    account.put(session)
    account.set_timer("expire_session", session_id, None)
    emit(account, "checkout.session.completed", session)
    return session


def _card_fault(session: Obj) -> StripeFault:
    return StripeFault(
        402,
        "card_error",
        "Your card was declined.",
        code="card_declined",
        decline_code="generic_decline",
        param=None,
        checkout_session=session["id"],
    )


def _decline(account: Account, session: Obj, method: Obj) -> None:
    if session["amount_total"] > 0:
        intent = payments.new_intent(
            account, amount=session["amount_total"], currency=session["currency"], customer=session["customer"]
        )
        payments.pay(account, intent, method)


def _customer(account: Account, session: Obj, email: str | None, method: Obj) -> Obj | None:
    """The session's customer: given, made now, or (a guest's single payment) none."""
    if session["customer"]:
        customer = account.get("customer", session["customer"], param="customer")
    elif session["mode"] == "subscription" or session["customer_creation"] == "always":
        customer = customers.create(account, {"email": email or "buyer@example.com"})
    else:
        return None
    if method["customer"] is None:
        methods.attach(account, {"customer": customer["id"]}, method["id"])
    return customer


def _buy(account: Account, session: Obj, customer: Obj | None, method: Obj) -> None:
    if session["amount_total"] == 0:
        session["payment_status"] = "no_payment_required"
        return
    terms = account.facts_of(session["id"])["params"].get("payment_intent_data", {})
    intent = payments.new_intent(
        account,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=customer["id"] if customer else None,
        description=terms.get("description"),
        metadata=merged({}, terms),
        setup_future_usage=terms.get("setup_future_usage"),
        payment_method_types=session["payment_method_types"],
    )
    payments.pay(account, intent, method)
    session["payment_intent"] = intent["id"]
    session["payment_status"] = "unpaid" if intent["status"] == "processing" else "paid"


def _subscribe(account: Account, session: Obj, customer: Obj | None, method: Obj) -> None:
    if customer is None:
        raise missing("customer", str(session["customer"]), param="customer")
    facts = account.facts_of(session["id"])
    bought = [(account.objects[line["price"]], line) for line in facts["items"]]
    terms = {**facts["params"].get("subscription_data", {}), "default_payment_method": method["id"]}
    terms["discounts"] = facts["params"].get("discounts")
    subscription = subscriptions.start(
        account,
        customer,
        [(price, {"quantity": line["quantity"]}) for price, line in bought if price["type"] == "recurring"],
        terms,
        method=method,
        collect=True,
        extra_lines=[_once(account, price, line) for price, line in bought if price["type"] == "one_time"],
    )
    invoice = account.objects[subscription["latest_invoice"]]
    session.update(subscription=subscription["id"], invoice=invoice["id"], payment_status="paid")
    if session["amount_total"] == 0:
        session["payment_status"] = "no_payment_required"
    elif invoice["status"] != "paid":
        session["payment_status"] = "unpaid"


def _once(account: Account, price: Obj, line: Obj) -> Obj:
    now = account.clock.now()
    period = {"start": now, "end": now}
    text = line["description"]
    return invoice_lines.line(
        account, price, line["quantity"], amount=line["amount_subtotal"], period=period, parent={}, text=text
    ) | {"parent": None}


def settle(account: Account, session_id: str, *, paid: bool) -> Obj:
    """A delayed payment of a completed session is decided."""
    session = account.get("checkout.session", session_id)
    if session["status"] != "complete" or session["payment_status"] != "unpaid":
        raise invalid(f"The session {session_id} waits for no delayed payment: pay it by a delayed method first.")
    invoice = account.objects[session["invoice"]] if session["invoice"] else None
    intent = invoices.intent_of(account, invoice) if invoice else account.objects[session["payment_intent"]]
    _decide(account, intent, invoice, paid=paid)
    session["payment_status"] = "paid" if paid else "unpaid"
    account.put(session)
    emit(account, f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)
    return session


def _decide(account: Account, intent: Obj, invoice: Obj | None, *, paid: bool) -> None:
    account.set_timer("decide_payment", intent["id"], None)
    if intent["status"] != "processing":
        raise invalid(f"The payment {intent['id']} is decided already: {intent['status']}.")
    act = payments.settle if paid else payments.fail
    act(account, intent)
    if invoice:
        follow = billing.arrived if paid else billing.failed
        follow(account, invoice)


def decide_by_time(account: Account, intent_id: str) -> None:
    """A debit by a test IBAN has taken its time: it succeeds or fails as the IBAN says."""
    intent = account.objects[intent_id]
    if intent["status"] != "processing":
        return
    paid = account.facts_of(intent["payment_method"])["fate"] == "succeeds"
    payment = next((p for p in account.newest("invoice_payment") if p["payment"]["payment_intent"] == intent_id), None)
    billed_by = payment["invoice"] if payment else None
    for session in account.newest("checkout.session"):
        if session["payment_intent"] == intent_id or (billed_by and session["invoice"] == billed_by):
            settle(account, session["id"], paid=paid)
            return
    _decide(account, intent, account.objects[billed_by] if billed_by else None, paid=paid)

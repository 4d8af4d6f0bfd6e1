"""Checkout sessions: opened through the API, completed by the hosted page, by tests or by Stripe's own CLI."""

from infra.local.stripe_double import billing
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import StripeFault, invalid, missing
from infra.local.stripe_double.events import emit
from infra.local.stripe_double.lists import page, within
from infra.local.stripe_double.money import amount_of, discount_of
from infra.local.stripe_double.objects import customers, invoices, items, methods, payments, subscriptions
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.periods import DAY
from infra.local.stripe_double.templates import Obj, new
from infra.local.stripe_double.views import session_items

_SHORTEST, _LONGEST = 30 * 60, DAY


def create(account: Account, params: Params) -> Obj:
    mode = params.get("mode")
    if mode is None:
        raise invalid("Missing required param: mode.", param="mode", code="parameter_missing")
    if mode == "setup":
        raise invalid("The double knows the modes payment and subscription, not setup.", param="mode")
    if "success_url" not in params:
        raise invalid("Missing required param: success_url.", param="success_url", code="parameter_missing")
    if "customer" in params:
        customers.living(account, params["customer"], param="customer")
        if "customer_email" in params:
            raise invalid("You may only specify one of these parameters: customer, customer_email.", param="customer")
    lines = _line_items(account, params)
    session_id = account.ids.new("checkout.session")
    session = account.create(
        "checkout.session",
        id=session_id,
        expires_at=_expiry(account, params),
        **_options(params),
        **_totals(account, params, lines),
    )
    account.keep_facts(session_id, items=lines, params=params)
    account.set_timer("expire_session", session_id, session["expires_at"])
    return session


def _expiry(account: Account, params: Params) -> int:
    now = account.clock.now()
    at = int(params.get("expires_at", now + _LONGEST))
    if not now + _SHORTEST <= at <= now + _LONGEST:
        side = "less than 24 hours" if at > now + _LONGEST else "at least 30 minutes"
        raise invalid(f"The `expires_at` timestamp must be {side} from Checkout Session creation.", param="expires_at")
    return at


def _options(params: Params) -> Obj:
    copied = ("allow_promotion_codes", "cancel_url", "client_reference_id", "customer", "customer_email", "success_url")
    # Until 2026 the parameter was `payment_method_types`.
    kinds = params.get("allowed_payment_method_types") or params.get("payment_method_types")
    subscription = params["mode"] == "subscription"
    collection = params.get("payment_method_collection", "always") if subscription else "if_required"
    creation = None if subscription or "customer" in params else params.get("customer_creation", "if_required")
    return {
        **{name: params.get(name) for name in copied},
        "allowed_payment_method_types": kinds,
        "adaptive_pricing": {"enabled": False},
        "billing_address_collection": params.get("billing_address_collection"),
        "customer_creation": creation,
        "customer_details": _customer_details(params.get("customer_email")) if "customer_email" in params else None,
        "discounts": [{"coupon": d.get("coupon"), "promotion_code": None} for d in params.get("discounts") or []],
        "locale": params.get("locale"),
        "metadata": merged({}, params),
        "mode": params["mode"],
        "payment_method_collection": collection,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": kinds or ["card"],
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "status": "open",
        "submit_type": params.get("submit_type"),
        "ui_mode": params.get("ui_mode", "hosted_page"),
    }


def _customer_details(email: str | None, customer: Obj | None = None) -> Obj:
    known = customer or {}
    names = ("business_name", "individual_name")
    return {
        "address": known.get("address"),
        **dict.fromkeys(names),
        "email": email or known.get("email"),
        "name": known.get("name"),
        "phone": known.get("phone"),
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _line_items(account: Account, params: Params) -> list[Obj]:
    if not params.get("line_items"):
        raise invalid("Missing required param: line_items.", param="line_items", code="parameter_missing")
    lines = []
    for index, wanted in enumerate(params["line_items"]):
        price = items.price_of(account, wanted, param=f"line_items[{index}]")
        lines.append(_line(account, params, price, wanted.get("quantity", 1)))
    kinds = {account.objects[line["price"]]["type"] for line in lines}
    if params["mode"] == "payment" and "recurring" in kinds:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices.",
            param="mode",
        )
    if params["mode"] == "subscription" and "recurring" not in kinds:
        raise invalid("You must provide at least one recurring price in `subscription` mode when using prices.")
    return lines


def _line(account: Account, params: Params, price: Obj, quantity: int) -> Obj:
    trial = price["type"] == "recurring" and _has_trial(params)
    amount = 0 if trial else amount_of(price, quantity)
    return new(
        "item",
        id=account.ids.new("item"),
        amount_discount=0,
        amount_subtotal=amount,
        amount_tax=0,
        amount_total=amount,
        currency=price["currency"],
        description=account.objects[price["product"]]["name"],
        price=price["id"],
        quantity=quantity,
    )


def _has_trial(params: Params) -> bool:
    terms = params.get("subscription_data", {})
    return bool(terms.get("trial_period_days") or terms.get("trial_end"))


def _totals(account: Account, params: Params, lines: list[Obj]) -> Obj:
    subtotal = sum(line["amount_subtotal"] for line in lines)
    off = 0
    for wanted in params.get("discounts") or []:
        coupon = account.get("coupon", wanted.get("coupon", ""), param="discounts[0][coupon]")
        off += discount_of(coupon, subtotal - off)
    return {
        "amount_subtotal": subtotal,
        "amount_total": subtotal - off,
        "currency": lines[0]["currency"],
        "total_details": {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0},
    }


def retrieve(account: Account, _params: Params, session_id: str) -> Obj:
    return account.get("checkout.session", session_id)


def update(account: Account, params: Params, session_id: str) -> Obj:
    session = account.get("checkout.session", session_id)
    session["metadata"] = merged(session["metadata"], params)
    return account.put(session)


def list_sessions(account: Account, params: Params) -> Obj:
    plain = ("customer", "payment_intent", "subscription", "status", "created")
    email = params.get("customer_details", {}).get("email")
    found = (
        session
        for session in account.newest("checkout.session")
        if all(within(session[name], params[name]) for name in plain if name in params)
        and (email is None or (session["customer_details"] or {}).get("email") == email)
    )
    return page(account, "/v1/checkout/sessions", found, params)


def list_line_items(account: Account, params: Params, session_id: str) -> Obj:
    account.get("checkout.session", session_id)
    return page(account, f"/v1/checkout/sessions/{session_id}/line_items", session_items(account, session_id), params)


def expire(account: Account, _params: Params, session_id: str) -> Obj:
    session = _open_session(account, session_id)
    session.update(status="expired")
    account.put(session)
    account.set_timer("expire_session", session_id, None)
    emit(account, "checkout.session.expired", session)
    return session


def expire_by_time(account: Account, session_id: str) -> None:
    if account.objects[session_id]["status"] == "open":
        expire(account, {}, session_id)


def _open_session(account: Account, session_id: str) -> Obj:
    session = account.get("checkout.session", session_id)
    if session["status"] != "open":
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be completed or expired. '
            f"This Checkout Session has a status of {session['status']}."
        )
    return session


# ── paying ───────────────────────────────────────────────────────────────────────────────────────────────────────


def confirm(account: Account, params: Params, session_id: str) -> Obj:
    """POST /v1/payment_pages/{id}/confirm, as Stripe's CLI does it in place of a browser."""
    method = methods.resolve(account, params["payment_method"], param="payment_method")
    return pay(account, session_id, method)


def pay(account: Account, session_id: str, method: Obj, *, email: str | None = None) -> Obj:
    """The customer pays with the method. StripeFault 402 if it is declined: the session stays open for another."""
    session = _open_session(account, session_id)
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
        customer_details=_customer_details(email, customer),
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
    return invoices.line(
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

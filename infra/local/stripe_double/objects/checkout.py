"""Checkout sessions through the API: opened, read, expired. Paying is `checkout_payment.py`."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import emit
from infra.local.stripe_double.lists import page, page_of, within
from infra.local.stripe_double.money import amount_of, discount_of
from infra.local.stripe_double.objects import customers, items
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
        "customer_details": customer_details(params.get("customer_email")) if "customer_email" in params else None,
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


def customer_details(email: str | None, customer: Obj | None = None) -> Obj:
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

    def fits(session: Obj) -> bool:
        return all(within(session[name], params[name]) for name in plain if name in params) and (
            email is None or (session["customer_details"] or {}).get("email") == email
        )

    return page_of(account, "checkout.session", "/v1/checkout/sessions", params, fits)


def list_line_items(account: Account, params: Params, session_id: str) -> Obj:
    account.get("checkout.session", session_id)
    return page(account, f"/v1/checkout/sessions/{session_id}/line_items", session_items(account, session_id), params)


def expire(account: Account, _params: Params, session_id: str) -> Obj:
    session = open_session(account, session_id)
    session.update(status="expired")
    account.put(session)
    account.set_timer("expire_session", session_id, None)
    emit(account, "checkout.session.expired", session)
    return session


def expire_by_time(account: Account, session_id: str) -> None:
    if account.objects[session_id]["status"] == "open":
        expire(account, {}, session_id)


def open_session(account: Account, session_id: str) -> Obj:
    """The session; StripeFault 400 if it is complete or expired."""
    session = account.get("checkout.session", session_id)
    if session["status"] != "open":
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be completed or expired. '
            f"This Checkout Session has a status of {session['status']}."
        )
    return session

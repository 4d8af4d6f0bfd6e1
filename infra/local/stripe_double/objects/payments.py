"""Payment intents and their charges."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import card_declined, invalid
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import listing
from infra.local.stripe_double.objects import disputes, methods
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import render

list_intents = listing("payment_intent", "/v1/payment_intents", customer="customer", created="created")
list_charges = listing("charge", "/v1/charges", customer="customer", created="created", payment_intent="payment_intent")
_TEST_DEBIT_TAKES = 180  # seconds until a debit by one of Stripe's test IBANs is decided
_SMALLEST = 50  # minor units; Stripe's minimum for a card payment


def create(account: Account, params: Params) -> Obj:
    if params["amount"] < _SMALLEST:
        raise invalid("Amount must be at least $0.50 usd", param="amount", code="amount_too_small")
    customer = params.get("customer")
    if customer:
        account.get("customer", customer, param="customer")
    intent = new_intent(
        account,
        amount=params["amount"],
        currency=params["currency"].lower(),
        customer=customer,
        capture_method=params.get("capture_method", "automatic_async"),
        confirmation_method=params.get("confirmation_method", "automatic"),
        description=params.get("description"),
        metadata=merged({}, params),
        # Until 2026 the parameter was `payment_method_types`.
        payment_method_types=params.get("allowed_payment_method_types")
        or params.get("payment_method_types", ["card", "link"]),
        receipt_email=params.get("receipt_email"),
        setup_future_usage=params.get("setup_future_usage"),
        shipping=_shipping(params),
    )
    if not params.get("confirm"):
        return intent
    return confirm(account, {"payment_method": params.get("payment_method", "")}, intent["id"])


def _shipping(params: Params) -> Obj | None:
    given = params.get("shipping")
    if not given:
        return None
    blank: Obj = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"carrier": None, "phone": None, "tracking_number": None, **given, "address": {**blank, **given["address"]}}


def new_intent(account: Account, **fields: object) -> Obj:
    """A payment intent waiting for a payment method, and its event."""
    intent_id = account.ids.new("payment_intent")
    defaults: Obj = {
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{account.ids.text(25)}",
        "confirmation_method": "automatic",
        "payment_method_options": {"card": {"network": None, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    }
    intent = account.create("payment_intent", id=intent_id, **{**defaults, **fields})
    emit(account, "payment_intent.created", intent)
    return intent


def retrieve(account: Account, _params: Params, intent_id: str) -> Obj:
    return account.get("payment_intent", intent_id)


def update(account: Account, params: Params, intent_id: str) -> Obj:
    intent = account.get("payment_intent", intent_id)
    for name in ("description", "receipt_email"):
        intent[name] = params.get(name, intent[name])
    intent["metadata"] = merged(intent["metadata"], params)
    return account.put(intent)


def confirm(account: Account, params: Params, intent_id: str) -> Obj:
    """POST …/confirm: StripeFault 402 if the card is declined."""
    intent = account.get("payment_intent", intent_id)
    if intent["status"] not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
        raise _unexpected_state(intent, "confirmed")
    chosen = params.get("payment_method") or intent["payment_method"]
    if not chosen:
        raise invalid("You must provide a payment method to confirm.", param="payment_method")
    if not pay(account, intent, methods.resolve(account, chosen, param="payment_method")):
        error = intent["last_payment_error"]
        raise card_declined(error["decline_code"], charge=error["charge"], payment_intent=render(account, intent))
    return intent


def pay(account: Account, intent: Obj, method: Obj) -> bool:
    """Try to pay the intent with the method; False if the card is declined. True may also mean: not yet decided."""
    behaviour = methods.behaviour_of(account, method)
    intent.update(payment_method=method["id"], last_payment_error=None)
    match behaviour:
        case "decline":
            _decline(account, intent, method)
            return False
        case "authenticate":
            redirect = {"return_url": None, "url": f"{account.url}/authenticate/{intent['id']}"}
            _move(
                account, intent, "requires_action", next_action={"type": "redirect_to_url", "redirect_to_url": redirect}
            )
            return True
        case "processing":
            _start(account, intent, method)
            return True
        case _:
            _succeed(account, intent, method)
    charge = account.objects[intent["latest_charge"]]
    if behaviour in {"dispute", "inquiry"}:
        disputes.open_dispute(account, charge, inquiry=behaviour == "inquiry")
    return True


def _move(account: Account, intent: Obj, status: str, **fields: object) -> None:
    intent.update(status=status, **fields)
    account.put(intent)
    emit(account, f"payment_intent.{status}", intent)


def _succeed(account: Account, intent: Obj, method: Obj) -> None:
    held = intent["capture_method"] == "manual"
    charge = _charge(account, intent, method, status="succeeded", paid=True, captured=not held)
    charge["amount_captured"] = 0 if held else intent["amount"]
    account.put(charge)
    emit(account, "charge.succeeded", charge)
    if held:
        intent.update(status="requires_capture", amount_capturable=intent["amount"], latest_charge=charge["id"])
        account.put(intent)
        emit(account, "payment_intent.amount_capturable_updated", intent)
    else:
        _move(account, intent, "succeeded", amount_received=intent["amount"], latest_charge=charge["id"])


def _start(account: Account, intent: Obj, method: Obj) -> None:
    """Begin a payment that is decided later: `settle` and `fail` end it."""
    charge = _charge(account, intent, method, status="pending", paid=False, captured=True)
    emit(account, "charge.pending", charge)
    _move(account, intent, "processing", latest_charge=charge["id"])
    if account.facts_of(method["id"]).get("fate"):
        account.set_timer("decide_payment", intent["id"], account.clock.now() + _TEST_DEBIT_TAKES)


def settle(account: Account, intent: Obj) -> None:
    """A delayed payment arrives."""
    charge = account.objects[intent["latest_charge"]]
    charge.update(status="succeeded", paid=True, amount_captured=charge["amount"], outcome=_APPROVED)
    account.put(charge)
    emit(account, "charge.succeeded", charge)
    _move(account, intent, "succeeded", amount_received=intent["amount"])


def fail(account: Account, intent: Obj) -> None:
    """A delayed payment comes to nothing."""
    charge = account.objects[intent["latest_charge"]]
    method = account.objects[intent["payment_method"]]
    _refuse(account, intent, method, charge, decline_code="insufficient_funds")


def _decline(account: Account, intent: Obj, method: Obj) -> None:
    charge = _charge(account, intent, method, status="failed", paid=False, captured=False)
    _refuse(account, intent, method, charge, decline_code="generic_decline")


def _refuse(account: Account, intent: Obj, method: Obj, charge: Obj, *, decline_code: str) -> None:
    message = str(card_declined(decline_code))
    refused = {"network_status": "declined_by_network", "reason": decline_code, "seller_message": message}
    charge.update(
        status="failed",
        failure_code="card_declined",
        failure_message=message,
        outcome={**_APPROVED, **refused, "type": "issuer_declined"},
    )
    account.put(charge)
    emit(account, "charge.failed", charge)
    intent.update(
        latest_charge=charge["id"],
        payment_method=None,
        status="requires_payment_method",
        last_payment_error={
            "type": "card_error",
            "code": "card_declined",
            "decline_code": decline_code,
            "charge": charge["id"],
            "message": message,
            "payment_method": render(account, method),
        },
    )
    account.put(intent)
    emit(account, "payment_intent.payment_failed", intent)


_APPROVED: Obj = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 12,
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def _charge(account: Account, intent: Obj, method: Obj, **fields: object) -> Obj:
    details = {"type": method["type"], method["type"]: methods.used(method)}
    return account.create(
        "charge",
        amount=intent["amount"],
        amount_captured=0,
        amount_refunded=0,
        billing_details=dict(method["billing_details"]),
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        metadata=dict(intent["metadata"]),
        outcome=dict(_APPROVED),
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=details,
        fraud_details={},
        shipping=intent["shipping"],
        **fields,
    )


def capture(account: Account, params: Params, intent_id: str) -> Obj:
    intent = account.get("payment_intent", intent_id)
    if intent["status"] != "requires_capture":
        raise _unexpected_state(intent, "captured")
    amount = params.get("amount_to_capture", intent["amount"])
    charge = account.objects[intent["latest_charge"]]
    with recorded(account, charge, "charge.captured"):
        charge.update(captured=True, amount_captured=amount)
    _move(account, intent, "succeeded", amount_received=amount, amount_capturable=0)
    return intent


def cancel(account: Account, params: Params, intent_id: str) -> Obj:
    intent = account.get("payment_intent", intent_id)
    if intent["status"] in {"succeeded", "canceled", "processing"}:
        raise _unexpected_state(intent, "canceled")
    reason = params.get("cancellation_reason")
    _move(account, intent, "canceled", canceled_at=account.clock.now(), cancellation_reason=reason, next_action=None)
    return intent


def _unexpected_state(intent: Obj, verb: str) -> Exception:
    message = f"This PaymentIntent could not be {verb} because it has a status of {intent['status']}."
    return invalid(message, code="payment_intent_unexpected_state")


def retrieve_charge(account: Account, _params: Params, charge_id: str) -> Obj:
    return account.get("charge", charge_id)


def update_charge(account: Account, params: Params, charge_id: str) -> Obj:
    charge = account.get("charge", charge_id)
    with recorded(account, charge, "charge.updated"):
        charge["description"] = params.get("description", charge["description"])
        charge["metadata"] = merged(charge["metadata"], params)
    return charge

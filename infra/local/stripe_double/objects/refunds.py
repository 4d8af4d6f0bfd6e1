"""Refunds of charges, whole or in part, and refunds that fail after all."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid, missing
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import listing
from infra.local.stripe_double.money import written
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj

list_refunds = listing("refund", "/v1/refunds", charge="charge", payment_intent="payment_intent", created="created")


def create(account: Account, params: Params) -> Obj:
    charge = _charge_of(account, params)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        asked, rest = written(amount, charge["currency"]), written(left, charge["currency"])
        raise invalid(f"Refund amount ({asked}) is greater than unrefunded amount on charge ({rest})", param="amount")
    refund = account.create(
        "refund",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        destination_details={"type": "card", "card": {"type": "refund"}},
        metadata=merged({}, params),
        payment_intent=charge["payment_intent"],
        reason=params.get("reason"),
        status="succeeded",
    )
    emit(account, "refund.created", refund)
    with recorded(account, charge, "charge.refunded"):
        _count(charge, amount)
    return refund


def _count(charge: Obj, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]


def _charge_of(account: Account, params: Params) -> Obj:
    if "charge" in params:
        charge = account.get("charge", params["charge"], param="charge")
    elif "payment_intent" in params:
        intent = account.get("payment_intent", params["payment_intent"], param="payment_intent")
        if not intent["latest_charge"]:
            raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
        charge = account.objects[intent["latest_charge"]]
    else:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if charge["status"] != "succeeded":
        raise missing("charge", charge["id"], param="charge")
    return charge


def retrieve(account: Account, _params: Params, refund_id: str) -> Obj:
    return account.get("refund", refund_id)


def update(account: Account, params: Params, refund_id: str) -> Obj:
    refund = account.get("refund", refund_id)
    before = dict(refund["metadata"] or {})
    refund["metadata"] = merged(before, params)
    account.put(refund)
    if refund["metadata"] != before:
        _tell(account, refund, {"metadata": {key: before.get(key) for key in refund["metadata"]}})
    return refund


def fail(account: Account, refund: Obj) -> Obj:
    """The bank sends the money back: the charge counts as less refunded again."""
    if refund["status"] != "succeeded":
        raise invalid(f"The refund {refund['id']} is {refund['status']}: only a succeeded refund can fail.")
    refund.update(status="failed", failure_reason="expired_or_canceled_card")
    account.put(refund)
    charge = account.objects[refund["charge"]]
    with recorded(account, charge, "charge.updated"):
        _count(charge, -refund["amount"])
    _tell(account, refund, {"status": "succeeded"})
    emit(account, "refund.failed", refund)
    return refund


def _tell(account: Account, refund: Obj, previous: Obj) -> None:
    emit(account, "charge.refund.updated", refund, previous)
    emit(account, "refund.updated", refund, previous)

"""Invoices through the API: made by hand, finalized, paid, sent, voided, written off, deleted."""

from infra.local.stripe_double import billing
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import card_declined, invalid
from infra.local.stripe_double.events import emit
from infra.local.stripe_double.objects import customers, invoices, items, methods
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.periods import DAY
from infra.local.stripe_double.templates import Obj


def create(account: Account, params: Params) -> Obj:
    if "subscription" in params:
        raise invalid("The double makes a subscription's invoices by itself.", param="subscription")
    customer = customers.living(account, params.get("customer", ""), param="customer")
    collection = params.get("collection_method", "charge_automatically")
    due = account.clock.now() + params["days_until_due"] * DAY if "days_until_due" in params else None
    lines = (
        [] if params.get("pending_invoice_items_behavior") == "exclude" else items.take_loose(account, customer["id"])
    )
    about = {"description": params.get("description"), "collection_method": collection, "due_date": due}
    invoice = invoices.draft(account, customer["id"], "manual", lines, **about)
    invoice["metadata"] = merged({}, params)
    return account.put(invoice)


def finalize(account: Account, _params: Params, invoice_id: str) -> Obj:
    invoice = invoices.finalize(account, account.get("invoice", invoice_id))
    if invoice["amount_due"] == 0:
        billing.collect(account, invoice)
    return invoice


def pay(account: Account, params: Params, invoice_id: str) -> Obj:
    """Try to collect now. StripeFault 402 if the card is declined, 400 if there is none or nothing is open."""
    invoice = account.get("invoice", invoice_id)
    if invoice["status"] not in {"draft", "open", "uncollectible"}:
        raise invalid("Invoice is already paid" if invoice["status"] == "paid" else "Invoice can't be paid")
    if params.get("paid_out_of_band"):
        raise invalid("The double takes no payments out of band.", param="paid_out_of_band")
    method = invoices.method_for(account, invoice)
    if "payment_method" in params:
        method = methods.owned(account, params["payment_method"], invoice["customer"], param="payment_method")
    if method is None:
        raise invalid(
            "There is no `default_payment_method` set on this Customer or Invoice.", code="missing_payment_method"
        )
    if not billing.collect(account, invoice, method):
        intent = invoices.intent_of(account, invoice)
        if intent["status"] == "requires_action":
            raise card_declined("authentication_required")
        if intent["last_payment_error"]:
            raise card_declined(intent["last_payment_error"]["decline_code"])
    return invoice


def send(account: Account, _params: Params, invoice_id: str) -> Obj:
    invoice = account.get("invoice", invoice_id)
    if invoice["status"] == "draft":
        invoices.finalize(account, invoice)
    emit(account, "invoice.sent", invoice)
    return invoice


def void(account: Account, _params: Params, invoice_id: str) -> Obj:
    return invoices.void(account, account.get("invoice", invoice_id))


def mark_uncollectible(account: Account, _params: Params, invoice_id: str) -> Obj:
    return invoices.write_off(account, account.get("invoice", invoice_id))


def delete(account: Account, _params: Params, invoice_id: str) -> Obj:
    """Only a draft made by hand can be deleted."""
    invoice = account.get("invoice", invoice_id)
    if invoice["status"] != "draft" or invoice["parent"]:
        raise invalid("You can only delete draft invoices that are not of a subscription.")
    account.remove(invoice)
    emit(account, "invoice.deleted", invoice)
    return {"id": invoice_id, "object": "invoice", "deleted": True}

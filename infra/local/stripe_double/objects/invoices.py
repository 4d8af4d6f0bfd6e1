"""Invoices: drafted, finalized, paid; their lines and payments. What subscriptions make of it is `billing.py`."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import page, page_of, within
from infra.local.stripe_double.objects import methods, payments
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj

# A renewal's invoice can be edited for an hour before it is finalized.
DRAFT_FOR = 3600


def draft(account: Account, customer_id: str, reason: str, lines: list[Obj], **fields: object) -> Obj:
    """A draft invoice over `lines` (their `invoice` is filled in), and its event."""
    customer = account.get("customer", customer_id)
    now = account.clock.now()
    copied = {f"customer_{name}": customer[name] for name in ("address", "email", "name", "phone", "shipping")}
    invoice = account.create(
        "invoice",
        **{"collection_method": "charge_automatically", "period_start": now, "period_end": now, **copied, **fields},
        **_totals(lines),
        **dict.fromkeys(_UNUSED, 0),
        amount_paid=0,
        attempt_count=0,
        auto_advance=True,
        billing_reason=reason,
        currency=lines[0]["currency"] if lines else customer["currency"] or "usd",
        customer=customer_id,
        customer_tax_exempt="none",
        customer_tax_ids=[],
        issuer={"type": "self"},
        metadata={},
        payment_settings={"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        starting_balance=0,
        status="draft",
    )
    account.keep_facts(invoice["id"], lines=[{**line, "invoice": invoice["id"]} for line in lines])
    emit(account, "invoice.created", invoice)
    return invoice


_UNUSED = (
    "amount_overpaid",
    "amount_shipping",
    "post_payment_credit_notes_amount",
    "pre_payment_credit_notes_amount",
)


def _totals(lines: list[Obj]) -> Obj:
    """An invoice's sums. A negative total is not carried over as credit: the double calls it nothing due."""
    subtotal = sum(line["amount"] for line in lines)
    taken: dict[str, int] = {}
    for line in lines:
        for part in line["discount_amounts"] or []:
            taken[part["discount"]] = taken.get(part["discount"], 0) + part["amount"]
    total = subtotal - sum(taken.values())
    return {
        "amount_due": max(total, 0),
        "amount_remaining": max(total, 0),
        "discounts": list(taken),
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_discount_amounts": [{"amount": amount, "discount": name} for name, amount in taken.items()],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }


def finalize(account: Account, invoice: Obj) -> Obj:
    """Draft → open, with a number and, if there is something to collect, a payment intent. Nothing due: paid."""
    if invoice["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize it.", code="invoice_not_editable")
    now = account.clock.now()
    customer = account.get("customer", invoice["customer"])
    number, customer["next_invoice_sequence"] = customer["next_invoice_sequence"], customer["next_invoice_sequence"] + 1
    account.put(customer)
    key = account.ids.text(40)
    invoice.update(
        status="open",
        number=f"{customer['invoice_prefix']}-{number:04}",
        effective_at=now,
        hosted_invoice_url=f"https://invoice.stripe.com/i/acct_double/test_{key}?s=ap",
        invoice_pdf=f"https://pay.stripe.com/invoice/acct_double/test_{key}/pdf?s=ap",
        webhooks_delivered_at=now,
    )
    invoice["status_transitions"]["finalized_at"] = now
    account.put(invoice)
    account.set_timer("finalize_invoice", invoice["id"], None)
    emit(account, "invoice.finalized", invoice)
    if invoice["amount_due"] > 0:
        _ask_for_payment(account, invoice)
    return invoice


def _ask_for_payment(account: Account, invoice: Obj) -> None:
    intent = payments.new_intent(
        account,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description="Subscription creation" if invoice["parent"] else None,
        receipt_email=invoice["customer_email"],
        setup_future_usage="off_session" if invoice["parent"] else None,
    )
    account.create(
        "invoice_payment",
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="open",
    )


def payment_of(account: Account, invoice: Obj) -> Obj | None:
    """The invoice's payment, if anything was due."""
    return next((p for p in account.newest("invoice_payment") if p["invoice"] == invoice["id"]), None)


def intent_of(account: Account, invoice: Obj) -> Obj:
    payment = payment_of(account, invoice)
    if payment is None:
        raise invalid(f"Nothing is due on the invoice {invoice['id']}.", code="invoice_payment_intent_requires_action")
    intent: Obj = account.objects[payment["payment"]["payment_intent"]]
    return intent


def attempt(account: Account, invoice: Obj, method: Obj | None) -> bool:
    """Try to collect an open invoice once. True if it is paid now; False if declined, undecided or without a card."""
    if invoice["amount_due"] == 0:
        mark_paid(account, invoice)
        return True
    intent = intent_of(account, invoice)
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1)
    account.put(invoice)
    if method is not None:
        payments.pay(account, intent, method)
    if intent["status"] == "succeeded":
        mark_paid(account, invoice)
    elif intent["status"] == "requires_action":
        emit(account, "invoice.payment_action_required", invoice)
    return bool(intent["status"] == "succeeded")


def mark_paid(account: Account, invoice: Obj) -> None:
    now = account.clock.now()
    amount = invoice["amount_due"]
    invoice.update(status="paid", amount_paid=amount, amount_remaining=0, attempted=True, auto_advance=False)
    invoice.update(next_payment_attempt=None)
    invoice["status_transitions"]["paid_at"] = now
    account.put(invoice)
    account.set_timer("retry_invoice", invoice["id"], None)
    if payment := payment_of(account, invoice):
        payment.update(status="paid", amount_paid=amount)
        payment["status_transitions"]["paid_at"] = now
        account.put(payment)
    emit(account, "invoice.updated", invoice, {"status": "open"})
    emit(account, "invoice.paid", invoice)
    emit(account, "invoice.payment_succeeded", invoice)
    if payment:
        emit(account, "invoice_payment.paid", payment)


def void(account: Account, invoice: Obj) -> Obj:
    return _end(account, invoice, "void", "voided_at", "invoice.voided")


def write_off(account: Account, invoice: Obj) -> Obj:
    return _end(account, invoice, "uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible")


def _end(account: Account, invoice: Obj, status: str, when: str, event: str) -> Obj:
    if invoice["status"] not in {"open", "uncollectible"}:
        raise invalid(f"You can only pass in open invoices. This invoice isn't open: {invoice['status']}.")
    invoice.update(status=status, auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"][when] = account.clock.now()
    account.put(invoice)
    account.set_timer("retry_invoice", invoice["id"], None)
    emit(account, event, invoice)
    return invoice


def retrieve(account: Account, _params: Params, invoice_id: str) -> Obj:
    return account.get("invoice", invoice_id)


def update(account: Account, params: Params, invoice_id: str) -> Obj:
    invoice = account.get("invoice", invoice_id)
    with recorded(account, invoice, "invoice.updated"):
        for name in ("description", "auto_advance", "footer"):
            if name in params:
                invoice[name] = params[name] or None
        invoice["metadata"] = merged(invoice["metadata"], params)
    return invoice


def list_invoices(account: Account, params: Params) -> Obj:
    return page_of(account, "invoice", "/v1/invoices", params, lambda invoice: _fits(invoice, params))


def _fits(invoice: Obj, params: Params) -> bool:
    plain = ("customer", "status", "created", "collection_method", "due_date")
    return all(within(invoice[name], params[name]) for name in plain if name in params) and (
        "subscription" not in params or subscription_of(invoice) == params["subscription"]
    )


def subscription_of(invoice: Obj) -> str | None:
    """The id of the subscription that the invoice bills."""
    parent = invoice["parent"]
    return parent["subscription_details"]["subscription"] if parent else None


def list_lines(account: Account, params: Params, invoice_id: str) -> Obj:
    account.get("invoice", invoice_id)
    return page(account, f"/v1/invoices/{invoice_id}/lines", account.facts_of(invoice_id).get("lines", []), params)


def list_payments(account: Account, params: Params) -> Obj:
    wanted = {name: value for name, value in params.get("payment", {}).items() if name != "type"}
    plain = ("invoice", "status", "created")

    def fits(payment: Obj) -> bool:
        return all(within(payment[name], params[name]) for name in plain if name in params) and all(
            payment["payment"].get(name) == value for name, value in wanted.items()
        )

    return page_of(account, "invoice_payment", "/v1/invoice_payments", params, fits)


def retrieve_payment(account: Account, _params: Params, payment_id: str) -> Obj:
    return account.get("invoice_payment", payment_id)


def method_for(account: Account, invoice: Obj) -> Obj | None:
    """The payment method that the invoice would be charged to."""
    subscription_id = subscription_of(invoice)
    subscription = account.objects.get(subscription_id) if subscription_id else None
    return methods.default_of(account, invoice["customer"], subscription)

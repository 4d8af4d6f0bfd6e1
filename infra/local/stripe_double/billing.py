"""What money means for subscriptions: collecting invoices, retries after failures, and what comes of them.

Stripe's real retry times cannot be known offline; the double's are those of its documentation's custom schedule:
3, 5 and 7 days after the failure before, then the subscription is canceled. `settings["dunning"]` changes both.
"""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.objects import coupons, invoice_lines, invoices, items
from infra.local.stripe_double.periods import DAY
from infra.local.stripe_double.templates import Obj

DEFAULT_DUNNING: Obj = {"retry_days": [3, 5, 7], "then": "canceled"}
_NO_RETRIES = {"canceled", "incomplete_expired", "unpaid"}


def draft(account: Account, subscription: Obj, reason: str, lines: list[Obj]) -> Obj:
    """A draft invoice for the subscription: `lines`, its discounts and what was put aside for its next invoice."""
    lines = lines + items.take_pending(account, subscription)
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    invoice = invoices.draft(
        account,
        subscription["customer"],
        reason,
        invoice_lines.discounted(account, lines, coupons.live_discounts(account, subscription)),
        collection_method=subscription["collection_method"],
        parent={"type": "subscription_details", "subscription_details": details, "quote_details": None},
    )
    coupons.spend_once(account, subscription)
    subscription["latest_invoice"] = invoice["id"]
    account.put(subscription)
    return invoice


def collect(account: Account, invoice: Obj, method: Obj | None = None) -> bool:
    """Try to collect an invoice (finalized if needed) and let its subscription feel the outcome; True if paid."""
    if invoice["status"] == "draft":
        invoices.finalize(account, invoice)
    if invoices.attempt(account, invoice, method or invoices.method_for(account, invoice)):
        _revive(account, invoice)
        return True
    if invoices.intent_of(account, invoice)["status"] == "processing":
        _revive(account, invoice)  # Stripe gives delayed methods credit: active until the payment fails
    else:
        failed(account, invoice)
    return False


def _revive(account: Account, invoice: Obj) -> None:
    """The invoice's subscription is active (again)."""
    subscription = _subscription(account, invoice)
    if subscription and subscription["status"] in {"incomplete", "past_due", "unpaid"}:
        with recorded(account, subscription, "customer.subscription.updated"):
            subscription["status"] = "active"
        account.set_timer("expire_incomplete", subscription["id"], None)


def arrived(account: Account, invoice: Obj) -> None:
    """A delayed payment of the invoice has succeeded."""
    invoices.mark_paid(account, invoice)
    _revive(account, invoice)


def failed(account: Account, invoice: Obj) -> None:
    """A payment of the invoice failed: the next try is set, or the last consequence drawn."""
    subscription = _subscription(account, invoice)
    plan = account.settings.get("dunning", DEFAULT_DUNNING)
    tries = account.facts_of(invoice["id"]).get("failures", 0)
    account.keep_facts(invoice["id"], failures=tries + 1)
    starting = subscription is not None and subscription["status"] == "incomplete"
    retry = tries < len(plan["retry_days"]) and subscription is not None and not starting
    if retry:
        invoice["next_payment_attempt"] = account.clock.now() + plan["retry_days"][tries] * DAY
        account.set_timer("retry_invoice", invoice["id"], invoice["next_payment_attempt"])
    else:
        invoice["next_payment_attempt"] = None
    account.put(invoice)
    emit(account, "invoice.payment_failed", invoice)
    if subscription and not starting:
        _fall_behind(account, subscription, None if retry else plan["then"])


def _fall_behind(account: Account, subscription: Obj, last: str | None) -> None:
    """Past due while retries are left; after the last one what the account's settings say."""
    if subscription["status"] in _NO_RETRIES:
        return
    if last == "canceled":
        end(account, subscription, reason="payment_failed")
        return
    with recorded(account, subscription, "customer.subscription.updated"):
        subscription["status"] = last or "past_due"


def retry(account: Account, invoice_id: str) -> None:
    """The time of `next_payment_attempt` has come."""
    invoice = account.objects[invoice_id]
    if invoice["status"] == "open":
        collect(account, invoice)


def finalize_and_collect(account: Account, invoice_id: str) -> None:
    """A renewal's draft has lain its hour."""
    invoice = account.objects[invoice_id]
    if invoice["status"] == "draft":
        collect(account, invoice)


def expire_incomplete(account: Account, subscription_id: str) -> None:
    """The first invoice was not paid within 23 hours."""
    subscription = account.objects[subscription_id]
    if subscription["status"] != "incomplete":
        return
    stop_timers(account, subscription)
    with recorded(account, subscription, "customer.subscription.updated"):
        subscription.update(status="incomplete_expired", ended_at=account.clock.now())
    invoices.void(account, account.objects[subscription["latest_invoice"]])


def end(account: Account, subscription: Obj, *, reason: str) -> None:
    """The subscription is over now: status canceled, `ended_at`, the event `customer.subscription.deleted`."""
    now = account.clock.now()
    subscription.update(status="canceled", ended_at=now, canceled_at=subscription["canceled_at"] or now)
    subscription["cancellation_details"]["reason"] = subscription["cancellation_details"]["reason"] or reason
    account.put(subscription)
    stop_timers(account, subscription)
    for invoice in account.newest("invoice"):
        if invoices.subscription_of(invoice) == subscription["id"] and invoice["status"] in {"open", "draft"}:
            invoice.update(auto_advance=False, next_payment_attempt=None)
            account.put(invoice)
            account.set_timer("retry_invoice", invoice["id"], None)
            account.set_timer("finalize_invoice", invoice["id"], None)
    emit(account, "customer.subscription.deleted", subscription)


def stop_timers(account: Account, subscription: Obj) -> None:
    for job in ("cycle", "cancel", "warn_trial", "expire_incomplete"):
        account.set_timer(job, subscription["id"], None)


def _subscription(account: Account, invoice: Obj) -> Obj | None:
    subscription_id = invoices.subscription_of(invoice)
    return account.objects[subscription_id] if subscription_id else None

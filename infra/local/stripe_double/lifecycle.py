"""A subscription's life in time: first invoice, renewals, trial ends, scheduled ends, pauses."""

from infra.local.stripe_double import billing
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.objects import invoice_lines, invoices, methods
from infra.local.stripe_double.periods import DAY, next_boundary
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import items_of

_WARN_BEFORE = 3 * DAY
_FIRST_PAYMENT_WITHIN = 23 * 3600


def period_end(account: Account, subscription: Obj) -> int:
    """When the present period of the subscription's items ends; they share it."""
    return min(int(item["current_period_end"]) for item in items_of(account, subscription["id"]))


def schedule(account: Account, subscription: Obj) -> None:
    """Set the subscription's timers by its present state."""
    account.set_timer("cycle", subscription["id"], period_end(account, subscription))
    account.set_timer("cancel", subscription["id"], subscription["cancel_at"])
    warn_at, warned = None, account.facts_of(subscription["id"]).get("warned_of")
    if subscription["status"] == "trialing" and subscription["trial_end"] != warned:
        warn_at = max(subscription["trial_end"] - _WARN_BEFORE, account.clock.now())
    account.set_timer("warn_trial", subscription["id"], warn_at)


def begin(account: Account, subscription: Obj, extra_lines: list[Obj], method: Obj | None, *, collect: bool) -> None:
    """The first invoice: paid at once if it can be; else the subscription stays incomplete for 23 hours."""
    trial = subscription["status"] == "trialing"
    lines = [invoice_lines.line_for_item(account, i, trial=trial) for i in items_of(account, subscription["id"])]
    invoice = billing.draft(account, subscription, "subscription_create", lines + extra_lines)
    schedule(account, subscription)
    emit(account, "customer.subscription.created", subscription)
    if collect or invoice["amount_due"] == 0:
        billing.collect(account, invoice, method)
    else:
        invoices.finalize(account, invoice)
    if subscription["status"] == "incomplete":
        account.set_timer("expire_incomplete", subscription["id"], account.clock.now() + _FIRST_PAYMENT_WITHIN)


def warn_trial(account: Account, subscription_id: str) -> None:
    subscription = account.objects[subscription_id]
    account.keep_facts(subscription_id, warned_of=subscription["trial_end"])
    emit(account, "customer.subscription.trial_will_end", subscription)


def cancel(account: Account, subscription_id: str) -> None:
    """`cancel_at` has come."""
    billing.end(account, account.objects[subscription_id], reason="cancellation_requested")


def cycle(account: Account, subscription_id: str) -> None:
    """The period is over: the subscription ends, pauses or renews."""
    subscription = account.objects[subscription_id]
    if subscription["cancel_at_period_end"]:
        billing.end(account, subscription, reason="cancellation_requested")
    elif subscription["status"] == "trialing":
        end_trial(account, subscription)
    elif subscription["status"] in {"active", "past_due", "unpaid"}:
        _renew(account, subscription)


def end_trial(account: Account, subscription: Obj) -> None:
    """The trial is over; without a payment method what `trial_settings.end_behavior` says."""
    otherwise = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if otherwise != "create_invoice" and methods.default_of(account, subscription["customer"], subscription) is None:
        if otherwise == "cancel":
            billing.end(account, subscription, reason="cancellation_requested")
        else:
            _pause(account, subscription)
        return
    _renew(account, subscription)


def _pause(account: Account, subscription: Obj) -> None:
    billing.stop_timers(account, subscription)
    now = account.clock.now()
    why = {"type": "trial_end_without_payment_method"}
    with recorded(account, subscription, "customer.subscription.updated"):
        subscription.update(
            status="paused",
            trial_end=min(subscription["trial_end"], now),
            status_details={"paused": {"type": "subscription", "subscription": why, "transitioned_at": now}},
        )
    emit(account, "customer.subscription.paused", subscription)


def _renew(account: Account, subscription: Obj) -> None:
    """The next period; its invoice stays a draft for an hour, then it is collected."""
    with recorded(account, subscription, "customer.subscription.updated"):
        start_period(account, subscription, period_end(account, subscription))
        if subscription["status"] == "trialing":
            subscription["status"] = "active"
        lines = [invoice_lines.line_for_item(account, item) for item in items_of(account, subscription["id"])]
        invoice = billing.draft(account, subscription, "subscription_cycle", lines)
    schedule(account, subscription)
    if subscription["status"] == "unpaid" or _held_back(account, subscription, invoice):
        return
    due = account.clock.now() + invoices.DRAFT_FOR
    invoice["automatically_finalizes_at"] = due
    account.put(invoice)
    account.set_timer("finalize_invoice", invoice["id"], due)


def _held_back(account: Account, subscription: Obj, invoice: Obj) -> bool:
    """Whether `pause_collection` keeps the invoice from being collected."""
    pause = subscription["pause_collection"]
    if pause is None:
        return False
    invoice["auto_advance"] = False
    account.put(invoice)
    if pause["behavior"] != "keep_as_draft":
        invoices.finalize(account, invoice)
        end = invoices.void if pause["behavior"] == "void" else invoices.write_off
        end(account, invoice)
    return True


def start_period(account: Account, subscription: Obj, start: int) -> None:
    """Move all items into the period that starts at `start`, counted from the billing cycle anchor."""
    if subscription["status"] == "trialing":
        subscription["billing_cycle_anchor"] = start
    for item in items_of(account, subscription["id"]):
        recurring = account.objects[item["price"]]["recurring"]
        item["current_period_start"] = start
        item["current_period_end"] = next_boundary(subscription["billing_cycle_anchor"], start, recurring)
        account.put(item)


def restart_period(account: Account, subscription: Obj) -> None:
    """A new period from now on: the billing cycle is anchored anew."""
    now = account.clock.now()
    subscription["billing_cycle_anchor"] = now
    start_period(account, subscription, now)


def resume(account: Account, subscription: Obj, *, anew: bool) -> None:
    """Paused → active, with an invoice to be paid now; `anew` starts a new period, else the old one goes on."""
    if anew or period_end(account, subscription) <= account.clock.now():
        restart_period(account, subscription)
    with recorded(account, subscription, "customer.subscription.updated"):
        subscription.update(status="active", status_details=None)
    schedule(account, subscription)
    emit(account, "customer.subscription.resumed", subscription)
    lines = [invoice_lines.line_for_item(account, item) for item in items_of(account, subscription["id"])]
    billing.collect(account, billing.draft(account, subscription, "subscription_update", lines))

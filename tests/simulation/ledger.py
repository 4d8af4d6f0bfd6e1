"""From Stripe's own objects to what each user holds: the oracle's other source, blind to the product's store."""

from collections.abc import Iterable
from typing import Any

from tests.simulation.oracle import Bought, Held, Item, Money
from tests.simulation.stripe_api import Obj, StripeApi
from tests.simulation.world import World


def held_in_stripe(world: World, user: str) -> list[Held]:
    """All that Stripe says the user has, over all the Stripe customers they have been."""
    held: list[Held] = []
    for customer in world.customers.get(user, []):
        charges = [_Charge(world, charge) for charge in world.api.all("/v1/charges", customer=customer)]
        for subscription in world.api.all("/v1/subscriptions", customer=customer, status="all"):
            held += _items(world, subscription, charges)
        for session in world.api.all("/v1/checkout/sessions", customer=customer):
            held += _purchases(world.api, session, charges)
    return held


class _Charge:
    """A charge, what it paid, and what became of it."""

    def __init__(self, world: World, charge: Obj) -> None:
        self.id: str = charge["id"]
        self.intent: str = charge["payment_intent"]
        by = {"payment[type]": "payment_intent", "payment[payment_intent]": self.intent}
        paid = world.api.all("/v1/invoice_payments", **by)
        self.invoice: str | None = paid[0]["invoice"] if paid else None
        self.money = _became(world, charge)


def _became(world: World, charge: Obj) -> Money:
    refunds = sorted(world.api.all("/v1/refunds", charge=charge["id"]), key=lambda r: (r["created"], r["id"]))
    live = [refund for refund in refunds if refund["status"] not in {"failed", "canceled"}]
    back, full = 0, None
    for refund in live:
        back += refund["amount"]
        full = refund["created"] if back >= charge["amount"] and full is None else full
    disputes = world.api.all("/v1/disputes", charge=charge["id"])
    opened = [d["created"] for d in disputes if d["status"] in {"needs_response", "under_review"}]
    taken, lost_at = min(back, charge["amount"]), None
    for dispute in sorted((d for d in disputes if d["status"] == "lost"), key=lambda d: (d["created"], d["id"])):
        taken += dispute["amount"]
        lost_at = dispute["created"] if taken >= charge["amount"] and lost_at is None else lost_at
    part = live[0]["created"] if live and full is None else None
    return Money(full, part, min(opened, default=None), lost_at)


def _items(world: World, subscription: Obj, charges: list[_Charge]) -> list[Item]:
    invoices = {invoice["id"] for invoice in world.api.all("/v1/invoices", subscription=subscription["id"])}
    own = [charge for charge in charges if charge.invoice in invoices]
    latest = subscription["latest_invoice"]
    money = _merged((c.money for c in own if c.invoice == latest), (c.money for c in own))
    paid_later = any(
        money.lost_at is not None and event["created"] > money.lost_at
        for event in _told(world, "invoice.paid")
        if event["data"]["object"]["id"] in invoices
    )
    if paid_later:
        money = Money(money.refunded_at, money.partly_refunded_at, money.disputed_since, None)
    failed_at, last_paid = _grace_from(world, invoices)
    deleted = [e for e in _told(world, "customer.deleted") if e["data"]["object"]["id"] == subscription["customer"]]
    return [
        Item(
            price=item["price"]["id"],
            product=item["price"]["product"],
            quantity=item["quantity"],
            status=subscription["status"],
            start=subscription["start_date"],
            period_start=item["current_period_start"],
            period_end=item["current_period_end"],
            cancel_at=subscription["cancel_at"],
            cancel_at_period_end=subscription["cancel_at_period_end"],
            ended_at=subscription["ended_at"],
            past_due_since=failed_at or max(last_paid, item["current_period_start"]),
            customer_deleted_at=deleted[0]["created"] if deleted else None,
            money=money,
        )
        for item in subscription["items"]["data"]
    ]


def _grace_from(world: World, invoices: set[str]) -> tuple[int | None, int]:
    """When the invoices still unpaid first failed after the last payment, and that payment."""
    paid = {e["data"]["object"]["id"]: e["created"] for e in _told(world, "invoice.paid")}
    last_paid = max((at for invoice, at in paid.items() if invoice in invoices), default=0)
    failed: dict[str, int] = {}
    for event in _told(world, "invoice.payment_failed"):
        failed.setdefault(event["data"]["object"]["id"], event["created"])
    first = min(
        (failed[one] for one in (invoices & failed.keys()) - paid.keys() if failed[one] > last_paid), default=None
    )
    return first, last_paid


def _purchases(api: StripeApi, session: Obj, charges: list[_Charge]) -> list[Bought]:
    if session["mode"] != "payment" or session["payment_status"] not in {"paid", "no_payment_required"}:
        return []
    lines = api.all(f"/v1/checkout/sessions/{session['id']}/line_items")
    intent = api.get(f"/v1/payment_intents/{session['payment_intent']}")
    paid_at = api.get(f"/v1/charges/{intent['latest_charge']}")["created"]
    own = [charge.money for charge in charges if charge.intent == intent["id"]]
    return [
        Bought(line["price"]["id"], line["price"]["product"], line["quantity"], paid_at, _merged(own, own))
        for line in lines
    ]


def _merged(refunded: Iterable[Money], disputed: Iterable[Money]) -> Money:
    back, fought = list(refunded), list(disputed)
    return Money(
        _least(m.refunded_at for m in back),
        _least(m.partly_refunded_at for m in back),
        _least(m.disputed_since for m in fought),
        max((m.lost_at for m in fought if m.lost_at is not None), default=None),
    )


def _least(instants: Iterable[float | None]) -> float | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _told(world: World, kind: str) -> list[Obj]:
    return [event for event in world.events if event["type"] == kind]


def state_of(subscription: Obj) -> Any:
    """What the store must mirror of a subscription, in a form that rows can be brought into too."""
    items = subscription["items"]["data"]
    return (
        subscription["status"],
        subscription["cancel_at"],
        subscription["cancel_at_period_end"],
        subscription["ended_at"],
        tuple(
            sorted(
                (i["id"], i["price"]["id"], i["quantity"], i["current_period_start"], i["current_period_end"])
                for i in items
            )
        ),
    )

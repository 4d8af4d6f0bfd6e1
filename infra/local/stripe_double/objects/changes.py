"""Changes of a subscription's items, and their prorations."""

from datetime import UTC, datetime

from infra.local.stripe_double import billing, lifecycle
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import recorded
from infra.local.stripe_double.money import amount_of, share
from infra.local.stripe_double.objects import invoice_lines, items
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import items_of


def require_one_interval(prices: list[Obj]) -> None:
    """The double, like Stripe's classic billing, bills all items of a subscription at one rhythm."""
    if len({(p["recurring"] or {}).get("interval") for p in prices}) > 1 or len({p["currency"] for p in prices}) > 1:
        raise invalid(
            "All prices on a subscription must have the same `recurring.interval` and `currency`.", param="items"
        )


def change_items(account: Account, subscription: Obj, params: Params) -> bool:
    """Apply the `items` parameter; prorations are put aside. True if they are to be invoiced at once."""
    wanted = params.get("items") or []
    before = [dict(item) for item in items_of(account, subscription["id"])]
    for index, entry in enumerate(wanted):
        _change(account, subscription, entry, f"items[{index}]")
    after = items_of(account, subscription["id"])
    if not after:
        raise invalid("A subscription must have at least one active plan.", param="items")
    prices = [account.objects[item["price"]] for item in after]
    require_one_interval(prices)
    billed = [item for item in after if item not in before]
    gone = [item for item in before if item not in after]
    if subscription["status"] not in {"active", "past_due"} or (not billed and not gone):
        return False
    behavior = params.get("proration_behavior", "create_prorations")
    rhythm = account.objects[before[0]["price"]]["recurring"]
    new_rhythm = {name: prices[0]["recurring"][name] for name in ("interval", "interval_count")}
    restart = new_rhythm != {name: rhythm[name] for name in new_rhythm} or params.get("billing_cycle_anchor") == "now"
    if behavior != "none":
        _prorate(account, subscription, gone, credit=True)
    if restart:
        lifecycle.restart_period(account, subscription)
        _bill_in_full(account, subscription)
    elif behavior != "none":
        _prorate(account, subscription, billed, credit=False)
    return restart or behavior == "always_invoice"


def _change(account: Account, subscription: Obj, entry: Params, param: str) -> None:
    if "id" not in entry:
        first = items_of(account, subscription["id"])[0]
        price = items.recurring_price_of(account, entry, param=param)
        items.add(account, subscription, price, entry, (first["current_period_start"], first["current_period_end"]))
        return
    item = account.get("subscription_item", entry["id"], param=f"{param}[id]")
    if item["subscription"] != subscription["id"]:
        raise invalid(f"The item {item['id']} belongs to another subscription.", param=f"{param}[id]")
    if entry.get("deleted"):
        items.drop(account, item)
        return
    if {"price", "plan", "price_data"} & entry.keys():
        item["price"] = items.recurring_price_of(account, entry, param=param)["id"]
    item["quantity"] = entry.get("quantity", item["quantity"])
    item["metadata"] = merged(item["metadata"], entry)
    items.discount(account, subscription, item, entry)
    account.put(item)


def _prorate(account: Account, subscription: Obj, changed: list[Obj], *, credit: bool) -> None:
    """Put aside what the rest of the period is worth: given back for what goes, charged for what comes."""
    now = account.clock.now()
    for item in changed:
        price = account.objects[item["price"]]
        start, end = item["current_period_start"], item["current_period_end"]
        quantity = item["quantity"] or 1
        amount = share(amount_of(price, quantity), max(end - now, 0), end - start)
        name = account.objects[price["product"]]["name"]
        day = datetime.fromtimestamp(now, UTC).strftime("%d %b %Y")
        line = invoice_lines.line(
            account,
            price,
            quantity,
            amount=-amount if credit else amount,
            period={"start": now, "end": end},
            parent=invoice_lines.item_parent(item, proration=True),
            text=f"{'Unused' if credit else 'Remaining'} time on {quantity} × {name} after {day}",  # noqa: RUF001
        )
        items.put_aside(account, subscription["customer"], line, subscription_id=subscription["id"])


def _bill_in_full(account: Account, subscription: Obj) -> None:
    for item in items_of(account, subscription["id"]):
        line = invoice_lines.line_for_item(account, item)
        items.put_aside(account, subscription["customer"], line, subscription_id=subscription["id"])


def invoice_changes(account: Account, subscription: Obj) -> None:
    """Invoice at once what was put aside, and collect it."""
    with recorded(account, subscription, "customer.subscription.updated"):
        invoice = billing.draft(account, subscription, "subscription_update", [])
    billing.collect(account, invoice)


def create_item(account: Account, params: Params) -> Obj:
    """POST /v1/subscription_items."""
    subscription = account.get("subscription", params.get("subscription", ""), param="subscription")
    entry = {name: value for name, value in params.items() if name not in {"subscription", *_ABOUT_PAYMENT}}
    _apply(account, subscription, entry, params)
    return items_of(account, subscription["id"])[-1]


_ABOUT_PAYMENT = ("expand", "payment_behavior", "proration_behavior", "proration_date", "off_session")


def update_item(account: Account, params: Params, item_id: str) -> Obj:
    item = account.get("subscription_item", item_id)
    entry = {name: value for name, value in params.items() if name not in _ABOUT_PAYMENT}
    _apply(account, account.objects[item["subscription"]], {**entry, "id": item_id}, params)
    return item


def delete_item(account: Account, params: Params, item_id: str) -> Obj:
    item = account.get("subscription_item", item_id)
    _apply(account, account.objects[item["subscription"]], {"id": item_id, "deleted": True}, params)
    return {"id": item_id, "object": "subscription_item", "deleted": True}


def _apply(account: Account, subscription: Obj, entry: Params, params: Params) -> None:
    with recorded(account, subscription, "customer.subscription.updated"):
        invoice_now = change_items(account, subscription, {**params, "items": [entry]})
    lifecycle.schedule(account, subscription)
    if invoice_now:
        invoice_changes(account, subscription)

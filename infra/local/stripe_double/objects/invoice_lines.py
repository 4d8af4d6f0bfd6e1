"""Invoice lines: what they bill, and what discounts take off them."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.money import amount_of, written
from infra.local.stripe_double.objects import coupons
from infra.local.stripe_double.templates import Obj, new


def line(account: Account, price: Obj, quantity: int, *, amount: int, period: Obj, parent: Obj, text: str) -> Obj:
    """An invoice line for a price (as stored); `amount` before discounts."""
    return new(
        "line_item",
        id=account.ids.new("line_item"),
        amount=amount,
        currency=price["currency"],
        description=text,
        discount_amounts=[],
        discountable=True,
        parent=parent,
        period=period,
        pretax_credit_amounts=[],
        pricing={
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        quantity=quantity,
        quantity_decimal=str(quantity),
        subtotal=amount,
        taxes=[],
    )


def line_for_item(account: Account, item: Obj, *, trial: bool = False) -> Obj:
    """The line for a subscription item's present period; nothing to pay in a trial."""
    price = account.objects[item["price"]]
    product = account.objects[price["product"]]["name"]
    quantity = item.get("quantity") or 1
    every = price["recurring"]["interval"]
    text = f"{quantity} × {product} (at {written(amount_of(price, 1), price['currency'])} / {every})"  # noqa: RUF001
    return line(
        account,
        price,
        quantity,
        amount=0 if trial else amount_of(price, quantity),
        period={"start": item["current_period_start"], "end": item["current_period_end"]},
        parent=item_parent(item),
        text=f"Trial period for {product}" if trial else text,
    )


def item_parent(item: Obj, *, proration: bool = False) -> Obj:
    details = {
        "invoice_item": None,
        "proration": proration,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    return {"type": "subscription_item_details", "subscription_item_details": details, "invoice_item_details": None}


def discounted(account: Account, lines: list[Obj], discounts: list[Obj]) -> list[Obj]:
    """The lines with what discounts take off each: its item's own first, then these, each off what is left."""
    charged = [entry for entry in lines if entry["amount"] > 0]
    for entry in charged:
        for discount in _own(account, entry):
            coupons.take_off(account, discount, [entry])
    for discount in discounts:
        coupons.take_off(account, discount, charged)
    return lines


def _own(account: Account, entry: Obj) -> list[Obj]:
    details = (entry["parent"] or {}).get("subscription_item_details") or {}
    item = account.objects.get(details.get("subscription_item") or "")
    return coupons.live_discounts(account, item) if item else []

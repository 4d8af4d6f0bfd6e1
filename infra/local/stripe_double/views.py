"""How stored objects look from outside: embedded objects and lists, `expand`, pages of lists."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.templates import Obj, new

_EMBEDDED = 10  # how many entries a list inside an object shows
_DEEPEST_EXPAND = 4


def render(account: Account, obj: Obj) -> Obj:
    """A copy of the object as the API shows it."""
    shown: Obj = json.loads(json.dumps(obj))
    complete = _COMPLETIONS.get(obj["object"])
    if complete and not obj.get("deleted"):
        complete(account, shown)
    return shown


def as_list(url: str, entries: Iterable[Obj], *, size: int = _EMBEDDED) -> Obj:
    """A list inside an object: its first entries, and whether there are more at `url`."""
    whole = list(entries)
    return {"object": "list", "data": whole[:size], "has_more": len(whole) > size, "url": url}


# ── embedded ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _complete_subscription(account: Account, subscription: Obj) -> None:
    items = [render(account, item) for item in items_of(account, subscription["id"])]
    subscription["items"] = as_list(f"/v1/subscription_items?subscription={subscription['id']}", items)


def items_of(account: Account, subscription_id: str) -> list[Obj]:
    """A subscription's items, oldest first, as stored."""
    return [account.objects[item_id] for item_id in account.facts_of(subscription_id).get("items", [])]


def _complete_item(account: Account, item: Obj) -> None:
    price = account.objects[item["price"]]
    item["price"] = render(account, price)
    item["plan"] = plan_of(price)


def plan_of(price: Obj) -> Obj:
    """The price in the clothes of Stripe's older plans."""
    recurring = price["recurring"]
    same = ("active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    return new(
        "plan",
        id=price["id"],
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        interval=recurring["interval"],
        interval_count=recurring["interval_count"],
        meter=recurring["meter"],
        tiers_mode=price["tiers_mode"],
        trial_period_days=recurring["trial_period_days"],
        usage_type=recurring["usage_type"],
        **{name: price[name] for name in same},
    )


def _complete_invoice(account: Account, invoice: Obj) -> None:
    lines = account.facts_of(invoice["id"]).get("lines", [])
    invoice["lines"] = as_list(f"/v1/invoices/{invoice['id']}/lines", json.loads(json.dumps(lines)))


def _complete_price(_account: Account, price: Obj) -> None:
    price.pop("tiers", None)
    price.pop("currency_options", None)


def _complete_coupon(_account: Account, coupon: Obj) -> None:
    coupon.pop("applies_to", None)
    coupon.pop("currency_options", None)


def _complete_checkout(account: Account, session: Obj) -> None:
    session["url"] = f"{account.url}/c/pay/{session['id']}" if session["status"] == "open" else None


def _complete_portal(account: Account, session: Obj) -> None:
    session["url"] = f"{account.url}/p/session/{session['id']}"


_COMPLETIONS: dict[str, Callable[[Account, Obj], None]] = {
    "subscription": _complete_subscription,
    "subscription_item": _complete_item,
    "invoice": _complete_invoice,
    "price": _complete_price,
    "coupon": _complete_coupon,
    "checkout.session": _complete_checkout,
    "billing_portal.session": _complete_portal,
}


# ── shown when asked for ─────────────────────────────────────────────────────────────────────────────────────────


def _line_items(account: Account, session: Obj) -> Obj:
    return as_list(f"/v1/checkout/sessions/{session['id']}/line_items", session_items(account, session["id"]))


def session_items(account: Account, session_id: str) -> list[Obj]:
    """A checkout session's line items as the API shows them."""
    stored = account.facts_of(session_id).get("items", [])
    return [{**item, "price": render(account, account.objects[item["price"]])} for item in stored]


def _refunds(account: Account, charge: Obj) -> Obj:
    found = [render(account, r) for r in account.newest("refund") if r["charge"] == charge["id"]]
    return as_list(f"/v1/charges/{charge['id']}/refunds", found)


def _payments(account: Account, invoice: Obj) -> Obj:
    found = [render(account, p) for p in account.newest("invoice_payment") if p["invoice"] == invoice["id"]]
    return as_list(f"/v1/invoice_payments?invoice={invoice['id']}", found)


def _subscriptions(account: Account, customer: Obj) -> Obj:
    every = (s for s in account.newest("subscription") if s["customer"] == customer["id"])
    found = [render(account, s) for s in every if s["status"] != "canceled"]
    return as_list(f"/v1/customers/{customer['id']}/subscriptions", found)


def _stored(name: str) -> Callable[[Account, Obj], Any]:
    return lambda account, obj: json.loads(json.dumps(account.objects[obj["id"]].get(name)))


_ON_REQUEST: dict[tuple[str, str], Callable[[Account, Obj], Any]] = {
    ("checkout.session", "line_items"): _line_items,
    ("charge", "refunds"): _refunds,
    ("invoice", "payments"): _payments,
    ("customer", "subscriptions"): _subscriptions,
    ("price", "tiers"): _stored("tiers"),
    ("price", "currency_options"): _stored("currency_options"),
    ("coupon", "applies_to"): _stored("applies_to"),
    ("coupon", "currency_options"): _stored("currency_options"),
}


def expand(account: Account, shown: Obj, paths: Iterable[str]) -> None:
    """Put the objects named by `paths` ("data.latest_invoice.payments") in the place of their ids.

    StripeFault 400 if a path names nothing that can be expanded or goes deeper than four levels.
    """
    for path in paths:
        steps = path.split(".")
        if len(steps) > _DEEPEST_EXPAND + (steps[0] == "data"):
            raise invalid(f"You cannot expand more than 4 levels of a property. Path: {path}", param="expand")
        _expand(account, shown, steps, path)


def _expand(account: Account, shown: Any, steps: list[str], path: str) -> None:
    if isinstance(shown, list):
        for entry in shown:
            _expand(account, entry, steps, path)
        return
    if not steps or shown is None:
        return
    name, *rest = steps
    on_request = _ON_REQUEST.get((shown.get("object", ""), name))
    if on_request and name not in shown:
        shown[name] = on_request(account, shown)
    elif name not in shown:
        raise invalid(f"This property cannot be expanded ({path}).", param="expand[0]")
    else:
        shown[name] = _resolved(account, shown[name])
    _expand(account, shown[name], rest, path)


def _resolved(account: Account, value: Any) -> Any:
    if isinstance(value, str) and value in account.objects:
        return render(account, account.objects[value])
    if isinstance(value, list):
        return [_resolved(account, entry) for entry in value]
    return value

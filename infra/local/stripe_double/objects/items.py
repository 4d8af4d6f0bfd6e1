"""Subscription items, and the invoice items that wait for a customer's next invoice (prorations, extras)."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import emit
from infra.local.stripe_double.lists import listing, page
from infra.local.stripe_double.money import amount_of
from infra.local.stripe_double.objects import catalog, coupons, invoice_lines
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import items_of

list_invoice_items = listing("invoiceitem", "/v1/invoiceitems", customer="customer", invoice="invoice")
_MOST_ITEMS = 100  # Stripe's own limit is 20; more make embedded lists that need paging


def price_of(account: Account, wanted: Params, *, param: str) -> Obj:
    """The price that an entry of an `items` or `line_items` parameter names or describes."""
    if "price_data" in wanted:
        return catalog.inline_price(account, wanted["price_data"])
    named = wanted.get("price") or wanted.get("plan")
    if not named:
        raise invalid(f"Missing required param: {param}[price].", param=f"{param}[price]", code="parameter_missing")
    return catalog.purchasable(account, named, param=f"{param}[price]")


def recurring_price_of(account: Account, wanted: Params, *, param: str) -> Obj:
    """As `price_of`; StripeFault 400 if the price is for a single payment."""
    price = price_of(account, wanted, param=param)
    if price["type"] != "recurring":
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param=f"{param}[price]",
        )
    return price


def add(account: Account, subscription: Obj, price: Obj, wanted: Params, period: tuple[int, int]) -> Obj:
    """A new item of the subscription over the period (start, end)."""
    ids = account.facts_of(subscription["id"]).get("items", [])
    if len(ids) >= _MOST_ITEMS:
        raise invalid(f"A subscription has at most {_MOST_ITEMS} items.", param="items")
    licensed = price["recurring"]["usage_type"] == "licensed"
    item = account.create(
        "subscription_item",
        current_period_start=period[0],
        current_period_end=period[1],
        metadata=merged({}, wanted),
        price=price["id"],
        quantity=wanted.get("quantity", 1) if licensed else None,
        subscription=subscription["id"],
        tax_rates=[],
    )
    account.keep_facts(subscription["id"], items=[*ids, item["id"]])
    discount(account, subscription, item, wanted)
    return item


def discount(account: Account, subscription: Obj, item: Obj, wanted: Params) -> None:
    """Take the `discounts` parameter of an item, if it is there."""
    if "discounts" in wanted:
        given = [coupons.redeem(account, entry, subscription, item["id"]) for entry in wanted["discounts"] or []]
        item["discounts"] = [one["id"] for one in given]
        account.put(item)


def drop(account: Account, item: Obj) -> None:
    subscription_id = item["subscription"]
    left = [item_id for item_id in account.facts_of(subscription_id)["items"] if item_id != item["id"]]
    account.keep_facts(subscription_id, items=left)
    account.remove(item)


def retrieve(account: Account, _params: Params, item_id: str) -> Obj:
    return account.get("subscription_item", item_id)


def list_items(account: Account, params: Params) -> Obj:
    if "subscription" not in params:
        raise invalid("Missing required param: subscription.", param="subscription", code="parameter_missing")
    account.get("subscription", params["subscription"], param="subscription")
    return page(account, "/v1/subscription_items", items_of(account, params["subscription"]), params)


# ── waiting for the next invoice ─────────────────────────────────────────────────────────────────────────────────


def put_aside(account: Account, customer_id: str, line: Obj, *, subscription_id: str | None = None) -> Obj:
    """Keep an invoice line for the next invoice of the subscription (or of the customer alone)."""
    proration = subscription_id is not None
    waiting = account.create_undated(
        "invoiceitem",
        amount=line["amount"],
        currency=line["currency"],
        customer=customer_id,
        date=account.clock.now(),
        description=line["description"],
        discountable=not proration,
        metadata=dict(line["metadata"]),
        net_amount=line["amount"],
        parent=_parent(line) if proration else None,
        period=line["period"],
        pricing=line["pricing"],
        proration=proration,
        quantity=line["quantity"],
        quantity_decimal=str(line["quantity"]),
        tax_rates=[],
    )
    account.keep_facts(waiting["id"], line=line, subscription=subscription_id)
    emit(account, "invoiceitem.created", waiting)
    return waiting


def _parent(line: Obj) -> Obj:
    details = line["parent"]["subscription_item_details"]
    names = ("subscription", "subscription_item")
    return {"type": "subscription_details", "subscription_details": {name: details[name] for name in names}}


def take_pending(account: Account, subscription: Obj) -> list[Obj]:
    """The lines that waited for the subscription's next invoice."""
    return _take(account, subscription["customer"], {subscription["id"], None})


def take_loose(account: Account, customer_id: str) -> list[Obj]:
    """The lines that waited for any invoice of the customer."""
    return _take(account, customer_id, {None})


def _take(account: Account, customer_id: str, owners: set[str | None]) -> list[Obj]:
    lines = []
    for waiting in list(account.table("invoiceitem").values()):
        facts = account.facts_of(waiting["id"])
        if waiting["customer"] == customer_id and facts["subscription"] in owners and not facts.get("taken"):
            account.keep_facts(waiting["id"], taken=True)
            details = facts["line"]["parent"]
            if details and details["subscription_item_details"]:
                details["subscription_item_details"]["invoice_item"] = waiting["id"]
            lines.append(facts["line"])
    return lines


def create_invoice_item(account: Account, params: Params) -> Obj:
    customer = account.get("customer", params.get("customer", ""), param="customer")
    now = account.clock.now()
    if "pricing" in params or "price_data" in params:
        price = price_of(account, {**params.get("pricing", {}), **params}, param="pricing")
    else:
        price = _loose_price(account, params)
    quantity = params.get("quantity", 1)
    line = invoice_lines.line(
        account,
        price,
        quantity,
        amount=amount_of(price, quantity),
        period=params.get("period", {"start": now, "end": now}),
        parent={},
        text=params.get("description", ""),
    )
    waiting = put_aside(account, customer["id"], line)
    details = {"invoice_item": waiting["id"], "proration": False, "proration_details": {"credited_items": None}}
    line["parent"] = {
        "type": "invoice_item_details",
        "invoice_item_details": {**details, "subscription": None},
        "subscription_item_details": None,
    }
    account.keep_facts(waiting["id"], line=line)
    return waiting


def _loose_price(account: Account, params: Params) -> Obj:
    """The hidden price Stripe makes for an invoice item that gives only an amount."""
    name = {"name": params.get("description") or "Invoice item"}
    product = account.create("product", active=False, type="service", updated=account.clock.now(), **name)
    given = {"product": product["id"], "currency": params["currency"], "unit_amount": params["amount"]}
    return catalog.inline_price(account, given)


def retrieve_invoice_item(account: Account, _params: Params, item_id: str) -> Obj:
    return account.get("invoiceitem", item_id)


def delete_invoice_item(account: Account, _params: Params, item_id: str) -> Obj:
    waiting = account.get("invoiceitem", item_id)
    if account.facts_of(item_id).get("taken"):
        raise invalid("This invoice item is attached to an invoice that is no longer editable.")
    account.remove(waiting)
    emit(account, "invoiceitem.deleted", waiting)
    return {"id": item_id, "object": "invoiceitem", "deleted": True}

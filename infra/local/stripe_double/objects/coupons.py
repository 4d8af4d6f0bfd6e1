"""Coupons, and the discounts they give to subscriptions and checkouts."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import listing
from infra.local.stripe_double.money import discount_of
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.periods import next_boundary
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import items_of

list_coupons = listing("coupon", "/v1/coupons", created="created")


def create(account: Account, params: Params) -> Obj:
    if ("percent_off" in params) == ("amount_off" in params):
        raise invalid("Must provide either percent_off or amount_off.", param="percent_off")
    if "amount_off" in params and "currency" not in params:
        raise invalid("Missing required param: currency.", param="currency", code="parameter_missing")
    plain = ("amount_off", "percent_off", "currency", "duration_in_months", "max_redemptions", "name", "redeem_by")
    coupon = account.create(
        "coupon",
        **({"id": params["id"]} if "id" in params else {}),
        **{name: params.get(name) for name in plain},
        **({"applies_to": params["applies_to"]} if "applies_to" in params else {}),
        **({"currency_options": _options(params)} if "currency_options" in params else {}),
        duration=params.get("duration", "once"),
        metadata=merged({}, params),
        times_redeemed=0,
        valid=True,
    )
    emit(account, "coupon.created", coupon)
    return coupon


def _options(params: Params) -> Obj:
    return {
        currency: {"amount_off": int(given["amount_off"])} for currency, given in params["currency_options"].items()
    }


def retrieve(account: Account, _params: Params, coupon_id: str) -> Obj:
    return account.get("coupon", coupon_id)


def update(account: Account, params: Params, coupon_id: str) -> Obj:
    coupon = account.get("coupon", coupon_id)
    with recorded(account, coupon, "coupon.updated"):
        coupon["name"] = params.get("name", coupon["name"])
        coupon["metadata"] = merged(coupon["metadata"], params)
    return coupon


def delete(account: Account, _params: Params, coupon_id: str) -> Obj:
    """Discounts already given stay; the coupon is only no longer for sale."""
    coupon = account.get("coupon", coupon_id)
    account.remove(coupon)
    emit(account, "coupon.deleted", coupon)
    return {"id": coupon_id, "object": "coupon", "deleted": True}


def redeem(account: Account, wanted: Params, subscription: Obj, item_id: str | None = None) -> Obj:
    """Give the subscription, or one item of it, the coupon of one entry of a `discounts` parameter."""
    if "coupon" not in wanted:
        raise invalid("The double gives discounts by `coupon` only.", param="discounts")
    coupon = account.get("coupon", wanted["coupon"], param="discounts[0][coupon]")
    coupon["times_redeemed"] += 1
    account.put(coupon)
    now, end = account.clock.now(), None
    if coupon["duration"] == "repeating":
        end = next_boundary(now, now, {"interval": "month", "interval_count": coupon["duration_in_months"]})
    discount = new_discount(
        account,
        coupon,
        customer=subscription["customer"],
        subscription=None if item_id else subscription["id"],
        subscription_item=item_id,
        end=end,
    )
    emit(account, "customer.discount.created", discount)
    return discount


def new_discount(account: Account, coupon: Obj, **owner: str | int | None) -> Obj:
    # The coupon's terms are noted: it may be deleted while its discounts go on.
    discount = account.create_undated(
        "discount", start=account.clock.now(), source={"coupon": coupon["id"], "type": "coupon"}, **owner
    )
    account.keep_facts(discount["id"], coupon=dict(coupon))
    return discount


def live_discounts(account: Account, discounted: Obj) -> list[Obj]:
    """The discounts of a subscription or item that still hold."""
    found = [account.objects[discount_id] for discount_id in discounted["discounts"]]
    return [d for d in found if d["end"] is None or d["end"] > account.clock.now()]


def spend_once(account: Account, subscription: Obj) -> None:
    """After an invoice: drop the discounts that count only once, and those that ended, its items' too."""
    for discounted in (subscription, *items_of(account, subscription["id"])):
        discounted["discounts"] = [
            d["id"]
            for d in live_discounts(account, discounted)
            if account.facts_of(d["id"])["coupon"]["duration"] != "once"
        ]
        account.put(discounted)


def take_off(account: Account, discount: Obj, lines: list[Obj]) -> None:
    """Take a discount off the lines it is for. A percentage counts on each, an amount once, over all of them."""
    coupon = account.facts_of(discount["id"])["coupon"]
    products = (coupon.get("applies_to") or {}).get("products")
    left = coupon["amount_off"]
    for line in lines:
        if products and line["pricing"]["price_details"]["product"] not in products:
            continue
        rest = line["amount"] - sum(part["amount"] for part in line["discount_amounts"])
        off = discount_of({**coupon, "amount_off": left}, rest)
        left = None if left is None else left - off
        line["discount_amounts"].append({"amount": off, "discount": discount["id"]})
        line["discounts"].append(discount["id"])

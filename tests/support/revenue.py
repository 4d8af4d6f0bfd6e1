"""Monthly recurring revenue recomputed by hand from Stripe's own objects: unit by unit, in fractions, without SQL."""

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from stripe import StripeClient

Obj = dict[str, Any]
Sums = dict[tuple[str, str], Fraction]

_PERIODS_A_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}


def expected_mrr(subscriptions: Iterable[Obj], owners: dict[str, str], at: int) -> Sums:
    """Exact MRR by (project, currency) at a second. `owners` has the project of each product.

    Subscriptions have their items with whole prices, and all discounts expanded down to the coupon's terms.
    """
    sums: Sums = defaultdict(Fraction)
    for subscription in subscriptions:
        for item, month in monthly_items(subscription, at):
            project = owners.get(item["price"]["product"])
            if project is not None:
                sums[project, subscription["currency"]] += month
    return dict(sums)


def monthly_items(subscription: Obj, at: int) -> list[tuple[Obj, Fraction]]:
    """Each item that counts, with what it brings in a month."""
    if subscription["status"] not in {"active", "past_due"}:
        return []
    bills: dict[tuple[str, int], list[Obj]] = defaultdict(list)
    for item in sorted(subscription["items"]["data"], key=lambda item: item["id"]):
        recurring = item["price"]["recurring"]
        if recurring["usage_type"] != "metered":
            bills[recurring["interval"], recurring["interval_count"]].append(item)
    found = []
    for (interval, count), items in bills.items():
        factor = Fraction(_PERIODS_A_YEAR[interval], 12 * count)
        left = _discounted(items, subscription, at)
        found += [(item, left[item["id"]] * factor) for item in items]
    return found


def _discounted(items: list[Obj], subscription: Obj, at: int) -> dict[str, Fraction]:
    currency = subscription["currency"]
    left = {item["id"]: cost(item["price"], item["quantity"], currency) for item in items}
    for item in items:
        for discount in item["discounts"]:
            _take_off(left, [item], discount, currency, at)
    for discount in subscription["discounts"]:
        _take_off(left, items, discount, currency, at)
    return left


def _take_off(left: dict[str, Fraction], items: list[Obj], discount: Obj, currency: str, at: int) -> None:
    coupon = discount["source"]["coupon"]
    if coupon["duration"] == "once" or (discount["end"] is not None and discount["end"] <= at):
        return
    products = (coupon.get("applies_to") or {}).get("products")
    fitting = [item["id"] for item in items if products is None or item["price"]["product"] in products]
    if coupon["percent_off"] is not None:
        for name in fitting:
            left[name] *= 1 - Fraction(str(coupon["percent_off"])) / 100
        return
    options = {name: option["amount_off"] for name, option in (coupon.get("currency_options") or {}).items()}
    off = {**options, coupon["currency"]: coupon["amount_off"]}.get(currency)
    if off is not None:
        _share_out(left, fitting, off)


def _share_out(left: dict[str, Fraction], names: list[str], off: int) -> None:
    """One after the other pays what brings the sum of all before and itself to its whole share, rounded down."""
    bill = sum((left[name] for name in names), Fraction())
    if off >= bill:
        left.update(dict.fromkeys(names, Fraction()))
        return
    so_far, paid = Fraction(), 0
    for name in names:
        so_far += left[name]
        due = off * so_far // bill
        left[name] -= due - paid
        paid = due


def cost(price: Obj, quantity: int, currency: str) -> Fraction:
    """A period of so many units."""
    packages = price["transform_quantity"]
    if packages is not None:
        whole, rest = divmod(quantity, packages["divide_by"])
        quantity = whole + (1 if rest and packages["round"] == "up" else 0)
    asked = price if price["currency"] == currency else price["currency_options"][currency]
    if price["billing_scheme"] == "per_unit":
        return _amount(asked, "unit_amount") * quantity
    tiers = asked["tiers"]
    if price["tiers_mode"] == "volume":
        tier = _tier_of(tiers, quantity)
        return _amount(tier, "flat_amount") + _amount(tier, "unit_amount") * quantity
    reached = [_tier_of(tiers, unit) for unit in range(1, quantity + 1)] or tiers[:1]
    flats = {tiers.index(tier): _amount(tier, "flat_amount") for tier in reached}
    units = sum((_amount(tier, "unit_amount") for tier in reached), Fraction()) if quantity else Fraction()
    return sum(flats.values(), Fraction()) + units


def _tier_of(tiers: list[Obj], unit: int) -> Obj:
    return next(tier for tier in tiers if tier["up_to"] is None or unit <= tier["up_to"])


def _amount(asked: Obj, name: str) -> Fraction:
    exact = asked.get(f"{name}_decimal")
    return Fraction(str(exact) if exact is not None else asked.get(name) or 0)


class Stripe:
    """The whole account over HTTP, as one who knows nothing of this service would read it."""

    def __init__(self, client: StripeClient) -> None:
        self._client = client

    def subscriptions(self) -> list[Obj]:
        found = self._list("/v1/subscriptions", status="all", expand=["data.discounts"])
        for subscription in found:
            items = self._list(
                "/v1/subscription_items", subscription=subscription["id"], expand=["data.discounts", "data.price.tiers"]
            )
            subscription["items"] = {"data": items}
            for owner in (subscription, *items):
                for discount in owner["discounts"]:
                    discount["source"]["coupon"] = self._coupon(discount["source"]["coupon"])
            for item in items:
                item["price"] = self._get(f"/v1/prices/{item['price']['id']}", expand=["tiers", "currency_options"])
        return found

    def owners(self) -> dict[str, str]:
        """The project of each product, by the metadata its creation carries."""
        products = self._list("/v1/products")
        return {one["id"]: one["metadata"].get("billing_project_id", "") for one in products}

    def _coupon(self, coupon_id: str) -> Obj:
        return self._get(f"/v1/coupons/{coupon_id}", expand=["applies_to", "currency_options"])

    def _get(self, path: str, **params: Any) -> Obj:
        answer: Obj = self._client.raw_request("get", path, **params).data
        return answer

    def _list(self, path: str, **params: Any) -> list[Obj]:
        rows: list[Obj] = []
        while True:
            after = {"starting_after": rows[-1]["id"]} if rows else {}
            page = self._get(path, limit=100, **params, **after)
            rows += page["data"]
            if not page["has_more"]:
                return rows

"""Random subscriptions in Stripe's shapes, and how they come into the store without a Stripe."""

import random
from typing import Any

from billing.payments.discounts import read_discounts
from billing.payments.events import read_subscription
from billing.payments.members import Members
from billing.payments.prices import read_price, read_product
from billing.store import catalog, customers, projects
from billing.store.connection import Connection
from billing.store.discounts import record_discounts
from billing.store.subscriptions import store_subscription

Obj = dict[str, Any]
NOW = 1_790_000_000
STATUSES = ("active", "active", "active", "past_due", "trialing", "unpaid", "canceled", "incomplete", "paused", "new")
CURRENCIES = ("usd", "eur", "jpy", "kwd")


def account(seed: int, subscriptions: int, project_ids: list[str]) -> tuple[list[Obj], dict[str, str]]:
    """Subscriptions with all there is to expand, and the project of each product."""
    dice = random.Random(seed)  # noqa: S311  a world to be told again by its seed
    owners = {f"prod_{number}": project for number, project in enumerate(project_ids * 3)}
    prices = [_price(dice, number, list(owners)) for number in range(60)]
    coupons = [_coupon(dice, number, list(owners)) for number in range(25)]
    return [_subscription(dice, number, prices, coupons) for number in range(subscriptions)], owners


def _price(dice: random.Random, number: int, products: list[str]) -> Obj:
    scheme = dice.choice(["per_unit", "per_unit", "graduated", "volume"])
    own, other = dice.sample(CURRENCIES, 2)
    tiered = scheme != "per_unit"
    packages = None if tiered or dice.random() < 0.8 else {"divide_by": dice.randint(2, 5), "round": "up"}
    if packages and dice.random() < 0.5:
        packages["round"] = "down"
    return {
        "id": f"price_{number}",
        "object": "price",
        "product": dice.choice(products),
        "lookup_key": None,
        "currency": own,
        "billing_scheme": "tiered" if tiered else "per_unit",
        "tiers_mode": scheme if tiered else None,
        "recurring": {
            "interval": dice.choice(["day", "week", "month", "month", "year"]),
            "interval_count": dice.choice([1, 1, 2, 3, 6]),
            "usage_type": dice.choice(["licensed"] * 9 + ["metered"]),
        },
        "active": True,
        "transform_quantity": packages,
        **_asked(dice, tiered=tiered),
        "currency_options": {other: _asked(dice, tiered=tiered)},
    }


def _asked(dice: random.Random, *, tiered: bool) -> Obj:
    if not tiered:
        cents, part = dice.randint(0, 5000), dice.choice(["", "", "", ".5", ".125", ".000001"])
        return {"unit_amount": None if part else cents, "unit_amount_decimal": f"{cents}{part}"}
    bounds = sorted(dice.sample(range(1, 12), dice.randint(0, 3)))
    return {
        "unit_amount": None,
        "unit_amount_decimal": None,
        "tiers": [
            {
                "up_to": bound,
                "unit_amount_decimal": dice.choice(["0", "150", "99.5"]),
                "flat_amount_decimal": dice.choice([None, "0", "700"]),
            }
            for bound in (*bounds, None)
        ],
    }


def _coupon(dice: random.Random, number: int, products: list[str]) -> Obj:
    percent = dice.choice([None, None, 10, 12.5, 33.33, 100])
    currency, other = dice.sample(CURRENCIES, 2)
    amounts = {"amount_off": dice.choice([1, 100, 777, 4000]), "currency": currency}
    return {
        "id": f"coupon_{number}",
        "duration": dice.choice(["forever", "forever", "repeating", "once"]),
        "percent_off": percent,
        **({"amount_off": None, "currency": None} if percent is not None else amounts),
        "currency_options": {other: {"amount_off": 50}} if percent is None and dice.random() < 0.5 else None,
        "applies_to": {"products": dice.sample(products, 4)} if dice.random() < 0.3 else None,
    }


def _subscription(dice: random.Random, number: int, prices: list[Obj], coupons: list[Obj]) -> Obj:
    first = dice.choice(prices)
    currency = dice.choice([first["currency"], *first["currency_options"]])
    fitting = [price for price in prices if currency in {price["currency"], *price["currency_options"]}]
    sold = [first, *dice.sample(fitting, dice.choice([0, 0, 0, 1, 2]))]
    name = f"{number:05}"
    return {
        "id": f"sub_{name}",
        "object": "subscription",
        "customer": f"cus_{number % 1900}",
        "status": dice.choice(STATUSES),
        "currency": currency,
        "start_date": NOW - 1000,
        "cancel_at_period_end": False,
        "discounts": _discounts(dice, f"di_{name}", coupons),
        "items": {
            "has_more": False,
            "data": [
                {
                    "id": f"si_{name}_{place}",
                    "price": price,
                    "quantity": None if price["recurring"]["usage_type"] == "metered" else dice.randint(0, 15),
                    "current_period_start": NOW - 1000,
                    "current_period_end": NOW + 1000,
                    "discounts": _discounts(dice, f"di_{name}_{place}", coupons),
                }
                for place, price in enumerate(sold)
            ],
        },
    }


def _discounts(dice: random.Random, name: str, coupons: list[Obj]) -> list[Obj]:
    given = dice.sample(coupons, dice.choice([0, 0, 0, 1, 2, 3]))
    return [
        {
            "id": f"{name}_d{place}",
            "end": dice.choice([NOW - 5, NOW, NOW + 1, NOW + 5000]) if coupon["duration"] == "repeating" else None,
            "source": {"type": "coupon", "coupon": coupon},
        }
        for place, coupon in enumerate(given)
    ]


def store(connection: Connection, subscriptions: list[Obj], owners: dict[str, str]) -> None:
    """Everything as the readers of Stripe's answers take it; the ledger is left alone."""
    for project_id in sorted(set(owners.values())):
        projects.insert_project(connection, project_id=project_id, name=project_id, namespace="all", allowed_origins=[])
    for product_id, project_id in owners.items():
        product = read_product(Members({"id": product_id, "name": product_id, "active": True}, "product"))
        catalog.insert_product(connection, project_id, product, NOW)
    prices = {item["price"]["id"]: item["price"] for one in subscriptions for item in one["items"]["data"]}
    for price in prices.values():
        catalog.upsert_price(connection, read_price(Members(price, "price")), NOW)
    for name in sorted({one["customer"] for one in subscriptions}):
        customer = customers.ensure(connection, "all", name)
        customers.link(connection, customer.id, name)
    for subscription in subscriptions:
        for owner in (subscription, *subscription["items"]["data"]):
            record_discounts(connection, read_discounts(Members(owner, "subscription")))
        fact = read_subscription(Members(subscription, "subscription"))
        store_subscription(connection, fact, watermark=NOW, evidence="evt_random")


_MULTIPLY = """
WITH copied AS (
  INSERT INTO subscriptions (id, stripe_customer_id, status, start_at, currency, discount_ids, watermark)
  SELECT id || '_' || place, stripe_customer_id, status, start_at, currency, discount_ids, watermark
  FROM subscriptions, generate_series(2, %(times)s) AS place
)
INSERT INTO subscription_items (id, subscription_id, price_id, quantity, period_start, period_end, discount_ids)
SELECT id || '_' || place, subscription_id || '_' || place, price_id, quantity, period_start, period_end, discount_ids
FROM subscription_items, generate_series(2, %(times)s) AS place
"""


def multiply(connection: Connection, times: int) -> None:
    """Have so many of each subscription, and tell the planner."""
    connection.execute(_MULTIPLY, {"times": times})
    connection.execute("ANALYZE")

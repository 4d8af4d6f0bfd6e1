"""What the two projects of the simulated shop sell, and how operators change it."""

import copy
import random
from typing import Any

Document = dict[str, Any]

NAMESPACE = "notes"
PROJECTS = ("notes", "tasks")
"""Both in one namespace: a user of one is the same customer in the other."""

START: dict[str, Document] = {
    "notes": {
        "features": [
            {"code": "export", "type": "boolean"},
            {"code": "seats", "type": "limit", "merge": "sum"},
            {"code": "calls", "type": "limit", "merge": "max"},
            {"code": "theme", "type": "config"},
            {"code": "badge", "type": "boolean"},
        ],
        "products": [
            {
                "key": "pro",
                "name": "Pro",
                "benefits": [
                    {"feature": "export"},
                    {"feature": "seats", "value": 1, "per_unit": True},
                    {"feature": "calls", "value": 100},
                    {"feature": "theme", "value": {"color": "blue"}, "priority": 1},
                ],
                "prices": [
                    {
                        "lookup_key": "pro_monthly",
                        "currency": "usd",
                        "unit_amount": 900,
                        "interval": "month",
                        "grace_days": 3,
                        "on_full_refund": "revoke",
                    },
                    {
                        "lookup_key": "pro_yearly",
                        "currency": "usd",
                        "unit_amount": 9000,
                        "interval": "year",
                        "benefits": [{"feature": "calls", "value": 1000}],
                    },
                ],
            },
            {
                "key": "extras",
                "name": "Extras",
                "benefits": [{"feature": "badge"}, {"feature": "seats", "value": 2}],
                "prices": [
                    {"lookup_key": "badge", "currency": "usd", "unit_amount": 500},
                    {
                        "lookup_key": "pass",
                        "currency": "usd",
                        "unit_amount": 700,
                        "access_days": 30,
                        "on_partial_refund": "revoke",
                        "benefits": [{"feature": "calls", "value": "unlimited"}],
                    },
                ],
            },
        ],
    },
    "tasks": {
        "features": [{"code": "boards", "type": "limit", "merge": "max"}],
        "products": [
            {
                "key": "basic",
                "name": "Basic",
                "benefits": [{"feature": "boards", "value": 3}],
                "prices": [
                    {"lookup_key": "tasks_basic", "currency": "usd", "unit_amount": 300, "interval": "month"},
                ],
            }
        ],
    },
}

RECURRING = ("pro_monthly", "pro_yearly", "tasks_basic")
MONTHLY = ("pro_monthly", "tasks_basic")
ONCE = ("badge", "pass")


def features_of(project: str) -> list[str]:
    return [feature["code"] for feature in START[project]["features"]]


def edited(document: Document, rng: random.Random) -> Document:
    """The document with one benefit's value or one price's policy changed."""
    new = copy.deepcopy(document)
    product = rng.choice(new["products"])
    benefit = rng.choice(product["benefits"])
    price = rng.choice(product["prices"])
    match benefit["feature"]:
        case "seats" | "calls" | "boards":
            benefit["value"] = rng.choice([0, 1, 5, 50, "unlimited"])
        case "theme":
            benefit.update(value={"color": rng.choice(["red", "green", 1, True])}, priority=rng.randrange(3))
        case _:
            price["on_full_refund"] = rng.choice(["keep", "revoke"])
    if "interval" in price and rng.random() < 0.3:
        price["grace_days"] = rng.choice([0, 1, 7])
    return new

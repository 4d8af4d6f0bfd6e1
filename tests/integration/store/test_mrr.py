from collections.abc import Iterator, Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from billing.domain.revenue import Share, monthly
from billing.domain.windows import from_seconds
from billing.store import reports
from billing.store.connection import Connection, close, transaction
from billing.store.mrr import LEDGER, record_mrr
from tests.support import random_revenue
from tests.support.random_revenue import NOW
from tests.support.revenue import Sums, expected_mrr

PROJECTS = ["notes", "tasks", "calls"]
Obj = dict[str, Any]


@pytest.fixture(autouse=True)
def closed(database_url: str) -> Iterator[None]:
    yield
    close(database_url)


def one_item(
    amount: int | str | None,
    interval: str = "month",
    count: int = 1,
    *,
    quantity: int = 1,
    status: str = "active",
    usage_type: str = "licensed",
    off: Sequence[Obj] = (),
    off_item: Sequence[Obj] = (),
    pause_collection: Obj | None = None,
    **price: Any,
) -> Obj:
    """A subscription in dollars to one item; `off` and `off_item` are the coupons of its discounts."""
    recurring = {"interval": interval, "interval_count": count, "usage_type": usage_type}
    asked = {"unit_amount": None, "unit_amount_decimal": None if amount is None else str(amount)}
    scheme: Obj = {"billing_scheme": "per_unit", "tiers_mode": None, "transform_quantity": None, "currency_options": {}}
    whole = {"currency": "usd", "lookup_key": None, "active": True, "recurring": recurring, **asked, **scheme, **price}
    item = {"price": whole, "quantity": quantity, "discounts": [discount(coupon) for coupon in off_item]}
    period = {"current_period_start": NOW, "current_period_end": NOW + 1}
    return {
        "status": status,
        "currency": "usd",
        "start_date": NOW,
        "cancel_at_period_end": False,
        "pause_collection": pause_collection,
        "discounts": [discount(coupon) for coupon in off],
        "items": {"has_more": False, "data": [{**item, **period}]},
    }


def discount(coupon: Obj) -> Obj:
    return {"end": None, "source": {"coupon": {"id": "off", "percent_off": None, "amount_off": None, **coupon}}}


def named(subscription: Obj, project_id: str) -> Obj:
    """With ids of its own, of a product that is the project's."""
    [item] = subscription["items"]["data"]
    item |= {"id": f"si_{project_id}"}
    item["price"] |= {"id": f"price_{project_id}", "product": f"prod_{project_id}"}
    for place, one in enumerate((*subscription["discounts"], *item["discounts"])):
        one["id"] = f"di_{project_id}_{place}"
    return {**subscription, "id": f"sub_{project_id}", "customer": f"cus_{project_id}"}


def reported(connection: Connection, at: int) -> Sums:
    """By (project, currency), what is not nothing."""
    sums: Sums = {}
    for row in reports.sum_revenue(connection, PROJECTS, from_seconds(at)):
        if row.currency is not None and row.divisor is not None:
            key = (row.project_id, row.currency)
            sums[key] = sums.get(key, Fraction()) + monthly([Share(row.amount, row.divisor)])
    return {key: total for key, total in sums.items() if total}


def positive(sums: Sums) -> Sums:
    return {key: total for key, total in sums.items() if total}


HALF: Obj = {"duration": "forever", "percent_off": 50}
EIGHTH: Obj = {"duration": "forever", "percent_off": 12.5}
TWO: Obj = {"duration": "forever", "amount_off": 200, "currency": "usd"}
EUROS: Obj = {**TWO, "currency": "eur", "currency_options": {"usd": {"amount_off": 120}}}
TIERS: list[Obj] = [
    {"up_to": 5, "unit_amount_decimal": "700", "flat_amount_decimal": "300"},
    {"up_to": None, "unit_amount_decimal": "500", "flat_amount_decimal": "100"},
]
GRADUATED: Obj = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}
VOLUME: Obj = {**GRADUATED, "tiers_mode": "volume"}

CASES: dict[str, tuple[Obj, Fraction]] = {
    "monthly": (one_item(900), Fraction(900)),
    "seven seats": (one_item(900, quantity=7), Fraction(6300)),
    "yearly": (one_item(9000, "year"), Fraction(750)),
    "every three months": (one_item(2500, "month", 3), Fraction(2500, 3)),
    "weekly": (one_item(700, "week"), Fraction(700 * 52, 12)),
    "daily": (one_item(33, "day"), Fraction(33 * 365, 12)),
    "parts of a cent": (one_item("0.05", quantity=33), Fraction("1.65")),
    "graduated": (one_item(None, quantity=7, **GRADUATED), Fraction(300 + 5 * 700 + 100 + 2 * 500)),
    "graduated, to a tier's end": (one_item(None, quantity=5, **GRADUATED), Fraction(300 + 5 * 700)),
    "graduated, none": (one_item(None, quantity=0, **GRADUATED), Fraction(300)),
    "volume": (one_item(None, quantity=7, **VOLUME), Fraction(100 + 7 * 500)),
    "volume, to a tier's end": (one_item(None, quantity=5, **VOLUME), Fraction(300 + 5 * 700)),
    "packages begun": (
        one_item(1000, quantity=6, transform_quantity={"divide_by": 5, "round": "up"}),
        Fraction(2000),
    ),
    "packages full": (
        one_item(1000, quantity=6, transform_quantity={"divide_by": 5, "round": "down"}),
        Fraction(1000),
    ),
    "once": (one_item(900, off=[{**HALF, "duration": "once"}]), Fraction(900)),
    "half off": (one_item(900, off=[HALF]), Fraction(450)),
    "two off": (one_item(900, off=[TWO]), Fraction(700)),
    "more off than asked": (one_item(150, off=[TWO]), Fraction(0)),
    "percent, then amount": (one_item(900, off=[EIGHTH, TWO]), Fraction("587.5")),
    "amount, then percent": (one_item(900, off=[TWO, EIGHTH]), Fraction("612.5")),
    "the item's own first": (one_item(900, off=[EIGHTH], off_item=[TWO]), Fraction("612.5")),
    "an amount in another currency": (one_item(900, off=[EUROS]), Fraction(780)),
    "for another product": (one_item(900, off=[{**HALF, "applies_to": {"products": ["prod_else"]}}]), Fraction(900)),
    "trialing": (one_item(900, status="trialing"), Fraction(0)),
    "past due": (one_item(900, status="past_due"), Fraction(900)),
    "unpaid": (one_item(900, status="unpaid"), Fraction(0)),
    "paused": (one_item(900, status="paused"), Fraction(0)),
    "incomplete": (one_item(900, status="incomplete"), Fraction(0)),
    "canceled": (one_item(900, status="canceled"), Fraction(0)),
    "collection paused": (one_item(900, pause_collection={"behavior": "void"}), Fraction(900)),
    "metered": (one_item(900, usage_type="metered"), Fraction(0)),
}


def test_what_a_subscription_brings_in_a_month(database_url: str) -> None:
    """Each case in a project of its own."""
    projects = {name: f"case-{place}" for place, name in enumerate(CASES)}
    owners = {f"prod_{project}": project for project in projects.values()}
    subscriptions = [named(subscription, projects[name]) for name, (subscription, _) in CASES.items()]
    with transaction(database_url) as connection:
        random_revenue.store(connection, subscriptions, owners)
        rows = reports.sum_revenue(connection, list(owners.values()), from_seconds(NOW))

    found = {row.project_id: monthly([Share(row.amount, row.divisor)]) for row in rows if row.divisor is not None}
    told = {name: found.get(project, Fraction()) for name, project in projects.items()}
    assert told == {name: month for name, (_, month) in CASES.items()}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sums_are_exactly_those_of_a_recomputation_by_hand(database_url: str, seed: int) -> None:
    subscriptions, owners = random_revenue.account(seed, 150, PROJECTS)
    with transaction(database_url) as connection:
        random_revenue.store(connection, subscriptions, owners)

        for at in (NOW, NOW + 1, NOW + 10_000):
            assert reported(connection, at) == positive(expected_mrr(subscriptions, owners, at))


def test_all_of_three_thousand_subscriptions_count(database_url: str) -> None:
    subscriptions, owners = random_revenue.account(4, 150, PROJECTS)
    with transaction(database_url) as connection:
        random_revenue.store(connection, subscriptions, owners)
        random_revenue.multiply(connection, 20)

        counted = reports.count_subscriptions(connection, PROJECTS, ["active", "trialing"])
        assert reported(connection, NOW) == positive(expected_mrr(subscriptions * 20, owners, NOW))

    found = {(row.project_id, row.status): row.subscriptions for row in counted}
    sold = [(one["status"], {owners[i["price"]["product"]] for i in one["items"]["data"]}) for one in subscriptions]
    assert found == {
        (project, status): 20 * sum(1 for stated, of in sold if stated == status and project in of)
        for project in PROJECTS
        for status in ("active", "trialing")
    }


def test_the_ledger_holds_what_the_rows_say_now_and_once_discounts_have_ended(database_url: str) -> None:
    subscriptions, owners = random_revenue.account(5, 150, PROJECTS)
    with transaction(database_url) as connection:
        random_revenue.store(connection, subscriptions, owners)
        for one in subscriptions:
            record_mrr(connection, one["id"], from_seconds(NOW))

        for at in (NOW, NOW + 1, NOW + 10_000):
            just_after = from_seconds(at) + timedelta(microseconds=1)
            rows = reports.sum_movements(connection, PROJECTS, just_after, just_after)
            held: Sums = {}
            for row in rows:
                if row.divisor is not None:
                    key = (row.project_id, row.currency)
                    held[key] = held.get(key, Fraction()) + monthly([Share(row.closing, row.divisor)])
            assert positive(held) == reported(connection, at)


def test_recording_again_changes_nothing(database_url: str) -> None:
    subscriptions, owners = random_revenue.account(6, 50, PROJECTS)
    with transaction(database_url) as connection:
        random_revenue.store(connection, subscriptions, owners)
        ledgers = []
        for _ in range(2):
            for one in subscriptions:
                record_mrr(connection, one["id"], from_seconds(NOW))
            ledgers.append(connection.execute("SELECT * FROM mrr_changes ORDER BY 1, 2, 3, 4, 5").fetchall())

    assert ledgers[0] == ledgers[1]
    assert ledgers[0]


def test_the_ledgers_function_applies_the_rule_of_the_reports_word_for_word(database_url: str) -> None:
    with transaction(database_url) as connection:
        row = connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'record_mrr'").fetchone()

    assert row is not None
    wanted = LEDGER.replace("%(id)s", "of_subscription").replace("%(at)s", "at")
    assert " ".join(wanted.split()) in " ".join(row[0].split())

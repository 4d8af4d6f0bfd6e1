"""The business in numbers, as the operators' function tells it, against a recomputation from what Stripe has."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.domain.windows import rfc3339
from billing.usecases.manage_projects import create_key, create_project
from tests.support.gateway import Answer
from tests.support.office import Office
from tests.support.revenue import Stripe, expected_mrr
from tests.support.shop import Shop

METRICS = "GET /api/v1/admin/metrics"
DAY = 86_400
CARD = "pm_card_visa"
LONG_AGO = {"from": "2020-01-01T00:00:00Z"}

PRICES: dict[str, dict[str, Any]] = {
    "weekly": {"unit_amount": 700, "recurring": {"interval": "week"}},
    "daily": {"unit_amount": 33, "recurring": {"interval": "day"}},
    "quarterly": {"unit_amount": 2500, "recurring": {"interval": "month", "interval_count": 3}},
    "fraction": {"unit_amount_decimal": "0.05", "recurring": {"interval": "month"}},
    "yen": {"currency": "jpy", "unit_amount": 980, "recurring": {"interval": "month"}},
    "dinar": {"currency": "kwd", "unit_amount": 1250, "recurring": {"interval": "month"}},
    "packages": {
        "unit_amount": 1000,
        "recurring": {"interval": "month"},
        "transform_quantity": {"divide_by": 5, "round": "up"},
    },
    "graduated": {
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers": [
            {"up_to": 5, "unit_amount": 700, "flat_amount": 300},
            {"up_to": "inf", "unit_amount": 500, "flat_amount": 100},
        ],
        "recurring": {"interval": "month"},
    },
    "volume": {
        "billing_scheme": "tiered",
        "tiers_mode": "volume",
        "tiers": [{"up_to": 5, "unit_amount": 700}, {"up_to": "inf", "unit_amount": 500, "flat_amount": 50}],
        "recurring": {"interval": "month"},
    },
}
COUPONS: dict[str, dict[str, Any]] = {
    "once": {"duration": "once", "percent_off": 50},
    "forever": {"duration": "forever", "percent_off": 12.5},
    "three": {"duration": "repeating", "duration_in_months": 3, "amount_off": 200, "currency": "usd"},
    "euros": {
        "duration": "forever",
        "amount_off": 100,
        "currency": "eur",
        "currency_options": {"usd": {"amount_off": 120}},
    },
    "badges": {"duration": "forever", "percent_off": 100, "applies_to": {"products": ["notes_badge"]}},
    "free": {"duration": "forever", "percent_off": 100},
}


class Market:
    """The shop with more prices, coupons, and users who subscribe with a card."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.shop: Shop = office.shop
        made = {name: self.price(**price) for name, price in PRICES.items()}
        self.prices = {name: self.shop.price(name) for name in ("pro_monthly", "pro_yearly")} | made
        for name, coupon in COUPONS.items():
            params: Any = {"id": name, **coupon}
            self.shop.stripe.v1.coupons.create(params)

    def price(self, **price: Any) -> str:
        params: Any = {"product": "notes_pro", "currency": "usd", **price}
        return self.shop.stripe.v1.prices.create(params).id

    def subscribe(self, user_id: str, *sold: str | tuple[str, int], **terms: Any) -> str:
        """Items by the names of their prices, with a quantity or without."""
        customer = self.shop.customer(user_id)
        self.shop.stripe.v1.payment_methods.attach(CARD, {"customer": customer})
        named = [(item, 1) if isinstance(item, str) else item for item in sold]
        items = [{"price": self.prices[name], "quantity": quantity} for name, quantity in named]
        for item, coupons in zip(items, terms.pop("item_discounts", []), strict=False):
            item["discounts"] = [{"coupon": coupon} for coupon in coupons]
        terms["discounts"] = [{"coupon": coupon} for coupon in terms.get("discounts", [])]
        methods = self.shop.stripe.v1.payment_methods.list({"customer": customer}).data
        params: Any = {"customer": customer, "items": items, "default_payment_method": methods[0].id, **terms}
        return self.shop.stripe.v1.subscriptions.create(params).id

    def pass_days(self, days: int) -> None:
        self.shop.double.control.advance_clock(advance_seconds=days * DAY)

    def settle(self) -> None:
        self.shop.apply(self.shop.events())

    def now(self) -> int:
        return int(self.shop.double.control.clock()["now"])

    def metrics(self, **query: str) -> Any:
        """Those of project notes."""
        answer = self.office.ask(METRICS, query={"project_id": "notes", **query})
        assert answer.status == 200, answer.text
        [project] = answer.body["data"]
        return project

    def revenue(self, currency: str = "usd", **query: str) -> Any:
        by_currency = {row["currency"]: row for row in self.metrics(**query)["revenue"]}
        return by_currency[currency]

    def agree(self) -> None:
        """What is told is what a recomputation from Stripe's objects gives, in every currency."""
        stripe = Stripe(self.shop.stripe)
        exact = expected_mrr(stripe.subscriptions(), stripe.owners(), self.now())
        told = {row["currency"]: (row["mrr"], row["arr"]) for row in self.metrics()["revenue"]}
        notes = {currency: month for (project, currency), month in exact.items() if project == "notes"}
        assert told == {currency: (round(month), round(month * 12)) for currency, month in notes.items()}


@pytest.fixture
def market(office: Office) -> Market:
    return Market(office)


# --- monthly recurring revenue -------------------------------------------------------------------------------------


def test_all_rhythms_quantities_tiers_discounts_and_currencies_agree_with_stripe(market: Market) -> None:
    market.subscribe("ann", ("pro_monthly", 7))
    market.subscribe("bob", "pro_yearly")
    market.subscribe("cat", ("weekly", 2))
    market.subscribe("dan", "daily")
    market.subscribe("eve", "quarterly")
    market.subscribe("fay", ("fraction", 33))
    market.subscribe("gus", ("graduated", 12))
    market.subscribe("hal", ("volume", 12))
    market.subscribe("ida", ("packages", 11))
    market.subscribe("jim", "yen")
    market.subscribe("kim", ("dinar", 3))
    market.subscribe("leo", "pro_monthly", ("graduated", 2), discounts=["forever", "three"])
    market.subscribe("mia", "pro_monthly", ("volume", 6), item_discounts=[["three"], ["forever"]], discounts=["euros"])
    market.subscribe("ned", "pro_monthly", discounts=["once"])
    market.subscribe("ora", "pro_monthly", discounts=["badges"])
    market.subscribe("pia", "pro_yearly", discounts=["free"])
    market.settle()

    market.agree()
    assert market.metrics()["subscriptions"]["active"] == 16
    assert market.metrics()["paying_customers"] == 15
    assert market.metrics()["unclear_items"] == 0


def test_a_repeating_discount_ends_by_time_without_any_event(market: Market) -> None:
    market.subscribe("ann", "pro_yearly", discounts=["three"])
    market.settle()
    market.pass_days(1)
    started = rfc3339(datetime.fromtimestamp(market.now(), UTC))
    assert market.revenue()["mrr"] == 733  # (9000 - 200) / 12

    market.pass_days(100)

    market.agree()
    ended = market.revenue(**{"from": started})
    assert (ended["mrr"], ended["closing_mrr"]) == (750, 750)
    assert ended["movements"]["expansion"] == {"customers": 1, "amount": 17}


def test_who_falls_behind_still_counts_who_stopped_paying_does_not(market: Market) -> None:
    market.shop.double.control.set_dunning(retry_days=[3], then="unpaid")
    market.subscribe("ann", "pro_monthly")
    market.settle()
    market.shop.double.control.set_card(market.shop.customer("ann"), "decline")
    market.pass_days(32)
    market.settle()
    assert market.metrics()["subscriptions"]["past_due"] == 1
    assert market.revenue()["mrr"] == 900

    market.pass_days(5)
    market.settle()

    told = market.metrics()
    assert (told["subscriptions"]["past_due"], told["subscriptions"]["unpaid"]) == (0, 1)
    assert sum(row["mrr"] for row in told["revenue"]) == told["paying_customers"] == 0


def test_a_discount_taken_away_counts_no_more(market: Market) -> None:
    subscription = market.subscribe("ann", "pro_monthly", discounts=["forever"])
    market.settle()
    market.pass_days(1)

    market.shop.stripe.v1.subscriptions.update(subscription, {"discounts": ""})
    market.settle()

    market.agree()
    assert market.revenue()["mrr"] == 900


def test_what_cannot_be_known_is_said(market: Market) -> None:
    """Stripe does not expand an item's coupon as far as its further currencies."""
    market.subscribe("ann", "pro_monthly", item_discounts=[["euros"]])
    market.settle()

    assert market.metrics()["unclear_items"] == 1


def test_a_discount_once_known_is_not_asked_for_again(market: Market) -> None:
    subscription = market.subscribe("ann", "pro_monthly", discounts=["forever"])
    market.settle()
    market.pass_days(1)
    market.shop.stripe.v1.subscriptions.update(subscription, {"metadata": {"a": "b"}})
    asked = len(market.shop.double.control.requests())

    market.settle()

    paths = [request["path"] for request in market.shop.double.control.requests()[asked:]]
    assert not [path for path in paths if path.startswith("/v1/subscriptions")]


# --- movements -----------------------------------------------------------------------------------------------------


def test_a_period_tells_who_came_grew_shrank_left_and_came_back(market: Market) -> None:
    staying = market.subscribe("grows", ("pro_monthly", 2))
    shrinking = market.subscribe("shrinks", ("pro_monthly", 5))
    leaving = market.subscribe("leaves", "pro_yearly")
    returning = market.subscribe("returns", "pro_monthly")
    market.subscribe("stays", "quarterly")
    market.settle()
    market.pass_days(1)
    market.shop.stripe.v1.subscriptions.cancel(returning)
    market.settle()
    market.pass_days(1)
    start = rfc3339(datetime.fromtimestamp(market.now(), UTC))
    market.pass_days(1)
    market.subscribe("comes", "yen")
    market.subscribe("tries", "pro_monthly", trial_period_days=30)
    market.subscribe("returns", "pro_monthly")
    for subscription, quantity in ((staying, 4), (shrinking, 1)):
        item = market.shop.stripe.v1.subscriptions.retrieve(subscription)["items"].data[0].id
        market.shop.stripe.v1.subscriptions.update(subscription, {"items": [{"id": item, "quantity": quantity}]})
    market.shop.stripe.v1.subscriptions.cancel(leaving)
    market.settle()
    market.pass_days(1)

    dollars = market.revenue(**{"from": start})

    assert dollars["movements"] == {
        "new": {"customers": 0, "amount": 0},
        "reactivation": {"customers": 1, "amount": 900},
        "expansion": {"customers": 1, "amount": 1800},
        "contraction": {"customers": 1, "amount": 3600},
        "churn": {"customers": 1, "amount": 750},
    }
    assert dollars["opening_mrr"] == 1800 + 4500 + 750 + 833
    assert dollars["closing_mrr"] == dollars["mrr"] == 3600 + 900 + 900 + 833
    assert market.revenue("jpy", **{"from": start})["movements"]["new"] == {"customers": 1, "amount": 980}
    earlier = market.revenue(**LONG_AGO, to=start)
    assert earlier["movements"]["new"] == {"customers": 4, "amount": 1800 + 4500 + 750 + 833}
    assert earlier["opening_mrr"] == 0


def test_the_same_money_in_another_rhythm_is_no_movement(market: Market) -> None:
    subscription = market.subscribe("ann", "pro_monthly", ("pro_monthly", 2))
    market.settle()
    market.pass_days(1)
    start = rfc3339(datetime.fromtimestamp(market.now(), UTC))
    third = market.price(unit_amount=2700 * 12, recurring={"interval": "year"})
    first, second = market.shop.stripe.v1.subscriptions.retrieve(subscription)["items"].data
    change: Any = {"items": [{"id": first.id, "price": third}, {"id": second.id, "deleted": True}]}
    market.shop.stripe.v1.subscriptions.update(subscription, change)
    market.settle()
    market.pass_days(1)

    told = market.revenue(**{"from": start})

    assert {movement["customers"] for movement in told["movements"].values()} == {0}
    assert told["opening_mrr"] == told["closing_mrr"] == 2700


# --- sales, refunds, grants ----------------------------------------------------------------------------------------


def test_purchases_refunds_and_grants_are_counted(market: Market) -> None:
    kept, returned = (market.shop.buy(user_id, "badge") for user_id in ("ann", "bob"))
    market.shop.double.control.refund(returned, amount=200)
    failing = market.shop.double.control.refund(kept, amount=100)
    market.shop.double.control.fail_refund(failing["id"])
    market.settle()
    market.pass_days(1)

    told = market.metrics(**LONG_AGO)

    assert told["purchases"] == [{"currency": "usd", "count": 2, "amount": 1000}]
    assert told["refunds"] == [{"currency": "usd", "count": 1, "amount": 200}]
    assert told["live"] == {"grants": 0, "denials": 0}


# --- the route -----------------------------------------------------------------------------------------------------


def test_without_a_project_all_are_told_page_by_page(office: Office) -> None:
    create_project(office.database_url, project_id="board", name="Board", allowed_origins=[])

    first = office.ask(METRICS, query={"limit": "1"}).body
    second = office.ask(METRICS, query={"limit": "1", "cursor": first["next_cursor"]}).body

    assert [row["project_id"] for row in (*first["data"], *second["data"])] == ["board", "notes"]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_the_period_is_this_calendar_month_up_to_now(office: Office) -> None:
    told = office.ask(METRICS).body
    now = datetime.fromisoformat(told["as_of"])

    assert told["to"] == told["as_of"]
    assert datetime.fromisoformat(told["from"]) == now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert office.ask(METRICS, query={"to": "2999-01-01T00:00:00Z"}).body["to"] < "2999"


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, "?from"),
        ({"from": "2999-01-01T00:00:00Z"}, "?from"),
        ({"from": "yesterday"}, "?from"),
        ({"limit": "101"}, "?limit"),
        ({"cursor": "bm90aGluZw=="}, "?cursor"),
        ({"user_id": "ann"}, "?user_id"),
    ],
)
def test_a_query_that_is_none_is_refused(office: Office, query: dict[str, str], pointer: str) -> None:
    refused = office.ask(METRICS, query=query)
    assert (refused.status, refused.pointers) == (422, [pointer])


def test_an_unknown_project_is_not_found(office: Office) -> None:
    assert office.ask(METRICS, query={"project_id": "nobody"}).code == "project_not_found"


@pytest.mark.parametrize("route", [METRICS, "GET /metrics"])
def test_a_projects_key_opens_neither(office: Office, route: str) -> None:
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    refused: Callable[[str], Answer] = lambda sent: office.ask(route, key=sent)  # noqa: E731
    assert refused(key).code == "wrong_role"
    assert refused("bk_test_nonsense").status == 401

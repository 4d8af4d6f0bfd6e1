"""What became different is told in plain sentences, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from billing.domain.catalog import Benefit, Catalog, Feature, PricePolicy
from billing.domain.changes import catalog_changed, holdings_changed
from billing.domain.holdings import Grant, Holding
from billing.domain.policies import NOTHING_BACK, MoneyBack
from tests.unit.domain.making import DAY, EXPORT, PERIOD_END, START, a_catalog, a_denial, a_grant, a_purchase, an_item
from tests.unit.domain.worlds import World, worlds

LABELS = {"price_pro": "Pro", "price_max": "Max", "price_life": "Life"}
LATER = START + 3 * DAY
MONTH_ON = PERIOD_END + 31 * DAY


def told(before: Holding | None, after: Holding | None) -> list[str]:
    old, new = ([] if one is None else [one] for one in (before, after))
    return [change.text for change in holdings_changed(old, new, LABELS)]


def change_of(holding: Holding, **changes: Any) -> str:
    """What is told of one holding, less its name."""
    [text] = told(holding, replace(holding, **changes))
    return text.partition(": ")[2]


@pytest.mark.parametrize(
    ("holding", "words"),
    [
        (
            an_item(quantity=2, cancel_at=LATER),
            (
                "Pro, subscription sub_1: began, active, quantity 2, period until 2026-02-01 00:00:00 UTC,"
                " to be canceled on 2026-01-04 00:00:00 UTC"
            ),
        ),
        (
            a_purchase(money=MoneyBack(refunded_at=LATER)),
            (
                "Life of 2026-01-01: bought, paid on 2026-01-01 00:00:00 UTC, quantity 1,"
                " refunded in full on 2026-01-04 00:00:00 UTC"
            ),
        ),
        (
            a_grant(revoked_at=LATER),
            (
                "grant grant_1: gives export = yes from 2026-01-01 00:00:00 UTC on, for ever,"
                " revoked on 2026-01-04 00:00:00 UTC"
            ),
        ),
        (
            a_denial(valid_to=LATER),
            "denial grant_no: takes export from 2026-01-01 00:00:00 UTC on, until 2026-01-04 00:00:00 UTC",
        ),
    ],
)
def test_what_came_is_told_with_all_there_is_to_it(holding: Holding, words: str) -> None:
    assert told(None, holding) == [words]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cancel_at_period_end": True}, "to be canceled at the end of its period, 2026-02-01 00:00:00 UTC"),
        ({"past_due_since": LATER}, "payments fail since 2026-01-04 00:00:00 UTC"),
        ({"ended_at": LATER}, "ended on 2026-01-04 00:00:00 UTC"),
        ({"customer_deleted_at": LATER}, "its customer was deleted in Stripe on 2026-01-04 00:00:00 UTC"),
        ({"money": MoneyBack(disputed_since=LATER)}, "disputed since 2026-01-04 00:00:00 UTC"),
    ],
)
def test_what_came_out_of_order_is_told_so(changes: dict[str, Any], words: str) -> None:
    assert told(None, an_item(**changes)) == [f"{told(None, an_item())[0]}, {words}"]


@pytest.mark.parametrize("holding", [an_item(), a_purchase(), a_grant()])
def test_what_went_is_told(holding: Holding) -> None:
    [text] = told(holding, None)
    assert text.endswith(": no longer held")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price_id": "price_max"}, "changed from Pro to Max"),
        ({"quantity": 5}, "quantity 1 → 5"),
        ({"status": "past_due"}, "active → past_due"),
        ({"period_end": MONTH_ON}, "renewed, period until 2026-03-04 00:00:00 UTC"),
        ({"period_end": LATER}, "period now until 2026-01-04 00:00:00 UTC"),
        ({"cancel_at": LATER}, "to be canceled on 2026-01-04 00:00:00 UTC"),
        ({"cancel_at_period_end": True}, "to be canceled at the end of its period, 2026-02-01 00:00:00 UTC"),
        ({"past_due_since": LATER}, "payments fail since 2026-01-04 00:00:00 UTC"),
        ({"ended_at": LATER}, "ended on 2026-01-04 00:00:00 UTC"),
        ({"customer_deleted_at": LATER}, "its customer was deleted in Stripe on 2026-01-04 00:00:00 UTC"),
        ({"period_start": LATER}, "its details changed"),
        ({"quantity": 2, "status": "active", "cancel_at_period_end": False}, "quantity 1 → 2"),
    ],
)
def test_a_change_of_a_subscription_item_is_told(changes: dict[str, Any], words: str) -> None:
    item = an_item()
    name = "Max" if "price_id" in changes else "Pro"
    assert told(item, replace(item, **changes)) == [f"{name}, subscription sub_1: {words}"]


def test_several_changes_of_one_holding_are_one_sentence() -> None:
    assert change_of(an_item(), quantity=2, status="past_due") == "quantity 1 → 2, active → past_due"


def test_a_price_without_a_label_goes_by_its_id() -> None:
    [change] = holdings_changed([an_item()], [an_item(price_id="price_max")], {})

    assert change.text == "price_max, subscription sub_1: changed from price_pro to price_max"


def test_holdings_of_two_kinds_are_two_even_if_their_ids_are_one() -> None:
    came, went = told(a_purchase(id="same"), a_grant(id="same"))

    assert came.startswith("grant same: gives export")
    assert went == "Life of 2026-01-01: no longer held"


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({"cancel_at": LATER}, "its cancellation was taken back"),
        ({"cancel_at_period_end": True}, "its cancellation at the period's end was taken back"),
        ({"past_due_since": LATER}, "payments are in order again"),
        ({"ended_at": LATER}, "its end was taken back"),
        ({"customer_deleted_at": LATER}, "its customer is back"),
    ],
)
def test_what_was_undone_is_told(before: dict[str, Any], words: str) -> None:
    assert change_of(an_item(**before), **dict.fromkeys(before, None) | _falses(before)) == words


def _falses(members: dict[str, Any]) -> dict[str, Any]:
    return {name: False for name, value in members.items() if value is True}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (NOTHING_BACK, MoneyBack(refunded_at=LATER), "refunded in full on 2026-01-04 00:00:00 UTC"),
        (NOTHING_BACK, MoneyBack(partly_refunded_at=LATER), "refunded in part on 2026-01-04 00:00:00 UTC"),
        (
            MoneyBack(partly_refunded_at=LATER),
            MoneyBack(refunded_at=LATER),
            "refunded in full on 2026-01-04 00:00:00 UTC",
        ),
        (MoneyBack(refunded_at=LATER), NOTHING_BACK, "its refund came to nothing or no longer counts"),
        (MoneyBack(partly_refunded_at=LATER), NOTHING_BACK, "its partial refund came to nothing or no longer counts"),
        (NOTHING_BACK, MoneyBack(disputed_since=LATER), "disputed since 2026-01-04 00:00:00 UTC"),
        (MoneyBack(disputed_since=LATER), NOTHING_BACK, "the dispute is over, and not lost"),
        (MoneyBack(disputed_since=START), MoneyBack(lost_at=LATER), "the dispute of 2026-01-04 00:00:00 UTC was lost"),
        (MoneyBack(lost_at=LATER), NOTHING_BACK, "a later payment made up for the lost dispute"),
    ],
)
def test_money_that_went_back_or_came_again_is_told(before: MoneyBack, after: MoneyBack, words: str) -> None:
    assert change_of(a_purchase(money=before), money=after) == words
    assert change_of(an_item(money=before), money=after) == words


def test_a_change_of_a_grant_is_told() -> None:
    assert change_of(a_grant(), revoked_at=LATER) == "revoked on 2026-01-04 00:00:00 UTC"
    assert change_of(a_grant(), valid_to=LATER) == (
        "now from 2026-01-01 00:00:00 UTC on, until 2026-01-04 00:00:00 UTC"
    )


def test_another_event_that_states_the_same_is_no_change() -> None:
    assert told(an_item(event="evt_1"), an_item(event="evt_9")) == []
    assert told(a_purchase(event="evt_1"), a_purchase(event=None)) == []


@given(worlds, worlds)
def test_exactly_what_differs_is_told(before: World, after: World) -> None:
    def known(world: World) -> dict[tuple[type[Holding], str], Holding]:
        bare = [one if isinstance(one, Grant) else replace(one, event=None) for one in world.holdings]
        return {(type(one), one.id): one for one in bare}

    changes = holdings_changed(before.holdings, after.holdings, {})

    old, new = known(before), known(after)
    differing = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    assert {(type(change.holding), change.holding.id) for change in changes} == differing
    assert all(change.text for change in changes)


# --- catalogs --------------------------------------------------------------------------------------------------------


def edited(before: Catalog, after: Catalog) -> list[str]:
    return catalog_changed(before, after, "export", LABELS)


def test_a_catalog_that_says_the_same_is_no_change() -> None:
    assert edited(a_catalog(epoch=1), a_catalog(epoch=2)) == []


def test_a_feature_that_came_changed_or_went_is_told() -> None:
    bare = a_catalog(by_product={}, features=())
    known = a_catalog(by_product={}, features=(EXPORT,))
    limit = a_catalog(by_product={}, features=(Feature("export", "limit", "sum"),))
    assert edited(bare, known) == ["feature export is a boolean, merged by max"]
    assert edited(known, limit) == ["feature export is a limit, merged by sum"]
    assert edited(known, bare) == ["feature export is no more"]


def test_what_a_product_or_a_price_gives_now_is_told() -> None:
    before = a_catalog(by_product={"prod_pro": (Benefit("export", 1),)})
    after = a_catalog(
        by_product={"prod_pro": (Benefit("export", 2, per_unit=True), Benefit("seats", 1))},
        by_price={"price_pro": (Benefit("export", "unlimited"),)},
    )
    assert edited(before, after) == [
        "product prod_pro gives export: 1 → 2 a unit",
        "price Pro gives export: nothing → unlimited",
    ]


def test_a_policy_that_stays_is_not_told_and_one_that_goes_is() -> None:
    strict = a_catalog(policies={"price_pro": PricePolicy(access_days=3)})

    assert edited(strict, replace(strict, epoch=2)) == []
    assert edited(strict, a_catalog()) == ["price Pro: access_days 3 → by default"]


def test_a_policy_of_a_price_that_has_a_label_is_told() -> None:
    after = a_catalog(
        policies={
            "price_pro": PricePolicy(grace_period=timedelta(days=3), on_full_refund="revoke"),
            "price_other": PricePolicy(access_days=3),
        }
    )
    assert edited(a_catalog(), after) == [
        "price Pro: grace_period 7 days → 3 days",
        "price Pro: on_full_refund by default → revoke",
    ]

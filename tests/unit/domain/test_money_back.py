"""When refunds and disputes end a source, by its price's policy, and how whatever is undone restores it (SPEC §2.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from billing.domain.catalog import DEFAULT_POLICY, PricePolicy
from billing.domain.holdings import Purchase, SubscriptionItem, from_json, to_json
from billing.domain.policies import NOTHING_BACK, MoneyBack
from billing.domain.sources import EndReason, Source, after_money_back, sources_of
from billing.domain.windows import FOREVER, Window
from tests.unit.domain.making import DAY, LEEWAY, PERIOD_END, START, TICK, a_catalog, a_purchase, an_item, decided
from tests.unit.domain.worlds import World, worlds

REVOKES = PricePolicy(on_full_refund="revoke")
KEEPS = PricePolicy(on_full_refund="keep")
REVOKES_PARTS = PricePolicy(on_partial_refund="revoke")

THEN = START + 2 * DAY
REFUNDED = MoneyBack(refunded_at=THEN)
PARTLY = MoneyBack(partly_refunded_at=THEN)
DISPUTED = MoneyBack(disputed_since=THEN)
LOST = MoneyBack(lost_at=THEN)

ITEM = an_item()
ITEMS_OWN = Window(START, PERIOD_END + LEEWAY)
PURCHASE = a_purchase()
FOR_EVER = Window(START, FOREVER)
CUT = Window(START, THEN)


def window_of(holding: SubscriptionItem | Purchase, policy: PricePolicy = DEFAULT_POLICY) -> tuple[Window, EndReason]:
    """The window of the one feature that the holding gives, and what to say after it."""
    (source,) = sources_of(holding, a_catalog(policies={holding.price_id: policy}))
    assert isinstance(source, Source)
    return source.window, source.end_reason


def test_a_full_refund_ends_a_purchase_and_not_a_subscription() -> None:
    assert window_of(replace(PURCHASE, money=REFUNDED)) == (CUT, "expired")
    assert window_of(replace(ITEM, money=REFUNDED)) == (ITEMS_OWN, "expired")


def test_a_price_may_end_its_subscriptions_on_a_full_refund_and_keep_its_purchases() -> None:
    assert window_of(replace(ITEM, money=REFUNDED), REVOKES) == (CUT, "expired")
    assert window_of(replace(PURCHASE, money=REFUNDED), KEEPS) == (FOR_EVER, "expired")


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, REVOKES, KEEPS])
def test_a_partial_refund_ends_nothing(policy: PricePolicy) -> None:
    assert window_of(replace(PURCHASE, money=PARTLY), policy) == (FOR_EVER, "expired")
    assert window_of(replace(ITEM, money=PARTLY), policy) == (ITEMS_OWN, "expired")


def test_a_partial_refund_ends_what_its_price_says_it_ends() -> None:
    assert window_of(replace(PURCHASE, money=PARTLY), REVOKES_PARTS) == (CUT, "expired")
    assert window_of(replace(ITEM, money=PARTLY), REVOKES_PARTS) == (CUT, "expired")


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, REVOKES, KEEPS])
def test_an_open_dispute_suspends_whatever_the_policy_for_refunds(policy: PricePolicy) -> None:
    assert window_of(replace(PURCHASE, money=DISPUTED), policy) == (CUT, "suspended_dispute")
    assert window_of(replace(ITEM, money=DISPUTED), policy) == (CUT, "suspended_dispute")


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, REVOKES, KEEPS])
def test_a_dispute_lost_ends_whatever_the_policy_for_refunds(policy: PricePolicy) -> None:
    assert window_of(replace(PURCHASE, money=LOST), policy) == (CUT, "expired")
    assert window_of(replace(ITEM, money=LOST), policy) == (CUT, "expired")


@pytest.mark.parametrize(
    ("money", "reason"), [(REFUNDED, "expired"), (DISPUTED, "suspended_dispute"), (LOST, "expired")]
)
def test_access_ends_at_the_very_instant_the_money_goes(money: MoneyBack, reason: str) -> None:
    held = replace(PURCHASE, money=money)

    assert decided(held, THEN - TICK).allowed
    assert (decided(held, THEN).allowed, decided(held, THEN).reason) == (False, reason)


def test_of_several_reasons_the_earliest_ends_it() -> None:
    disputed_first = MoneyBack(disputed_since=THEN, refunded_at=THEN + DAY, lost_at=THEN + 2 * DAY)
    refunded_first = MoneyBack(disputed_since=THEN + DAY, refunded_at=THEN, lost_at=THEN + 2 * DAY)
    lost_first = MoneyBack(disputed_since=THEN + 2 * DAY, refunded_at=THEN + DAY, lost_at=THEN)

    assert window_of(replace(PURCHASE, money=disputed_first)) == (CUT, "suspended_dispute")
    assert window_of(replace(PURCHASE, money=refunded_first)) == (CUT, "expired")
    assert window_of(replace(PURCHASE, money=lost_first)) == (CUT, "expired")


def test_of_a_refund_and_a_dispute_of_one_instant_the_refund_is_the_reason_for_it_stays() -> None:
    both = MoneyBack(refunded_at=THEN, disputed_since=THEN)

    assert window_of(replace(PURCHASE, money=both)) == (CUT, "expired")


def test_money_that_goes_after_the_end_changes_nothing_about_it() -> None:
    late = PERIOD_END + LEEWAY
    for money in (MoneyBack(disputed_since=late), MoneyBack(disputed_since=late + TICK)):
        assert window_of(replace(ITEM, money=money)) == (ITEMS_OWN, "expired")
    assert window_of(replace(ITEM, money=MoneyBack(disputed_since=late - TICK)))[1] == "suspended_dispute"


def test_a_grace_that_ended_first_stays_the_reason() -> None:
    past_due = an_item(status="past_due", past_due_since=START, money=MoneyBack(disputed_since=START + 8 * DAY))

    assert window_of(past_due) == (Window(START, START + 7 * DAY), "past_due_grace_ended")


def test_money_that_went_before_the_start_leaves_no_window() -> None:
    early = replace(PURCHASE, money=MoneyBack(disputed_since=START - DAY))

    assert window_of(early) == (Window(START, START), "suspended_dispute")
    assert decided(early, START).reason == "suspended_dispute"


def test_only_the_source_whose_money_went_ends() -> None:
    refunded, other = replace(PURCHASE, money=REFUNDED), a_purchase(id="cs_2/li_1")

    assert decided([refunded, other], THEN).allowed
    assert not decided([refunded], THEN).allowed


@pytest.mark.parametrize("money", [REFUNDED, PARTLY, DISPUTED, LOST])
def test_what_is_undone_restores_the_source_exactly(money: MoneyBack) -> None:
    for holding in (ITEM, PURCHASE):
        taken = replace(holding, money=money)

        assert window_of(taken, PricePolicy(on_full_refund="revoke", on_partial_refund="revoke"))[0] == CUT
        assert sources_of(replace(taken, money=NOTHING_BACK), a_catalog()) == sources_of(holding, a_catalog())


def test_a_holding_whose_money_went_back_is_written_with_it_and_read_back_equal() -> None:
    everything = MoneyBack(THEN, THEN + DAY, THEN + 2 * DAY, THEN + 3 * DAY)

    for holding in (replace(ITEM, money=everything), replace(PURCHASE, money=everything)):
        assert from_json(to_json(holding)) == holding
    assert to_json(replace(PURCHASE, money=DISPUTED))["money"] == {"disputed_since": "2026-01-03T00:00:00Z"}


@given(worlds)
def test_money_that_goes_back_never_gives_a_longer_window(world: World) -> None:
    for holding in world.holdings:
        if isinstance(holding, SubscriptionItem | Purchase):
            policy = world.catalog.policies[holding.price_id]
            for window in (FOR_EVER, CUT):
                cut, _ = after_money_back(holding, window, "expired", policy)

                assert cut.start == window.start
                assert window.start <= cut.end <= window.end

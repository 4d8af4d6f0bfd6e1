"""The merged answer for one feature at one instant: SPEC §2.1-2.3, §2.7, §2.8."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from billing.domain.catalog import UNLIMITED, Benefit, Catalog
from billing.domain.entitlements import FeatureState, Reason, boundaries, decide, states_of
from billing.domain.holdings import Holding
from billing.domain.windows import FOREVER
from tests.unit.domain.making import (
    DAY,
    EXPORT,
    GRACE,
    LEEWAY,
    PERIOD_END,
    START,
    TICK,
    a_catalog,
    a_denial,
    a_grant,
    a_purchase,
    an_item,
    decided,
)

NOON = START + timedelta(hours=12)


def test_a_feature_with_a_live_source_is_held() -> None:
    decision = decided(an_item(), NOON)

    assert (decision.allowed, decision.value, decision.reason) == (True, True, "entitled")
    assert [source.id for source in decision.sources] == ["si_1"]


def test_a_feature_nobody_gave_is_not_held() -> None:
    decision = decided([], NOON)

    assert (decision.allowed, decision.value, decision.reason) == (False, None, "no_source")
    assert decision.valid_to == FOREVER
    assert decision.sources == ()


def test_access_ends_at_the_very_instant_its_window_does() -> None:
    item = an_item(cancel_at_period_end=True)

    assert decided(item, PERIOD_END - TICK).allowed
    assert decided(item, PERIOD_END).reason == "expired"


def test_a_denial_beats_every_source_for_just_its_window() -> None:
    held: list[Holding] = [an_item(), a_purchase(), a_grant(), a_denial(valid_from=NOON, valid_to=NOON + DAY)]

    assert decided(held, NOON - TICK).allowed
    denied = decided(held, NOON)
    assert (denied.allowed, denied.value, denied.reason, denied.sources) == (False, None, "denied", ())
    assert not decided(held, NOON + DAY - TICK).allowed
    assert decided(held, NOON + DAY).allowed


def test_a_denial_of_what_nobody_gave_is_still_the_reason() -> None:
    assert decided(a_denial(), NOON).reason == "denied"


def test_a_revoked_denial_gives_back_what_the_sources_give() -> None:
    held: list[Holding] = [an_item(), a_denial(revoked_at=NOON)]

    assert not decided(held, NOON - TICK).allowed
    assert decided(held, NOON).allowed


def test_a_denial_takes_away_its_own_feature_alone() -> None:
    catalog = a_catalog({"prod_pro": (Benefit("export", value=True), Benefit("seats", 5))})

    assert decided([an_item(), a_denial()], NOON, catalog, "seats").value == 5


def test_losing_one_product_keeps_what_another_still_gives() -> None:
    ended = an_item(status="canceled", ended_at=NOON)
    held: list[Holding] = [ended, an_item(id="si_2"), a_grant()]

    for kept in ([held[0], held[1]], [held[0], held[2]], held):
        assert decided(kept, NOON).allowed
    assert decided(ended, NOON).reason == "expired"


def limits(code: str, *values: object) -> tuple[list[Holding], Catalog]:
    grants: list[Holding] = [a_grant(id=f"g{n}", feature=code, value=value) for n, value in enumerate(values)]
    return grants, a_catalog()


@pytest.mark.parametrize(
    ("code", "values", "merged"),
    [
        ("seats", (5, 30, 10), 30),
        ("credits", (5, 30, 10), 45),
        ("seats", (5, UNLIMITED, 30), UNLIMITED),
        ("credits", (5, UNLIMITED, 30), UNLIMITED),
        ("seats", (0,), 0),
        ("credits", (0, 0), 0),
    ],
)
def test_limits_merge_by_the_features_own_rule_and_unlimited_beats_all(
    code: str, values: tuple[object, ...], merged: object
) -> None:
    decision = decided(*reordered(limits(code, *values)), code=code)

    assert (decision.allowed, decision.value) == (True, merged)


def reordered(made: tuple[list[Holding], Catalog]) -> tuple[list[Holding], datetime, Catalog]:
    return made[0], NOON, made[1]


def test_only_live_sources_count_towards_a_limit() -> None:
    later = a_grant(id="later", feature="credits", value=100, valid_from=NOON)
    now = a_grant(id="now", feature="credits", value=7, valid_to=NOON)

    assert decided([later, now], NOON - TICK, code="credits").value == 7
    assert decided([later, now], NOON, code="credits").value == 100


def test_more_seats_count_at_once_and_fewer_too() -> None:
    catalog = a_catalog({"prod_pro": (Benefit("seats", 1, per_unit=True),)})

    assert [decided(an_item(quantity=n), NOON, catalog, "seats").value for n in (10, 30, 20)] == [10, 30, 20]


def test_of_configs_the_highest_priority_wins_however_old() -> None:
    old = a_grant(id="old", feature="theme", value="loud", priority=2, created_at=START - DAY)
    new = a_grant(id="new", feature="theme", value="calm", priority=1, created_at=START)

    assert decided([old, new], NOON, code="theme").value == "loud"


def test_of_configs_of_one_priority_the_newest_wins() -> None:
    older = a_grant(id="z", feature="theme", value="older", created_at=START - DAY)
    newer = a_grant(id="a", feature="theme", value="newer", created_at=START - DAY + TICK)

    assert decided([older, newer], NOON, code="theme").value == "newer"


def test_the_newest_of_subscriptions_and_purchases_is_by_start_and_payment() -> None:
    catalog = a_catalog({"prod_pro": (Benefit("theme", "sub"),), "prod_life": (Benefit("theme", "life"),)})
    earlier, later = START, START + TICK

    assert decided([an_item(start=later), a_purchase(paid_at=earlier)], NOON, catalog, "theme").value == "sub"
    assert decided([an_item(start=earlier), a_purchase(paid_at=later)], NOON, catalog, "theme").value == "life"


def test_equal_configs_are_settled_alike_in_every_order() -> None:
    held = [a_grant(id=name, feature="theme", value=name) for name in "abc"]

    assert {decided(list(order), NOON, code="theme").value for order in permutations(held)} == {"c"}


def test_a_config_that_changes_from_true_to_one_has_changed() -> None:
    first = a_grant(id="a", feature="theme", value=True, priority=1, valid_to=NOON + DAY)
    then = a_grant(id="b", feature="theme", value=1)

    assert decided([first, then], NOON, code="theme").valid_to == NOON + DAY


@pytest.mark.parametrize("members", [("ink", "paper"), ("paper", "ink")])
def test_a_config_whose_members_merely_change_places_has_not_changed(members: tuple[str, str]) -> None:
    first = a_grant(id="a", feature="theme", value=dict.fromkeys(members, 1), priority=1, valid_to=NOON + DAY)
    then = a_grant(id="b", feature="theme", value=dict.fromkeys(members[::-1], 1))

    assert decided([first, then], NOON, code="theme").valid_to == FOREVER


@pytest.mark.parametrize("code", ["seats", "credits"])
@pytest.mark.parametrize("left_over", [True, "dark", None, 1.5])
def test_a_value_left_from_a_time_of_another_type_counts_as_zero_for_a_limit(code: str, left_over: object) -> None:
    given = a_catalog({"prod_pro": (Benefit(code, left_over),), "prod_life": (Benefit(code, 5),)})

    alone, beside = decided(an_item(), NOON, given, code), decided([an_item(), a_purchase()], NOON, given, code)

    assert (alone.value, type(alone.value)) == (0, int)
    assert beside.value == 5


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ([], "no_source"),
        ([an_item(status="incomplete")], "no_source"),
        ([an_item(status="resting")], "no_source"),
        ([an_item(cancel_at=NOON - DAY / 4)], "expired"),
        ([an_item(status="paused")], "expired"),
        ([an_item(status="canceled")], "expired"),
        ([an_item(status="unpaid")], "past_due_grace_ended"),
        ([an_item(status="past_due", past_due_since=NOON - GRACE)], "past_due_grace_ended"),
        ([an_item(status="past_due", past_due_since=START - 99 * DAY)], "past_due_grace_ended"),
        ([a_grant(valid_from=NOON + TICK)], "not_started"),
        ([a_grant(valid_to=NOON)], "expired"),
        ([a_grant(revoked_at=NOON)], "expired"),
        ([a_grant(valid_from=NOON + DAY, revoked_at=NOON)], "expired"),
        # several at once: what is over tells more than what is to come, and that more than what never was
        ([a_grant(id="over", valid_to=NOON), a_grant(id="to come", valid_from=NOON + DAY)], "expired"),
        ([a_grant(valid_from=NOON + DAY), an_item(status="unpaid")], "not_started"),
        ([an_item(status="unpaid"), an_item(id="si_2", status="canceled")], "past_due_grace_ended"),
        ([an_item(status="canceled"), an_item(id="si_2", status="incomplete")], "expired"),
        # of several that are over, the last to end
        (
            [an_item(status="past_due", past_due_since=NOON - GRACE), a_grant(valid_to=NOON - TICK)],
            "past_due_grace_ended",
        ),
        ([an_item(status="past_due", past_due_since=NOON - GRACE - TICK), a_grant(valid_to=NOON)], "expired"),
    ],
)
def test_the_reason_names_the_nearest_thing_to_access(held: list[Holding], reason: Reason) -> None:
    for order in permutations(held):
        decision = decided(list(order), NOON)

        assert (decision.allowed, decision.value, decision.reason) == (False, None, reason)


def test_paying_within_the_grace_leaves_no_gap() -> None:
    second = {"period_start": PERIOD_END, "period_end": PERIOD_END + 28 * DAY}
    paid_late = PERIOD_END + 5 * DAY
    before = an_item(status="past_due", past_due_since=PERIOD_END, **second)
    after = an_item(status="active", past_due_since=PERIOD_END, **second)

    assert decided(before, paid_late).allowed
    assert decided(after, paid_late).allowed
    assert decided(after, PERIOD_END + GRACE).allowed


def test_paying_after_the_grace_gives_access_back() -> None:
    second = {"period_start": PERIOD_END, "period_end": PERIOD_END + 28 * DAY}
    paid_late = PERIOD_END + GRACE

    assert not decided(an_item(status="past_due", past_due_since=PERIOD_END, **second), paid_late).allowed
    assert decided(an_item(status="active", **second), paid_late).allowed


def test_valid_to_is_when_access_ends() -> None:
    assert decided(an_item(), NOON).valid_to == PERIOD_END + LEEWAY


def test_valid_to_passes_over_an_end_that_another_source_covers() -> None:
    held: list[Holding] = [an_item(cancel_at_period_end=True), a_grant(valid_to=PERIOD_END + 9 * DAY)]

    assert decided(held, NOON).valid_to == PERIOD_END + 9 * DAY


def test_valid_to_is_when_the_value_changes_though_access_stays() -> None:
    held: list[Holding] = [
        a_grant(id="more", feature="seats", value=30, valid_to=NOON + DAY),
        a_grant(id="less", feature="seats", value=5),
    ]

    assert decided(held, NOON, code="seats").valid_to == NOON + DAY
    assert decided(held, NOON + DAY, code="seats").value == 5


def test_valid_to_of_no_access_is_when_access_begins_or_the_reason_changes() -> None:
    assert decided(a_grant(valid_from=NOON + DAY), NOON).valid_to == NOON + DAY
    assert decided([an_item(), a_denial(valid_to=NOON + DAY)], NOON).valid_to == NOON + DAY
    assert decided(a_denial(valid_to=NOON + DAY), NOON).valid_to == NOON + DAY


def test_what_never_changes_again_is_valid_for_ever() -> None:
    assert decided(a_purchase(), NOON).valid_to == FOREVER
    assert decided(an_item(status="paused"), NOON).valid_to == FOREVER


def test_boundaries_are_the_later_edges_of_sources_and_denials_in_order() -> None:
    held: list[Holding] = [
        a_grant(id="a", valid_from=NOON, valid_to=NOON + 3 * DAY),
        a_denial(valid_from=NOON + DAY, valid_to=NOON + 2 * DAY),
        a_grant(id="never", valid_from=NOON + 5 * DAY, revoked_at=NOON),
    ]
    state = states_of(held, a_catalog())["export"]

    assert boundaries(state, NOON - TICK) == [NOON, NOON + DAY, NOON + 2 * DAY, NOON + 3 * DAY]
    assert boundaries(state, NOON) == [NOON + DAY, NOON + 2 * DAY, NOON + 3 * DAY]
    assert boundaries(state, NOON + 3 * DAY) == []


def test_the_end_of_time_is_no_boundary() -> None:
    assert boundaries(states_of([a_purchase()], a_catalog())["export"], START - DAY) == [START]


def test_a_state_of_nothing_decides_as_nothing() -> None:
    assert decide(FeatureState(EXPORT), NOON) == decided([], NOON)


def test_every_feature_of_the_catalog_has_a_state_held_or_not() -> None:
    states = states_of([an_item()], a_catalog())

    assert set(states) == {"export", "seats", "credits", "theme"}
    assert states["export"].sources
    assert not states["seats"].sources


def test_a_benefit_added_to_a_product_reaches_those_who_hold_it_already() -> None:
    held = an_item()
    edited = a_catalog({"prod_pro": (Benefit("export", value=True), Benefit("seats", 5))}, epoch=2)

    assert decided(held, NOON, a_catalog(), "seats").reason == "no_source"
    assert decided(held, NOON, edited, "seats").value == 5


def test_a_benefit_taken_from_a_product_leaves_those_who_hold_it() -> None:
    assert not decided(an_item(), NOON, a_catalog({})).allowed


def test_a_state_says_the_same_whatever_order_the_holdings_came_in() -> None:
    held: list[Holding] = [a_purchase(), an_item(), a_grant(), a_denial(), a_denial(id="grant_no2"), an_item(id="si_0")]

    states = {repr(states_of(order, a_catalog())) for order in (held, held[::-1], sorted(held, key=lambda h: h.id))}

    assert len(states) == 1


def test_a_sources_evidence_is_beside_the_point_of_a_decision() -> None:
    one = decide(states_of([an_item(event="evt_1")], a_catalog())["export"], NOON)
    other = decide(states_of([an_item(event="evt_9")], a_catalog())["export"], NOON)

    assert replace(one, sources=()) == replace(other, sources=())

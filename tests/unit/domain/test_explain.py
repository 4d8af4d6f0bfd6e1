"""Explanations say what was decided, and name the rule that really ends each window."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.catalog import UNLIMITED, Benefit, Catalog, PricePolicy
from billing.domain.entitlements import decide, states_of
from billing.domain.explain import Because, Explanation, explain
from billing.domain.holdings import Grant, Holding
from billing.domain.policies import MoneyBack, OnRefund
from billing.domain.rules import Rule, length
from billing.domain.sources import Source
from billing.domain.windows import FOREVER
from tests.unit.domain.making import (
    CREDITS,
    DAY,
    GRACE,
    HOUR,
    LEEWAY,
    PERIOD_END,
    SEATS,
    START,
    a_catalog,
    a_denial,
    a_grant,
    a_purchase,
    an_item,
)
from tests.unit.domain.worlds import PRICES, World, dates, every_instant, worlds

DOCS = Path(__file__).parents[3] / "docs" / "explain.md"
LABELS = {"price_pro": "Pro (pro_monthly)", "price_life": "Life (life)"}
REASONS = {
    "past_due_grace": "past_due_grace_ended",
    "unpaid": "past_due_grace_ended",
    "incomplete": "no_source",
    "unknown_status": "no_source",
    "dispute_open": "suspended_dispute",
}
"""What a check says once a rule has ended a source; "expired" for all others."""

REVOKING = PricePolicy(on_full_refund="revoke", on_partial_refund="revoke")
KEEPING = PricePolicy(on_full_refund="keep")


def explained(
    *held: Holding, catalog: Catalog | None = None, at: datetime = START, code: str = "export"
) -> Explanation:
    return explain(code, held, catalog or a_catalog(), at, LABELS)


def only(holding: Holding, policy: PricePolicy | None = None, at: datetime = START) -> Because:
    """The one source or denial of `export` that this holding is."""
    policies = {"price_pro": policy, "price_life": policy} if policy else {}
    found = explained(holding, catalog=a_catalog(policies=policies), at=at)
    [because] = [*found.sources, *found.denials]
    return because


# --- every world -----------------------------------------------------------------------------------------------------

money = st.builds(
    MoneyBack,
    refunded_at=st.none() | dates,
    partly_refunded_at=st.none() | dates,
    disputed_since=st.none() | dates,
    lost_at=st.none() | dates,
)
KEEP_OR_REVOKE: tuple[OnRefund, ...] = ("keep", "revoke")
on_refunds = st.sampled_from(KEEP_OR_REVOKE)


@st.composite
def worlds_with_money(draw: st.DrawFn) -> World:
    """A world in which some of the money went back, under prices that mind and prices that do not."""
    world = draw(worlds)
    held = [one if isinstance(one, Grant) else replace(one, money=draw(money)) for one in world.holdings]
    policies = {
        price: replace(
            world.catalog.policies[price],
            on_full_refund=draw(st.sampled_from((None, *KEEP_OR_REVOKE))),
            on_partial_refund=draw(on_refunds),
        )
        for price in PRICES
    }
    return World(replace(world.catalog, policies=policies), held)


@given(worlds_with_money(), st.sampled_from(every_instant()))
def test_the_decision_explained_is_always_the_one_decided(world: World, at: datetime) -> None:
    for code, state in states_of(world.holdings, world.catalog).items():
        found = explain(code, world.holdings, world.catalog, at, {})

        assert found.decision == decide(state, at)
        assert {(one.effect.id, one.effect.window) for one in found.sources} == {
            (s.id, s.window) for s in state.sources
        }
        assert {one.effect for one in found.denials} == set(state.denials)


@given(worlds_with_money())
def test_the_rule_named_ends_the_window_exactly_there_and_for_that_reason(world: World) -> None:
    for code in world.catalog.features:
        found = explain(code, world.holdings, world.catalog, START, {})
        for one in (*found.sources, *found.denials):
            window = one.effect.window

            assert window.end == max(window.start, one.rule.end or FOREVER)
            if isinstance(one.effect, Source):
                assert one.effect.end_reason == REASONS.get(one.rule.code, "expired")


# --- each rule -------------------------------------------------------------------------------------------------------

LATER = START + 3 * DAY
ON = "2026-01-04 00:00:00 UTC"
NEW_YEAR = "2026-01-01 00:00:00 UTC"
FEBRUARY = "2026-02-01 00:00:00 UTC"
CASES: list[tuple[str, str, Holding, PricePolicy | None, datetime]] = [
    (
        "period_and_leeway",
        f"active: its period runs until {FEBRUARY}, and 3 days more in case a renewal is told late",
        an_item(),
        None,
        PERIOD_END + LEEWAY,
    ),
    (
        "past_due_grace",
        f"past due: 7 days of grace since the first failed payment on {ON}, until 2026-01-11 00:00:00 UTC",
        an_item(status="past_due", past_due_since=LATER),
        None,
        LATER + GRACE,
    ),
    ("unpaid", "unpaid: Stripe gave up collecting, so it gives nothing", an_item(status="unpaid"), None, START),
    ("paused", "paused: gives nothing until it is resumed", an_item(status="paused"), None, START),
    ("canceled", "canceled, and Stripe names no end: gives nothing", an_item(status="canceled"), None, START),
    ("incomplete", "incomplete: its first payment was never made", an_item(status="incomplete"), None, START),
    (
        "incomplete",
        "incomplete_expired: its first payment was never made",
        an_item(status="incomplete_expired"),
        None,
        START,
    ),
    (
        "unknown_status",
        "'resting' is a status this service does not know: gives nothing",
        an_item(status="resting"),
        None,
        START,
    ),
    ("cancel_at", f"to be canceled: ends {ON}, no leeway", an_item(cancel_at=LATER), None, LATER),
    (
        "cancel_at_period_end",
        f"to be canceled at the end of its period: ends {FEBRUARY}, no leeway",
        an_item(cancel_at_period_end=True),
        None,
        PERIOD_END,
    ),
    ("ended", f"over in Stripe since {ON}, no leeway", an_item(status="canceled", ended_at=LATER), None, LATER),
    (
        "customer_deleted",
        f"the customer was deleted in Stripe on {ON}",
        an_item(customer_deleted_at=LATER),
        None,
        LATER,
    ),
    ("bought_for_ever", f"bought on {NEW_YEAR}, for ever", a_purchase(), None, FOREVER),
    (
        "bought_for_days",
        f"bought on {NEW_YEAR} for 31 days, until {FEBRUARY}",
        a_purchase(),
        PricePolicy(access_days=31),
        PERIOD_END,
    ),
    (
        "full_refund_revokes",
        f"refunded in full on {ON}, and access ended with that",
        a_purchase(money=MoneyBack(refunded_at=LATER)),
        None,
        LATER,
    ),
    (
        "full_refund_revokes",
        f"refunded in full on {ON}, and access ended with that",
        an_item(money=MoneyBack(refunded_at=LATER)),
        REVOKING,
        LATER,
    ),
    (
        "partial_refund_revokes",
        f"refunded in part on {ON}, and access ended with that",
        a_purchase(money=MoneyBack(partly_refunded_at=LATER)),
        REVOKING,
        LATER,
    ),
    (
        "dispute_open",
        f"disputed since {ON}, suspended until the dispute is decided",
        an_item(money=MoneyBack(disputed_since=LATER)),
        None,
        LATER,
    ),
    (
        "dispute_lost",
        f"the dispute of {ON} was lost, and the money with it",
        an_item(money=MoneyBack(lost_at=LATER)),
        None,
        LATER,
    ),
    ("granted", f"given by an operator from {NEW_YEAR} on, until {ON}", a_grant(valid_to=LATER), None, LATER),
    ("grant_revoked", f"the grant was revoked on {ON}", a_grant(revoked_at=LATER), None, LATER),
    ("denied", f"denied by an operator from {NEW_YEAR} on, until {ON}", a_denial(valid_to=LATER), None, LATER),
    ("denial_revoked", f"the denial was revoked on {ON}", a_denial(revoked_at=LATER), None, LATER),
]
NOTES: list[tuple[str, str, Holding, PricePolicy | None]] = [
    (
        "full_refund_keeps",
        f"refunded in full on {ON}, and this price keeps access all the same",
        an_item(money=MoneyBack(refunded_at=LATER)),
        None,
    ),
    (
        "full_refund_keeps",
        f"refunded in full on {ON}, and this price keeps access all the same",
        a_purchase(money=MoneyBack(refunded_at=LATER)),
        KEEPING,
    ),
    (
        "partial_refund_keeps",
        f"refunded in part on {ON}, and this price keeps access all the same",
        a_purchase(money=MoneyBack(partly_refunded_at=LATER)),
        None,
    ),
    ("product_gives", "its product gives export = yes", an_item(), None),
]


@pytest.mark.parametrize(("code", "text", "holding", "policy", "end"), CASES)
def test_a_window_is_ended_by_its_rule(
    code: str, text: str, holding: Holding, policy: PricePolicy | None, end: datetime
) -> None:
    because = only(holding, policy)

    assert because.rule == Rule(code, text, end)
    assert f"`{code}`" in DOCS.read_text()


@pytest.mark.parametrize(("code", "text", "holding", "policy"), NOTES)
def test_a_rule_that_ends_nothing_is_told_beside(
    code: str, text: str, holding: Holding, policy: PricePolicy | None
) -> None:
    because = only(holding, policy)

    assert Rule(code, text) in because.others
    assert code != because.rule.code
    assert f"`{code}`" in DOCS.read_text()


def test_every_end_that_applied_is_told_and_the_earliest_decides() -> None:
    because = only(an_item(cancel_at=START + 9 * DAY, money=MoneyBack(disputed_since=LATER)))

    assert because.rule.code == "dispute_open"
    assert [rule.code for rule in because.others] == ["period_and_leeway", "cancel_at", "product_gives"]


def test_a_prices_own_benefit_is_told_as_such_with_its_units() -> None:
    benefit = Benefit("seats", 2, per_unit=True)
    catalog = a_catalog(by_price={"price_pro": (benefit,)})
    [because] = explained(an_item(quantity=3), catalog=catalog, code="seats").sources

    assert because.others[-1].code == "price_gives"
    assert because.others[-1].text == "its price gives seats = 2 for each of 3"


def test_a_grant_without_an_end_is_for_ever() -> None:
    assert only(a_grant()).rule.text == f"given by an operator from {NEW_YEAR} on, for ever"


def test_a_first_failure_nobody_told_of_is_the_periods_start() -> None:
    assert only(an_item(status="past_due")).rule.end == START + GRACE


# --- the verdict -----------------------------------------------------------------------------------------------------


def two(feature: str, *values: Any) -> list[Holding]:
    return [a_grant(id=name, feature=feature, value=value) for name, value in zip("ab", values, strict=True)]


VERDICTS: list[tuple[str, str, list[Holding], str, datetime]] = [
    (
        "one_source",
        f"Allowed by grant grant_1: given by an operator from {NEW_YEAR} on, for ever.",
        [a_grant()],
        "export",
        START,
    ),
    (
        "any_source",
        "Allowed by Pro (pro_monthly), subscription sub_1, grant a; one would be enough.",
        [a_grant(id="a", valid_from=LATER), an_item()],
        "export",
        LATER,
    ),
    (
        "highest_source",
        "Allowed by grant a, grant b; the highest value counts, 2.",
        two("seats", 1, 2),
        "seats",
        START,
    ),
    (
        "sum_of_sources",
        "Allowed by grant a, grant b; their values add up to 3.",
        two("credits", 1, 2),
        "credits",
        START,
    ),
    (
        "unlimited_beats_all",
        "Allowed by grant a, grant b; unlimited beats every number.",
        two("credits", UNLIMITED, 2),
        "credits",
        START,
    ),
    (
        "highest_priority",
        "Allowed by grant a, grant b; the one of highest priority, then the newest, says which value.",
        two("theme", "dark", "light"),
        "theme",
        START,
    ),
    (
        "denial_beats_all",
        "Not allowed: denial grant_no, denial z is in force, and a denial beats every source.",
        [a_grant(), a_denial(), a_denial(id="over", valid_to=LATER), a_denial(id="z")],
        "export",
        LATER,
    ),
    (
        "source_over",
        (
            "Not allowed: nothing gives export any more. Last, Life (life) of 2026-01-01:"
            f" refunded in full on {ON}, and access ended with that."
        ),
        [a_grant(valid_to=START + DAY), a_purchase(money=MoneyBack(refunded_at=LATER))],
        "export",
        LATER,
    ),
    (
        "source_to_come",
        f"Not allowed yet: grant b gives export from {ON} on.",
        [a_grant(id="a", valid_from=LATER + DAY), a_grant(id="b", valid_from=LATER)],
        "export",
        START,
    ),
    (
        "source_never_live",
        (
            "Not allowed: nothing ever gave export. Pro (pro_monthly), subscription sub_1: unpaid: Stripe gave up"
            " collecting, so it gives nothing; Pro (pro_monthly), subscription sub_2: paused: gives nothing until it is"
            " resumed."
        ),
        [an_item(status="unpaid"), an_item(id="si_2", subscription_id="sub_2", status="paused")],
        "export",
        START,
    ),
    ("no_source", "Not allowed: nothing this user holds gives export.", [], "export", START),
    ("feature_not_found", "Not allowed: the project has no feature 'nonsense'.", [a_grant()], "nonsense", START),
]


@pytest.mark.parametrize(("code", "text", "held", "feature", "at"), VERDICTS)
def test_the_verdict_names_the_rule_that_made_it(
    code: str, text: str, held: list[Holding], feature: str, at: datetime
) -> None:
    found = explained(*held, code=feature, at=at)

    assert found.rule == Rule(code, text)
    assert f"`{code}`" in DOCS.read_text()


def test_a_feature_that_does_not_exist_is_never_allowed_for_ever() -> None:
    found = explained(code="nonsense")
    assert (found.decision.allowed, found.decision.valid_to) == (False, FOREVER)


def test_a_price_without_a_label_goes_by_its_id() -> None:
    assert explain("export", [an_item()], a_catalog(), START, {}).sources[0].label == "price_pro, subscription sub_1"


def test_features_are_merged_by_their_own_rule() -> None:
    held = [a_grant(id=name, feature=SEATS.code, value=4) for name in "ab"]
    assert explained(*held, code="seats").decision.value == 4
    assert explained(*[replace(one, feature=CREDITS.code) for one in held], code="credits").decision.value == 8


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (DAY, "1 day"),
        (7 * DAY, "7 days"),
        (36 * HOUR, "36 hours"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_a_time_is_told_in_the_largest_unit_that_says_it_exactly(time: timedelta, words: str) -> None:
    assert length(time) == words

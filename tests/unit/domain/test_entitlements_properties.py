"""What holds for every catalog, every set of holdings and every instant (SPEC §2.1-2.4, §2.7)."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from billing.domain.catalog import UNLIMITED, Catalog, Feature
from billing.domain.entitlements import Decision, decide, merge, states_of
from billing.domain.holdings import Grant, Holding, SubscriptionItem
from billing.domain.sources import Source
from billing.domain.windows import FOREVER, Window
from tests.unit.domain import oracle
from tests.unit.domain.making import CREDITS, DAY, FEATURES, SEATS, START, a_denial
from tests.unit.domain.worlds import World, catalogs, every_instant, grants, holdings, items, values_of, worlds

instants = st.sampled_from(every_instant())


def as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def said(decision: Decision) -> tuple[bool, str, str]:
    return decision.allowed, as_json(decision.value), decision.reason


def decisions(held: list[Holding], world: World, at: datetime) -> dict[str, Decision]:
    return {code: decide(state, at) for code, state in states_of(held, world.catalog).items()}


def amount(value: object) -> float:
    return float("inf") if value == UNLIMITED else float(str(value))


@given(worlds)
def test_every_decision_is_the_naive_oracles_at_every_instant(world: World) -> None:
    for code, state in states_of(world.holdings, world.catalog).items():
        for at in every_instant():
            decision = decide(state, at)
            allowed, value = oracle.answer(world.holdings, world.catalog, code, at)

            assert decision.allowed == allowed
            assert as_json(decision.value) == as_json(value)


@given(worlds)
def test_valid_to_is_exactly_the_next_instant_at_which_the_decision_differs(world: World) -> None:
    for state in states_of(world.holdings, world.catalog).values():
        line = [(at, decide(state, at)) for at in every_instant()]
        changes = [at for (_, before), (at, after) in pairwise(line) if said(before) != said(after)]

        for at, decision in line:
            assert decision.valid_to == min((change for change in changes if change > at), default=FOREVER)


@given(worlds, instants)
def test_reason_value_and_sources_fit_the_verdict(world: World, at: datetime) -> None:
    for decision in decisions(world.holdings, world, at).values():
        assert decision.allowed == (decision.reason == "entitled")
        assert decision.allowed == bool(decision.sources)
        assert all(source.window.contains(at) for source in decision.sources)
        if not decision.allowed:
            assert decision.value is None


@given(worlds, st.randoms(use_true_random=False))
def test_the_order_of_the_holdings_does_not_matter(world: World, shuffler: Random) -> None:
    shuffled = list(world.holdings)
    shuffler.shuffle(shuffled)

    assert states_of(shuffled, world.catalog) == states_of(world.holdings, world.catalog)


@given(st.data(), st.sampled_from(FEATURES))
def test_the_merge_does_not_depend_on_the_order_of_the_sources(data: st.DataObject, feature: Feature) -> None:
    values = data.draw(st.lists(values_of(feature), min_size=1, max_size=4))
    window = Window(START, FOREVER)
    live = tuple(Source("grant", str(n), feature.code, v, window, START) for n, v in enumerate(values))

    assert as_json(merge(feature, live)) == as_json(merge(feature, live[::-1]))


@given(worlds, grants(n=9, denial=False), instants)
def test_one_more_source_never_takes_anything_away(world: World, more: Grant, at: datetime) -> None:
    before, after = decisions(world.holdings, world, at), decisions([*world.holdings, more], world, at)

    for code, decision in before.items():
        if decision.allowed:
            assert after[code].allowed
            assert set(ids(decision)) <= set(ids(after[code]))
        if decision.allowed and code in {SEATS.code, CREDITS.code}:
            assert amount(after[code].value) >= amount(decision.value)


def ids(decision: Decision) -> list[tuple[str, str]]:
    return [(source.kind, source.id) for source in decision.sources]


@given(worlds, st.integers(0, 4), instants)
def test_losing_one_source_never_drops_anothers(world: World, which: int, at: datetime) -> None:
    kept = world.holdings[:which] + world.holdings[which + 1 :]
    lost = {holding.id for holding in world.holdings[which : which + 1]}
    before, after = decisions(world.holdings, world, at), decisions(kept, world, at)

    for code, decision in before.items():
        staying = [name for name in ids(decision) if name[1] not in lost]
        if staying:
            assert after[code].allowed
            assert ids(after[code]) == staying


@given(catalogs, items(), st.integers(0, 9))
def test_no_event_that_stays_away_gives_a_subscription_access_past_its_period_and_leeway(
    catalog: Catalog, item: SubscriptionItem, days: int
) -> None:
    over = item.period_end + catalog.policies[item.price_id].renewal_leeway + days * DAY

    assert not any(decide(state, over).allowed for state in states_of([item], catalog).values())


@given(worlds, holdings(), instants)
def test_a_live_denial_beats_everything(world: World, more: list[Holding], at: datetime) -> None:
    denials: list[Holding] = [
        a_denial(id=f"no {code}", feature=code, valid_from=every_instant()[0]) for code in world.catalog.features
    ]

    for decision in decisions([*world.holdings, *more, *denials], world, at).values():
        assert said(decision) == (False, "null", "denied")


@given(worlds, grants(n=9, denial=True), instants)
def test_a_denial_that_is_not_live_changes_no_verdict(world: World, denial: Grant, at: datetime) -> None:
    end = denial.valid_to if denial.revoked_at is None else min(denial.valid_to, denial.revoked_at)
    assume(not denial.valid_from <= at < end)
    before, after = decisions(world.holdings, world, at), decisions([*world.holdings, denial], world, at)

    assert {code: said(d) for code, d in before.items()} == {code: said(d) for code, d in after.items()}

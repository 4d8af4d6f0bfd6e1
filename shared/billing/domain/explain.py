"""Why the answer is what it is: every source and denial with the rule that ends it, in words (SPEC §2, §3 explain).

The verdict is `decide`'s, the windows are those of `domain.sources`; only the words are made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from billing.domain.catalog import UNLIMITED, Catalog
from billing.domain.entitlements import Decision, FeatureState, decide, states_of
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem
from billing.domain.rules import Rule, decisive, rules_of, value_rules, when
from billing.domain.sources import Denial, Source, sources_of
from billing.domain.windows import FOREVER

Labels = Mapping[str, str]
"""What a price is called, by its id."""


@dataclass(frozen=True, slots=True)
class Because:
    """A source or denial with the holding it comes from. `rule` set the end of its window; `others` applied too."""

    holding: Holding
    effect: Source | Denial
    label: str
    rule: Rule
    others: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, the rule that made it of the sources and denials, and these, by when they begin."""

    decision: Decision
    rule: Rule
    sources: tuple[Because, ...]
    denials: tuple[Because, ...]


def explain(feature: str, holdings: Sequence[Holding], catalog: Catalog, at: datetime, labels: Labels) -> Explanation:
    """The decision about `feature` at `at`, and everything it rests on, live or not."""
    state = states_of(holdings, catalog).get(feature)
    if state is None:
        missing = Rule("feature_not_found", f"Not allowed: the project has no feature {feature!r}.")
        return Explanation(Decision(False, None, "feature_not_found", FOREVER), missing, (), ())
    decision = decide(state, at)
    told = [because for holding in holdings for because in _because(holding, feature, catalog, labels)]
    told.sort(key=lambda because: (because.effect.window.start, because.holding.id))
    sources = tuple(because for because in told if isinstance(because.effect, Source))
    denials = tuple(because for because in told if isinstance(because.effect, Denial))
    return Explanation(decision, _verdict(state, decision, sources, denials, at), sources, denials)


def name_of(holding: Holding, labels: Labels) -> str:
    """What a support person calls it: `Pro (pro_monthly), subscription sub_1`, `Badge (badge) of 2026-12-01`."""
    match holding:
        case SubscriptionItem():
            return f"{labels.get(holding.price_id, holding.price_id)}, subscription {holding.subscription_id}"
        case Purchase():
            return f"{labels.get(holding.price_id, holding.price_id)} of {holding.paid_at.date()}"
        case Grant():
            return f"{'denial' if holding.denial else 'grant'} {holding.id}"
        case _:
            assert_never(holding)


# --- one holding -----------------------------------------------------------------------------------------------------


def _because(holding: Holding, feature: str, catalog: Catalog, labels: Labels) -> Iterator[Because]:
    for effect in sources_of(holding, catalog):
        if effect.feature != feature:
            continue
        own, money = rules_of(holding, catalog)
        rule = decisive(effect.window.start, own, money)
        others = [one for one in (*own, *money, *value_rules(holding, feature, catalog)) if one is not rule]
        yield Because(holding, effect, name_of(holding, labels), rule, tuple(others))


# --- the verdict -----------------------------------------------------------------------------------------------------


def _verdict(
    state: FeatureState, decision: Decision, sources: Sequence[Because], denials: Sequence[Because], at: datetime
) -> Rule:
    code = state.feature.code
    if decision.allowed:
        return _allowed(state, decision, [one for one in sources if one.effect.window.contains(at)])
    if decision.reason == "denied":
        names = ", ".join(one.label for one in denials if one.effect.window.contains(at))
        return Rule("denial_beats_all", f"Not allowed: {names} is in force, and a denial beats every source.")
    if not sources:
        return Rule("no_source", f"Not allowed: nothing this user holds gives {code}.")
    over = [one for one in sources if not one.effect.window.empty and one.effect.window.end <= at]
    if over:
        last = max(over, key=lambda one: (one.effect.window.end, one.effect.id))
        return Rule("source_over", f"Not allowed: nothing gives {code} any more. Last, {last.label}: {last.rule.text}.")
    coming = [one for one in sources if at < one.effect.window.start and not one.effect.window.empty]
    if coming:
        first = min(coming, key=lambda one: one.effect.window.start)
        begins = when(first.effect.window.start)
        return Rule("source_to_come", f"Not allowed yet: {first.label} gives {code} from {begins} on.")
    reasons = "; ".join(f"{one.label}: {one.rule.text}" for one in sources)
    return Rule("source_never_live", f"Not allowed: nothing ever gave {code}. {reasons}.")


def _allowed(state: FeatureState, decision: Decision, live: Sequence[Because]) -> Rule:
    if len(live) == 1:
        [only] = live
        return Rule("one_source", f"Allowed by {only.label}: {only.rule.text}.")
    what = f"Allowed by {', '.join(one.label for one in live)}"
    if state.feature.type == "boolean":
        return Rule("any_source", f"{what}; one would be enough.")
    if state.feature.type == "config":
        return Rule("highest_priority", f"{what}; the one of highest priority, then the newest, says which value.")
    if decision.value == UNLIMITED:
        return Rule("unlimited_beats_all", f"{what}; unlimited beats every number.")
    if state.feature.merge == "sum":
        return Rule("sum_of_sources", f"{what}; their values add up to {decision.value}.")
    return Rule("highest_source", f"{what}; the highest value counts, {decision.value}.")

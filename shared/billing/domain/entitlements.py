"""The merged answer for one feature at one instant: SPEC §2.1-2.3, the rule everything else exists for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing.domain.catalog import UNLIMITED, Catalog, Feature
from billing.domain.holdings import Holding
from billing.domain.sources import Denial, EndReason, Source, sources_of
from billing.domain.windows import FOREVER

Reason = Literal[
    "entitled",
    "no_source",
    "expired",
    "not_started",
    "denied",
    "past_due_grace_ended",
    "suspended_dispute",
    "feature_not_found",
]


@dataclass(frozen=True, slots=True)
class FeatureState:
    """A feature with all its sources and denials, live or not: enough to decide at any instant."""

    feature: Feature
    sources: tuple[Source, ...] = ()
    denials: tuple[Denial, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """May they? `value` is None when not. `valid_to` is the first later instant at which the decision changes."""

    allowed: bool
    value: object
    reason: Reason
    valid_to: datetime
    sources: tuple[Source, ...] = ()


def states_of(holdings: Iterable[Holding], catalog: Catalog) -> dict[str, FeatureState]:
    """Every feature of the catalog, with whatever of the holdings reaches it."""
    gained: dict[str, list[Source]] = {code: [] for code in catalog.features}
    denied: dict[str, list[Denial]] = {code: [] for code in catalog.features}
    for holding in holdings:
        for effect in sources_of(holding, catalog):
            if isinstance(effect, Denial):
                denied[effect.feature].append(effect)
            else:
                gained[effect.feature].append(effect)
    return {
        code: FeatureState(
            feature,
            tuple(sorted(gained[code], key=lambda s: (s.kind, s.id))),
            tuple(sorted(denied[code], key=lambda d: d.id)),
        )
        for code, feature in catalog.features.items()
    }


def decide(state: FeatureState, at: datetime) -> Decision:
    """The entitlement at `at`, with the instant until which it stays just so."""
    allowed, value, reason, live = _at(state, at)
    for edge in boundaries(state, at):
        then_allowed, then_value, then_reason, _ = _at(state, edge)
        if (then_allowed, then_reason) != (allowed, reason) or not _same(then_value, value):
            return Decision(allowed, value, reason, edge, live)
    return Decision(allowed, value, reason, FOREVER, live)


def _same(one: object, other: object) -> bool:
    """Equal as JSON values: to Python alone, true is 1."""
    return one is other or json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def boundaries(state: FeatureState, after: datetime) -> list[datetime]:
    """The instants after `after` at which a window of this feature opens or closes, in order."""
    windows = [s.window for s in state.sources] + [d.window for d in state.denials]
    edges = {edge for w in windows if not w.empty for edge in (w.start, w.end)}
    return sorted(edge for edge in edges if after < edge < FOREVER)


def _at(state: FeatureState, at: datetime) -> tuple[bool, object, Reason, tuple[Source, ...]]:
    if any(denial.window.contains(at) for denial in state.denials):
        return False, None, "denied", ()
    live = tuple(source for source in state.sources if source.window.contains(at))
    if live:
        return True, merge(state.feature, live), "entitled", live
    return False, None, _why_not(state.sources, at), ()


def merge(feature: Feature, live: tuple[Source, ...]) -> object:
    """One value from several live sources, whatever order they come in (SPEC §2.2).

    A value left from a time when the feature had another type counts as 0 for a limit: its answer stays a number.
    """
    if feature.type == "boolean":
        return True
    if feature.type == "config":
        return max(live, key=lambda source: (source.priority, source.since, source.kind, source.id)).value
    if any(source.value == UNLIMITED for source in live):
        return UNLIMITED
    numbers = [s.value for s in live if isinstance(s.value, int) and not isinstance(s.value, bool)]
    return sum(numbers) if feature.merge == "sum" else max(numbers, default=0)


_STRONGEST: tuple[EndReason, ...] = ("suspended_dispute", "past_due_grace_ended", "expired")
"""Of sources that never were live: the reason that says most about what to do."""


def _why_not(sources: tuple[Source, ...], at: datetime) -> Reason:
    """The nearest thing to access: one that is over, else one yet to start, else why there never was one."""
    over = [s for s in sources if not s.window.empty and s.window.end <= at]
    if over:
        return max(over, key=lambda s: (s.window.end, s.id)).end_reason
    if any(not s.window.empty and at < s.window.start for s in sources):
        return "not_started"
    reasons = {s.end_reason for s in sources}
    return next((reason for reason in _STRONGEST if reason in reasons), "no_source")

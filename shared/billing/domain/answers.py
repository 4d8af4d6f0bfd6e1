"""The API's answers as JSON members, evaluated at one instant (SPEC §3 `/entitlements`, `/entitlements/check`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing.domain.entitlements import Decision, FeatureState, decide
from billing.domain.snapshot import Snapshot
from billing.domain.sources import Source
from billing.domain.windows import FOREVER, rfc3339


def entitlements_answer(snapshot: Snapshot, at: datetime) -> dict[str, Any]:
    """Every feature held at `at`. `stale` comes last, so that a stored body can be marked without decoding it."""
    held = []
    for code, state in sorted(snapshot.features.items()):
        decision = decide(state, at)
        if decision.allowed:
            held.append(_entitlement(code, state, decision))
    return {
        "project_id": snapshot.project_id,
        "user_id": snapshot.user_id,
        "version": snapshot.version,
        "as_of": rfc3339(snapshot.as_of),
        "entitlements": held,
        "stale": False,
    }


def check_answer(snapshot: Snapshot, feature: str, at: datetime) -> dict[str, Any]:
    """May they use `feature` at `at`? A feature the project does not have is not allowed: `feature_not_found`."""
    state = snapshot.features.get(feature)
    decision = decide(state, at) if state else Decision(False, None, "feature_not_found", FOREVER)
    return {
        "allowed": decision.allowed,
        "value": decision.value,
        "reason": decision.reason,
        "valid_to": _end(decision.valid_to),
        "feature": feature,
        "project_id": snapshot.project_id,
        "user_id": snapshot.user_id,
        "version": snapshot.version,
        "as_of": rfc3339(snapshot.as_of),
        "stale": False,
    }


def _entitlement(code: str, state: FeatureState, decision: Decision) -> dict[str, Any]:
    return {
        "feature": code,
        "type": state.feature.type,
        "value": decision.value,
        "valid_to": _end(decision.valid_to),
        "sources": [_source(source) for source in decision.sources],
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "id": source.id,
        "value": source.value,
        "valid_from": rfc3339(source.window.start),
        "valid_to": _end(source.window.end),
        **dict(source.evidence),
    }


def _end(instant: datetime) -> str | None:
    """An end as JSON; one that never comes is null."""
    return None if instant >= FOREVER else rfc3339(instant)

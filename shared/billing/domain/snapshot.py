"""All entitlements of one (project, user) with their windows, as one value that can be stored and evaluated later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.domain.catalog import Catalog, Feature
from billing.domain.entitlements import FeatureState, boundaries, states_of
from billing.domain.holdings import Holding
from billing.domain.sources import Denial, Source
from billing.domain.windows import FOREVER, Window, from_microseconds, microseconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`version` only grows; the same version has the same features. `as_of` is when this version came to be.

    `epoch` is the project's catalog epoch it was computed under.
    """

    project_id: str
    user_id: str
    version: int
    epoch: int
    as_of: datetime
    features: Mapping[str, FeatureState]


def build(user_id: str, version: int, as_of: datetime, holdings: Iterable[Holding], catalog: Catalog) -> Snapshot:
    """The snapshot of these holdings under this catalog.

    `version` counts the customer's changes (0: none yet); the snapshot's own version adds the catalog epoch, so that
    either change makes a newer one.
    """
    features = states_of(holdings, catalog)
    return Snapshot(catalog.project_id, user_id, version + catalog.epoch, catalog.epoch, as_of, features)


def segment(snapshot: Snapshot, at: datetime) -> Window:
    """The longest window from `at` on in which no feature's answer can change."""
    edges = [edge for state in snapshot.features.values() for edge in boundaries(state, at)[:1]]
    return Window(at, min(edges, default=FOREVER))


def to_document(snapshot: Snapshot) -> str:
    """Compact JSON with every window; `from_document` gives the equal snapshot back."""
    features = {
        code: [
            state.feature.type,
            state.feature.merge,
            [_from_source(s) for s in state.sources],
            [[d.id, microseconds(d.window.start), microseconds(d.window.end)] for d in state.denials],
        ]
        for code, state in snapshot.features.items()
    }
    return json.dumps(
        {
            "p": snapshot.project_id,
            "u": snapshot.user_id,
            "v": snapshot.version,
            "e": snapshot.epoch,
            "t": microseconds(snapshot.as_of),
            "f": features,
        },
        separators=(",", ":"),
    )


def from_document(document: str) -> Snapshot:
    raw = json.loads(document)
    features = {
        code: FeatureState(
            Feature(code, kind, merge),
            tuple(_to_source(code, s) for s in sources),
            tuple(Denial(i, code, _window(start, end)) for i, start, end in denials),
        )
        for code, (kind, merge, sources, denials) in raw["f"].items()
    }
    return Snapshot(raw["p"], raw["u"], raw["v"], raw["e"], from_microseconds(raw["t"]), features)


def _window(start: int, end: int) -> Window:
    return Window(from_microseconds(start), from_microseconds(end))


def _from_source(source: Source) -> list[Any]:
    return [
        source.kind,
        source.id,
        source.value,
        microseconds(source.window.start),
        microseconds(source.window.end),
        microseconds(source.since),
        source.priority,
        source.end_reason,
        dict(source.evidence),
    ]


def _to_source(code: str, raw: list[Any]) -> Source:
    kind, identity, value, start, end, since, priority, reason, evidence = raw
    return Source(
        kind,
        identity,
        code,
        value,
        _window(start, end),
        from_microseconds(since),
        priority,
        reason,
        tuple(evidence.items()),
    )

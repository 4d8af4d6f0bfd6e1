"""The rule of entitlements in small, for the fake service: who holds what at an instant, and until when that is so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing_client.answers import UNLIMITED

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Given:
    """A source, or with `denial` what beats all sources; from `since` until just before `until`."""

    feature: str
    value: Any
    since: datetime
    until: datetime
    denial: bool = False

    def live(self, at: datetime) -> bool:
        return self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    value: Any
    reason: str


def type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "limit" if isinstance(value, int) or value == UNLIMITED else "config"


def decide(given: Sequence[Given], at: datetime) -> tuple[Verdict, datetime]:
    """For one feature; with the first later instant at which the verdict is another."""
    verdict = _at(given, at)
    edges = sorted({edge for each in given for edge in (each.since, each.until) if at < edge < FOREVER})
    return verdict, next((edge for edge in edges if _at(given, edge) != verdict), FOREVER)


def _at(given: Sequence[Given], at: datetime) -> Verdict:
    if any(each.denial and each.live(at) for each in given):
        return Verdict(allowed=False, value=None, reason="denied")
    sources = [each for each in given if not each.denial]
    live = [each.value for each in sources if each.live(at)]
    if live:
        return Verdict(allowed=True, value=_merged(live), reason="entitled")
    if any(each.until <= at for each in sources):
        return Verdict(allowed=False, value=None, reason="expired")
    return Verdict(allowed=False, value=None, reason="not_started" if sources else "no_source")


def _merged(values: Sequence[Any]) -> Any:
    """The greatest limit; else what was given last."""
    if type_of(values[-1]) != "limit":
        return values[-1]
    return UNLIMITED if UNLIMITED in values else max(value for value in values if type_of(value) == "limit")

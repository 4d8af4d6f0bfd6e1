"""What was observed of a Stripe object, what must be fetched before it is applied, and which of the two is newest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from billing.domain.facts import EventFact, Fact, compare
from billing.payments.objects import Fetched, Gone
from billing.store.holdings import CauseKind


@dataclass(frozen=True, slots=True)
class Need:
    """An object that must be fetched from Stripe before the fact can be applied."""

    kind: Literal["subscription", "customer", "price", "product", "checkout", "charge", "payment"]
    id: str


@dataclass(frozen=True, slots=True)
class Known:
    """A fetched object, and the revision its row had before the fetch (0: no row)."""

    answer: Fetched[Fact] | Gone
    revision: int


class Unmet(Exception):
    """Roll back, fetch `need`, come again with it."""

    def __init__(self, need: Need, revision: int = 0) -> None:
        super().__init__(f"{need.kind} {need.id}")
        self.need = need
        self.revision = revision


@dataclass(frozen=True, slots=True)
class Observation:
    """A fact as seen at Stripe's second `at`. `evidence` names the event or sync; `trusted` is False where the shape is
    another API version's, or the fact is a mere pointer to what must be fetched.
    """

    fact: EventFact
    at: int
    evidence: str
    cause: CauseKind
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Effect:
    """What applying came to. `customer_ids` are those whose holdings may have changed."""

    status: Literal["applied", "superseded", "ignored"]
    customer_ids: tuple[int, ...] = ()
    reason: str | None = None
    unknown_status: str | None = None


Fetches = Mapping[Need, Known]


def newest(
    mirror: tuple[int, int] | None, need: Need, seen: Observation, fetched: Fetches, *, complete: bool = True
) -> Fetched[Fact] | Gone | None:
    """What to store: the observation if it is newer, else what was fetched under compare-and-set; None: it is older.

    `mirror` is the row's (watermark, revision). A row written since the fetch asks for another fetch.
    """
    watermark, revision = mirror or (None, 0)
    known = fetched.get(need)
    if known is not None and known.revision == revision:
        return known.answer
    if known is None:
        news = compare(watermark, seen.at)
        if news == "older":
            return None
        if news == "newer" and seen.trusted and complete:
            return Fetched(seen.fact, seen.at)
    raise Unmet(need, revision)

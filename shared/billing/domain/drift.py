"""What a reconciliation may find and how far it may go by itself: give quickly, take slowly (SPEC §6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

PassName = Literal["events", "listing", "holdings", "cache"]
PASSES: tuple[PassName, ...] = ("events", "listing", "holdings", "cache")
"""In the order a run takes them: what one repairs, the next need not find."""

DriftKind = Literal["missing_local", "missing_remote", "field_mismatch", "cache_mismatch", "orphan"]
DriftStatus = Literal["found", "repaired", "left", "failed"]
"""`left`: nothing was to be repaired after all, or a person must. `found` in a run that is over: not repaired."""

RunStatus = Literal["open", "waiting", "done", "failed", "canceled"]
RunCause = Literal["schedule", "operator"]

Step = Literal["find", "try", "again", "take", "end"]
"""Of a pass: find what differs; try each repair and give at once; try those that take once more, now that all is given;
take, if the run may. `end`: no pass is left."""

RETENTION = timedelta(days=400)
"""How long a run and what it found are kept: last year's may still be looked up when this year's books are closed."""

FLOOR = 10
"""Customers a run may always take something from without asking."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: what its next slice, after whatever crash, goes on from.

    `position` is the pass's own, `n` the last drift's number, `after` the last drift this step has dealt with,
    `digest` the hash of the pages so far (hex), `stuck` the slices that ended where this one began.
    """

    doing: PassName | None = None
    step: Step = "find"
    position: Mapping[str, Any] = field(default_factory=dict)
    n: int = 0
    after: int = 0
    digest: str = ""
    stuck: int = 0

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Progress:
        """Of `to_json`, by this release or another: members it does not know are left out."""
        return cls(**{name: value for name, value in document.items() if name in cls.__dataclass_fields__})

    def to_step(self, step: Step) -> Progress:
        return replace(self, step=step, after=0, stuck=0)

    def to_pass(self, doing: PassName | None) -> Progress:
        """At the beginning of that pass; None: behind the last."""
        return Progress(doing, "find" if doing else "end", n=self.n)


def pass_after(doing: PassName | None, wanted: Iterable[str]) -> PassName | None:
    """The next of the wanted passes, in the order of `PASSES`; of None the first; None: that was the last."""
    chosen = [name for name in PASSES if name in set(wanted)]
    following = chosen[0 if doing is None else chosen.index(doing) + 1 :]
    return following[0] if following else None


def default_limit(holders: int) -> int:
    """How many customers may lose something unasked: 1 % of those who hold anything, at least `FLOOR`."""
    return max(FLOOR, holders // 100)


def may_take(losers: int, limit: int, approved: int | None) -> bool:
    """Whether a run may take from so many customers: within its limit, or within what an operator saw and allowed."""
    return losers <= max(limit, approved or 0)

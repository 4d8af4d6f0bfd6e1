"""How long answers are kept, how patiently the service is asked, and what happens when it does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from billing_client.policies import CLOSED, RAISE, LastKnown, Policy, Raise


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, all of them. `deadline` bounds the whole call with its retries and pauses, `timeout` one try.

    The n-th pause is random, up to `first_pause` doubled n-1 times; a Retry-After that is longer is honoured, and one
    that goes past the deadline ends the call at once.
    """

    deadline: float
    timeout: float
    tries: int = 3
    first_pause: float = 0.05
    longest_pause: float = 5.0

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise ValueError(f"Patience.{each.name} is {getattr(self, each.name)}; it must be more than 0")

    def pause(self, number: int, retry_after: float | None, chance: float) -> float:
        """Before the try after the `number`-th; `chance` is random in [0, 1)."""
        jittered = chance * min(self.first_pause * 2.0 ** (number - 1), self.longest_pause)
        return jittered if retry_after is None else retry_after + jittered


READS = Patience(deadline=2.0, timeout=1.0)
"""The service answers a read in milliseconds."""

WRITES = Patience(deadline=45.0, timeout=20.0, tries=4, first_pause=0.25)
"""A write asks Stripe, and may take many seconds."""


@dataclass(frozen=True, slots=True)
class Options:
    """Times are seconds.

    A yes is answered from memory for `fresh_for`, and for `stale_for` more while it is asked again behind the scenes; a
    no for `denied_for` alone, so that a purchase is seen at once. No answer is used past its `valid_to`. So a
    revocation is in force after at most `fresh_for + stale_for`; all three at 0: every check is a request.

    `policies`: per feature; `otherwise`: for all others; `lists`: for `entitlements()`.
    `remembered`: so many answers at most are in memory.
    """

    fresh_for: float = 5.0
    stale_for: float = 10.0
    denied_for: float = 1.0
    remembered: int = 10_000
    policies: Mapping[str, Policy] = field(default_factory=dict)
    otherwise: Policy = CLOSED
    lists: Raise | LastKnown = RAISE
    reads: Patience = READS
    writes: Patience = WRITES

    def __post_init__(self) -> None:
        for name in ("fresh_for", "stale_for", "denied_for"):
            if getattr(self, name) < 0:
                raise ValueError(f"Options.{name} is {getattr(self, name)}; give 0 or more seconds")
        if self.remembered < 1:
            raise ValueError(f"Options.remembered is {self.remembered}; give 1 or more (fresh_for=0 turns memory off)")

    def policy(self, feature: str) -> Policy:
        return self.policies.get(feature, self.otherwise)

"""What memory may answer now, and for how long an answer may be kept: the rule of freshness, without I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from billing_client.answers import Check, Entitlements
from billing_client.memory import A, Kept, Memory
from billing_client.moments import NEVER, Clock, Moment
from billing_client.options import Options
from billing_client.policies import LastKnown, Policy


class FoundCheck(NamedTuple):
    """`again`: whoever is told so asks again behind the scenes, and then releases it."""

    answer: Check
    again: bool


class FoundList(NamedTuple):
    """As FoundCheck."""

    answer: Entitlements
    again: bool


class Recall:
    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._memory = Memory(options.remembered)
        self._doubted = float("-inf")
        """Noes that were asked for no later than this are asked again."""

    def check(self, user_id: str, feature: str) -> FoundCheck | None:
        """None: it has to be asked."""
        kept = self._memory.find(user_id, feature)
        if kept is None or not isinstance(kept.answer, Check):
            return None
        again = self._again(kept, user_id, feature, no=not kept.answer.allowed)
        return None if again is None else FoundCheck(kept.answer, again)

    def entitlements(self, user_id: str) -> FoundList | None:
        """None: it has to be asked. What a list lacks is a no."""
        kept = self._memory.find(user_id, None)
        if kept is None or not isinstance(kept.answer, Entitlements):
            return None
        again = self._again(kept, user_id, None, no=True)
        return None if again is None else FoundList(kept.answer, again)

    def release(self, user_id: str, feature: str | None) -> None:
        self._memory.release(user_id, feature)

    def last_known(self, user_id: str, feature: str | None, policy: Policy) -> Check | Entitlements | None:
        """Where the policy allows it; never past its end."""
        kept = self._memory.find(user_id, feature)
        if not isinstance(policy, LastKnown) or kept is None:
            return None
        now = self._clock.now()
        if kept.end.reached(now) or kept.sent.later(policy.seconds).reached(now):
            return None
        return replace(kept.answer, source="last_known")

    def tagged(self, user_id: str) -> Kept[Entitlements] | None:
        """The list whose ETag may be sent along."""
        kept = self._memory.find(user_id, None)
        if kept is None or not isinstance(kept.answer, Entitlements) or kept.etag is None:
            return None
        return kept

    def learn_check(self, answer: Check, sent: Moment, served: datetime | None) -> None:
        """`served`: when it was answered by the service's clock, rounded down to a second; None: nobody said."""
        end = _end(sent, answer.valid_to, served)
        self._memory.keep(answer.user_id, answer.feature, self._kept(answer, sent, end, yes=answer.allowed))

    def learn_list(self, answer: Entitlements, sent: Moment, served: datetime | None, etag: str | None) -> None:
        end = _end(sent, answer.valid_to, served)
        self._memory.keep(answer.user_id, None, self._kept(answer, sent, end, yes=bool(answer.held), etag=etag))

    def renew_list(self, kept: Kept[Entitlements], sent: Moment) -> None:
        """It still is the answer (304); its end is where it was."""
        fresh, usable = self._times(sent, yes=bool(kept.answer.held))
        self._memory.keep(kept.answer.user_id, None, replace(kept, sent=sent, fresh=fresh, usable=usable))

    def raise_floor(self, user_id: str, version: int) -> None:
        self._memory.raise_floor(user_id, version)

    def doubt_noes(self) -> None:
        self._doubted = self._clock.monotonic()

    def forget(self, user_id: str) -> None:
        self._memory.forget(user_id, self._clock.now())

    def _again(
        self, kept: Kept[Check] | Kept[Entitlements], user_id: str, feature: str | None, *, no: bool
    ) -> bool | None:
        """False: it is fresh. True: it may be given once more, and the caller is to ask again. None: it is too old."""
        now = self._clock.now()
        if kept.end.reached(now) or kept.usable.reached(now) or (no and kept.sent.monotonic <= self._doubted):
            return None
        return kept.fresh.reached(now) and self._memory.claim(user_id, feature)

    def _kept(self, answer: A, sent: Moment, end: Moment, *, yes: bool, etag: str | None = None) -> Kept[A]:
        fresh, usable = self._times(sent, yes=yes)
        return Kept(replace(answer, source="memory"), sent, fresh, usable, end, etag)

    def _times(self, sent: Moment, *, yes: bool) -> tuple[Moment, Moment]:
        if not yes:
            end = sent.later(self._options.denied_for)
            return end, end
        fresh = sent.later(self._options.fresh_for)
        return fresh, fresh.later(self._options.stale_for)


def _end(sent: Moment, valid_to: datetime | None, served: datetime | None) -> Moment:
    """So long as by the service's own clock, from when the question was sent, which was before it was answered; less
    the second that clock's reading is rounded down by. Without it, by the local clock.
    """
    if valid_to is None:
        return NEVER
    if served is None:
        return sent.later(valid_to.timestamp() - sent.wall)
    return sent.later((valid_to - served).total_seconds() - 1)

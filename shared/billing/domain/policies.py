"""What refunds and disputes do to a source: SPEC §2.6. Facts here are absorbing: more of them, in any order, settle it.

A refund that failed or was canceled counts no more, whatever was heard of it before; a dispute's last word stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

OnRefund = Literal["revoke", "keep"]
RefundStatus = Literal["pending", "requires_action", "succeeded", "canceled", "failed"]
DisputeStatus = Literal["inquiry", "open", "warning_closed", "lost", "won"]

REFUND_RANK: dict[str, int] = {"pending": 0, "requires_action": 0, "succeeded": 1, "canceled": 2, "failed": 3}
"""Later words of `refund.status` beat earlier ones: a succeeded refund can still fail, a failed one stays so."""

DISPUTE_RANK: dict[str, int] = {"inquiry": 0, "open": 1, "warning_closed": 2, "lost": 3, "won": 4}
"""Likewise of a dispute: an inquiry may become a dispute, which ends once; a reversal in our favour comes last."""

_DEAD_REFUNDS = frozenset({"canceled", "failed"})


@dataclass(frozen=True, slots=True)
class Refund:
    """A Stripe `refund` of `amount` minor units."""

    id: str
    amount: int
    status: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Dispute:
    """A Stripe `dispute`. `closed_at` is when an event first told that it is over: for people; no rule rests on it, for
    Stripe's object does not say it.
    """

    id: str
    amount: int
    status: DisputeStatus
    opened_at: datetime
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """What became of a payment. Each instant is None where it does not apply (any more).

    refunded_at: all of it went back. partly_refunded_at: some did. disputed_since: a dispute is open. lost_at: when the
    dispute was opened by which, with refunds, all of it was taken; it is lost by now.
    """

    refunded_at: datetime | None = None
    partly_refunded_at: datetime | None = None
    disputed_since: datetime | None = None
    lost_at: datetime | None = None


NOTHING_BACK = MoneyBack()
"""A payment that nobody took back."""


def money_back(amount: int, refunds: Iterable[Refund], disputes: Iterable[Dispute]) -> MoneyBack:
    """The state of a charge of `amount` minor units. A partial refund, or a lost part, never counts as all of it."""
    live = sorted((r for r in refunds if r.status not in _DEAD_REFUNDS), key=lambda r: (r.created, r.id))
    known = list(disputes)
    returned, partly, fully = 0, None, None
    for refund in live:
        returned += refund.amount
        partly = partly or refund.created
        if returned >= amount and fully is None:
            fully = refund.created
    return MoneyBack(
        refunded_at=fully,
        partly_refunded_at=None if fully else partly,
        disputed_since=min((d.opened_at for d in known if d.status == "open"), default=None),
        lost_at=_lost_at(amount, returned, known),
    )


def _lost_at(amount: int, returned: int, disputes: list[Dispute]) -> datetime | None:
    lost = sorted((d for d in disputes if d.status == "lost"), key=lambda d: (d.opened_at, d.id))
    taken = min(returned, amount)
    for dispute in lost:
        taken += dispute.amount
        if taken >= amount:
            return dispute.opened_at
    return None

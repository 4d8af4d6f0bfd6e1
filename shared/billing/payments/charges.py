"""Reading `charge`, `refund` and `dispute` objects: how money goes back."""

from __future__ import annotations

from billing.domain.facts import ChargeFact, DisputeFact, RefundFact
from billing.domain.policies import Dispute, DisputeStatus, Refund
from billing.domain.windows import from_seconds
from billing.payments.members import Members

_DISPUTE_STATUSES: dict[str, DisputeStatus] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "warning_closed",
    "prevented": "warning_closed",
    "needs_response": "open",
    "under_review": "open",
    "lost": "lost",
    "won": "won",
}


def read_charge(raw: Members, _at: int = 0) -> ChargeFact:
    """A `charge`. Its refunds are not in the event and must be fetched."""
    return ChargeFact(
        id=raw.reference("id"),
        stripe_customer_id=raw.reference_or_none("customer"),
        amount=raw.whole("amount"),
        currency=raw.text("currency"),
        payment_intent_id=raw.reference_or_none("payment_intent"),
    )


def read_refund(raw: Members, _at: int = 0) -> RefundFact:
    return RefundFact(raw.reference("charge"), refund_of(raw))


def refund_of(raw: Members) -> Refund:
    """A `refund`; one without a status is taken as pending."""
    status = raw.text_or_none("status") or "pending"
    return Refund(raw.reference("id"), raw.whole("amount"), status, raw.instant("created"))


def read_dispute(raw: Members, at: int = 0) -> DisputeFact:
    """A `dispute`. A status not known here counts as open: it suspends until somebody looks.

    Stripe's object does not say when it closed: only an event, told at second `at`, dates that; 0: it is no event.
    """
    status = _DISPUTE_STATUSES.get(raw.text("status"), "open")
    closed_at = from_seconds(at) if at and status in {"lost", "won", "warning_closed"} else None
    dispute = Dispute(raw.reference("id"), raw.whole("amount"), status, raw.instant("created"), closed_at)
    return DisputeFact(raw.reference("charge"), dispute)

"""Disputes: opened by a test or by a card that always disputes, closed won or lost."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import listing
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.periods import DAY
from infra.local.stripe_double.templates import Obj

list_disputes = listing("dispute", "/v1/disputes", charge="charge", payment_intent="payment_intent", created="created")
_ANSWER_WITHIN = 9 * DAY
_CLOSED = {"won", "lost", "warning_closed", "prevented"}
# Stripe's test evidence that decides a dispute at once.
_VERDICTS = {"winning_evidence": True, "losing_evidence": False}


def open_dispute(
    account: Account, charge: Obj, *, amount: int | None = None, reason: str = "fraudulent", inquiry: bool = False
) -> Obj:
    """A customer disputes a charge (or asks first: an inquiry). Several disputes of one charge are possible."""
    if charge["status"] != "succeeded":
        raise invalid(f"The charge {charge['id']} is {charge['status']}: only a succeeded charge can be disputed.")
    with recorded(account, charge, "charge.updated"):
        charge["disputed"] = True
    kind, status = ("inquiry", "warning_needs_response") if inquiry else ("chargeback", "needs_response")
    card = {"brand": "visa", "case_type": kind, "network": "visa", "network_reason_code": "10.4"}
    dispute = account.create(
        "dispute",
        amount=charge["amount"] if amount is None else amount,
        charge=charge["id"],
        currency=charge["currency"],
        evidence_details=_evidence_details(account.clock.now() + _ANSWER_WITHIN),
        is_charge_refundable=inquiry,
        payment_intent=charge["payment_intent"],
        payment_method_details={"type": "card", "card": card},
        reason=reason,
        status=status,
    )
    emit(account, "charge.dispute.created", dispute)
    if not inquiry:
        emit(account, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def _evidence_details(due_by: int) -> Obj:
    return {
        "due_by": due_by,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
        "submission_method": "not_submitted",
    }


def retrieve(account: Account, _params: Params, dispute_id: str) -> Obj:
    return account.get("dispute", dispute_id)


def update(account: Account, params: Params, dispute_id: str) -> Obj:
    dispute = account.get("dispute", dispute_id)
    evidence = params.get("evidence", {})
    with recorded(account, dispute, "charge.dispute.updated"):
        dispute["metadata"] = merged(dispute["metadata"], params)
        if evidence:
            dispute["evidence"].update(evidence)
            dispute["evidence_details"].update(has_evidence=True, submission_count=1, submission_method="manual")
            dispute["status"] = "under_review"
    verdict = _VERDICTS.get(evidence.get("uncategorized_text", ""))
    return dispute if verdict is None else close(account, dispute, won=verdict)


def give_up(account: Account, _params: Params, dispute_id: str) -> Obj:
    """POST …/close: the merchant accepts the dispute."""
    return close(account, account.get("dispute", dispute_id), won=False)


def close(account: Account, dispute: Obj, *, won: bool) -> Obj:
    if dispute["status"] in _CLOSED:
        raise invalid(f"This dispute is already closed with status {dispute['status']}.")
    inquiry = dispute["status"].startswith("warning_")
    with recorded(account, dispute, "charge.dispute.closed"):
        dispute["status"] = ("won" if won else "lost") if not inquiry or not won else "warning_closed"
    if won and not inquiry:
        emit(account, "charge.dispute.funds_reinstated", dispute)
    return dispute

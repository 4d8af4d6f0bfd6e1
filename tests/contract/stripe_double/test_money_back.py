from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import buy, subscribe
from tests.contract.stripe_double.conftest import Shop


def charge_of(client: stripe.StripeClient, session: Any) -> Any:
    intent = client.v1.payment_intents.retrieve(session.payment_intent, {"expand": ["latest_charge"]})
    return intent.latest_charge


def test_a_partial_refund_leaves_the_charge_unrefunded(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    session = buy(client, double, shop.once)
    client.v1.refunds.create({"payment_intent": session.payment_intent, "amount": 1000})
    charge = charge_of(client, session)
    assert (charge.refunded, charge.amount_refunded) == (False, 1000)


def test_refunds_add_up_to_a_full_one(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = buy(client, double, shop.once)
    client.v1.refunds.create({"payment_intent": session.payment_intent, "amount": 1000})
    client.v1.refunds.create({"payment_intent": session.payment_intent})
    charge = client.v1.charges.retrieve(charge_of(client, session).id, {"expand": ["refunds"]})
    assert (charge.refunded, charge.amount_refunded) == (True, 9900)
    assert charge.refunds is not None
    assert [refund.amount for refund in charge.refunds.data] == [8900, 1000]


def test_nobody_gets_more_back_than_was_paid(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = buy(client, double, shop.once)
    with pytest.raises(stripe.InvalidRequestError, match=r"greater than unrefunded amount on charge \(\$99.00\)"):
        client.v1.refunds.create({"payment_intent": session.payment_intent, "amount": 9901})
    client.v1.refunds.create({"payment_intent": session.payment_intent})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": session.payment_intent})
    assert refused.value.code == "charge_already_refunded"


def test_a_failed_refund_counts_no_longer(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = buy(client, double, shop.once)
    refund = double.control.refund(session.id)
    assert double.control.fail_refund(refund["id"])["status"] == "failed"
    charge = charge_of(client, session)
    assert (charge.refunded, charge.amount_refunded) == (False, 0)
    assert client.v1.events.list({"limit": 1}).data[0].type == "refund.failed"


def test_a_refund_finds_its_way_back_to_the_subscription(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    subscription = subscribe(client, double, shop.monthly)
    refund = double.control.refund(subscription.latest_invoice)
    wanted: Any = {"payment": {"type": "payment_intent", "payment_intent": refund["payment_intent"]}}
    payment = client.v1.invoice_payments.list(wanted).data[0]
    invoice = client.v1.invoices.retrieve(str(payment.invoice))
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == subscription.id


def test_a_refund_finds_its_way_back_to_the_checkout(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop
) -> None:
    session = buy(client, double, shop.once)
    refund = double.control.refund(session.id)
    found = client.v1.checkout.sessions.list({"payment_intent": refund["payment_intent"]}).data
    assert [s.id for s in found] == [session.id]


@pytest.mark.parametrize(("won", "status"), [(True, "won"), (False, "lost")])
def test_a_dispute_is_opened_and_decided(
    client: stripe.StripeClient, double: StripeDouble, shop: Shop, won: bool, status: str
) -> None:
    session = buy(client, double, shop.once)
    dispute = double.control.open_dispute(session.id)
    assert (dispute["status"], charge_of(client, session).disputed) == ("needs_response", True)
    double.control.close_dispute(dispute["id"], won=won)
    assert client.v1.disputes.retrieve(dispute["id"]).status == status
    closed = client.v1.events.list({"type": "charge.dispute.closed"}).data[0]
    assert closed.data.object["status"] == status


def test_evidence_can_win_a_dispute(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    dispute = double.control.open_dispute(buy(client, double, shop.once).id)
    evidence: Any = {"evidence": {"uncategorized_text": "winning_evidence"}}
    assert client.v1.disputes.update(dispute["id"], evidence).status == "won"


def test_a_charge_can_be_disputed_twice(client: stripe.StripeClient, double: StripeDouble, shop: Shop) -> None:
    session = buy(client, double, shop.once)
    first = double.control.open_dispute(session.id, amount=100)
    double.control.close_dispute(first["id"], won=True)
    second = double.control.open_dispute(session.id)
    found = client.v1.disputes.list({"payment_intent": session.payment_intent}).data
    assert [d.id for d in found] == [second["id"], first["id"]]

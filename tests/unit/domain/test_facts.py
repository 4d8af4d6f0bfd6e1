import pytest

from billing.domain.facts import (
    ChargeFact,
    CheckoutFact,
    CustomerFact,
    News,
    PaymentFact,
    PriceFact,
    ProductFact,
    SubscriptionFact,
    compare,
)
from tests.unit.domain.making import START


@pytest.mark.parametrize(
    ("stored", "observed", "news"),
    [
        (None, 0, "newer"),
        (None, 100, "newer"),
        (100, 101, "newer"),
        (100, 100, "tie"),
        (100, 99, "older"),
        (0, 0, "tie"),
    ],
)
def test_a_second_later_is_newer_a_second_before_is_older_and_the_same_second_is_a_tie(
    stored: int | None, observed: int, news: News
) -> None:
    assert compare(stored, observed) == news


def test_what_is_not_said_to_be_deleted_or_cut_short_is_not() -> None:
    price = PriceFact("price_1", "prod_1", None, "one_time", "eur", 500, "per_unit", None, None, None, active=True)
    subscription = SubscriptionFact(
        "sub_1",
        "cus_1",
        "active",
        START,
        trial_end=None,
        cancel_at=None,
        cancel_at_period_end=False,
        canceled_at=None,
        ended_at=None,
        latest_invoice_id=None,
        items=(),
    )

    assert ProductFact("prod_1", "Pro", active=True).deleted is False
    assert price.deleted is False
    assert subscription.truncated is False


def test_what_no_event_carries_is_unknown_until_it_is_fetched() -> None:
    session = CheckoutFact("cs_1", None, "payment", "open", paid=False, subscription_id=None, payment_intent_id=None)

    assert (session.paid_at, session.lines) == (None, None)
    assert ChargeFact("ch_1", None, 500, "eur", None).refunds is None


def test_a_customer_or_a_payment_of_somebody_else_names_nothing_of_ours() -> None:
    customer, payment = CustomerFact("cus_1", deleted=False), PaymentFact("pi_1")

    assert (customer.namespace, customer.user_id) == (None, None)
    assert (payment.invoice_id, payment.subscription_id, payment.session_id) == (None, None, None)

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.facts import (
    CheckoutFact,
    CustomerFact,
    InvoiceFact,
    ItemFact,
    PriceFact,
    ProductFact,
    SubscriptionFact,
)
from billing.errors import Permanent
from billing.payments.client import API_VERSION
from billing.payments.events import READERS, StripeEvent, parse_event, read

SAMPLES = Path(__file__).parents[3] / "events" / "stripe"


def sample(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return document


def parsed(document: dict[str, Any]) -> StripeEvent:
    return parse_event(json.dumps(document).encode())


def envelope(kind: str, subject: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": 1_793_000_000,
        "livemode": False,
        "api_version": API_VERSION,
        "data": {"object": subject},
        **members,
    }


def test_every_handled_type_has_a_sample_that_its_reader_understands() -> None:
    for kind in READERS:
        event = parsed(sample(kind))
        assert event.type == kind
        assert read(event) is not None


def test_a_type_without_a_reader_states_nothing() -> None:
    assert read(parsed(envelope("charge.pending", {"id": "ch_1", "object": "charge"}))) is None


def test_a_subscriptions_periods_come_from_its_items() -> None:
    fact = read(parsed(sample("customer.subscription.created")))
    assert isinstance(fact, SubscriptionFact)
    assert fact.status == "incomplete"
    assert fact.items == (
        ItemFact(
            id="si_TgW5qNd3h4940s",
            price_id="price_1Siwm1QEUxc7vavPVlfsihgO",
            product_id="prod_TgJOHgLaqMqGBs",
            quantity=1,
            period_start=datetime(2025, 12, 28, 1, 45, 18, tzinfo=UTC),
            period_end=datetime(2026, 1, 28, 1, 45, 18, tzinfo=UTC),
        ),
    )
    assert not fact.truncated


def test_a_subscription_whose_items_are_cut_short_says_so() -> None:
    document = sample("customer.subscription.updated")
    document["data"]["object"]["items"]["has_more"] = True
    fact = read(parsed(document))
    assert isinstance(fact, SubscriptionFact)
    assert fact.truncated


def test_an_unknown_subscription_status_is_kept_as_it_is() -> None:
    document = sample("customer.subscription.updated")
    document["data"]["object"]["status"] = "dormant"
    fact = read(parsed(document))
    assert isinstance(fact, SubscriptionFact)
    assert fact.status == "dormant"


def test_a_metered_item_without_quantity_counts_as_one() -> None:
    document = sample("customer.subscription.updated")
    del document["data"]["object"]["items"]["data"][0]["quantity"]
    fact = read(parsed(document))
    assert isinstance(fact, SubscriptionFact)
    assert fact.items[0].quantity == 1


def test_a_seat_count_of_zero_stays_zero() -> None:
    document = sample("customer.subscription.updated")
    document["data"]["object"]["items"]["data"][0]["quantity"] = 0
    fact = read(parsed(document))
    assert isinstance(fact, SubscriptionFact)
    assert fact.items[0].quantity == 0


def test_expanded_references_are_read_as_ids() -> None:
    document = sample("customer.subscription.updated")
    subject = document["data"]["object"]
    subject["customer"] = {"id": "cus_expanded", "object": "customer"}
    subject["items"]["data"][0]["price"]["product"] = {"id": "prod_expanded", "object": "product"}
    fact = read(parsed(document))
    assert isinstance(fact, SubscriptionFact)
    assert fact.stripe_customer_id == "cus_expanded"
    assert fact.items[0].product_id == "prod_expanded"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("invoice.paid", "paid"), ("invoice.payment_succeeded", "paid"), ("invoice.payment_failed", "failed")],
)
def test_an_invoice_states_when_it_was_paid_or_else_fails_at_the_events_time(kind: str, outcome: str) -> None:
    event = parsed(sample(kind))
    fact = read(event)
    assert isinstance(fact, InvoiceFact)
    assert fact.outcome == outcome
    paid_at = event.object["status_transitions"]["paid_at"]
    assert fact.at == datetime.fromtimestamp(paid_at if outcome == "paid" else event.created, UTC)
    assert fact.subscription_id == "sub_1Sj92qQEUxc7vavPCci7BTks"


def test_an_invoice_of_no_subscription_names_none() -> None:
    document = sample("invoice.paid")
    document["data"]["object"]["parent"] = None
    fact = read(parsed(document))
    assert isinstance(fact, InvoiceFact)
    assert fact.subscription_id is None


@pytest.mark.parametrize(("status", "paid"), [("paid", True), ("no_payment_required", True), ("unpaid", False)])
def test_only_a_paid_or_free_checkout_is_paid(status: str, paid: bool) -> None:
    document = sample("checkout.session.completed")
    document["data"]["object"]["payment_status"] = status
    fact = read(parsed(document))
    assert isinstance(fact, CheckoutFact)
    assert fact.paid is paid
    assert fact.lines is None


def test_a_failed_async_payment_is_not_paid() -> None:
    fact = read(parsed(sample("checkout.session.async_payment_failed")))
    assert isinstance(fact, CheckoutFact)
    assert not fact.paid


def test_a_deleted_customer_is_deleted() -> None:
    fact = read(parsed(sample("customer.deleted")))
    assert isinstance(fact, CustomerFact)
    assert fact.deleted


def test_a_customer_names_the_user_this_service_made_it_for() -> None:
    subject = {"id": "cus_1", "object": "customer", "metadata": {"billing_namespace": "notes", "billing_user_id": "u1"}}
    assert read(parsed(envelope("customer.created", subject))) == CustomerFact("cus_1", False, "notes", "u1")


def test_a_deleted_product_and_price_are_deleted_and_inactive() -> None:
    product, price = read(parsed(sample("product.deleted"))), read(parsed(sample("price.deleted")))
    assert isinstance(product, ProductFact)
    assert isinstance(price, PriceFact)
    assert (product.deleted, product.active, price.deleted, price.active) == (True, False, True, False)


def test_a_price_with_an_interval_recurs() -> None:
    fact = read(parsed(sample("price.created")))
    assert isinstance(fact, PriceFact)
    assert (fact.type == "recurring") is (fact.recurring_interval is not None)


def test_a_period_beyond_all_calendars_never_ends() -> None:
    document = sample("customer.subscription.updated")
    document["data"]["object"]["items"]["data"][0]["current_period_end"] = 2**62
    fact = read(parsed(document))
    assert isinstance(fact, SubscriptionFact)
    assert fact.items[0].period_end == datetime(9999, 12, 31, tzinfo=UTC)


def test_characters_that_postgresql_refuses_are_taken_out_of_names() -> None:
    raw = json.dumps(envelope("product.updated", {"id": "prod_1", "object": "product", "name": "N", "active": True}))
    fact = read(parse_event(raw.replace('"N"', r'"a\u0000b\ud800c"').encode()))
    assert isinstance(fact, ProductFact)
    assert fact.name == "ab?c"
    fact.name.encode()


def test_an_event_of_another_api_version_has_a_foreign_shape() -> None:
    document = sample("customer.subscription.updated")
    assert not parsed(document).shape_is_foreign
    for version in ("2020-08-27", None):
        assert parsed({**document, "api_version": version}).shape_is_foreign


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "unreadable"),
        (b"{", "unreadable"),
        (b"\xff\xfe\x00", "unreadable"),
        (b'{"a": ' + b"9" * 5000 + b"}", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b'{"a":' * 100_000, "unreadable"),
        (b"[]", "unknown_shape"),
        (b"null", "unknown_shape"),
        (b"1", "unknown_shape"),
        (b'"event"', "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b'{"object": "v2.core.event", "id": "evt_1", "type": "v1.billing.meter.error"}', "unknown_shape"),
        (b'{"detail-type": "invoice.paid", "source": "aws.partner/stripe.com", "detail": {}}', "unknown_shape"),
    ],
)
def test_a_body_that_is_no_snapshot_event_is_a_named_permanent_fault(body: bytes, code: str) -> None:
    with pytest.raises(Permanent) as caught:
        parse_event(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": "evt_\u0000"},
        {"id": "x" * 256},
        {"id": 7},
        {"type": None},
        {"created": None},
        {"created": "1793000000"},
        {"created": 1e300},
        {"created": True},
        {"created": -1},
        {"created": 10**30},
        {"livemode": None},
        {"livemode": "false"},
        {"data": None},
        {"data": []},
        {"data": {"object": "cus_1"}},
    ],
)
def test_an_envelope_that_lacks_what_we_rest_on_is_an_unknown_shape(change: dict[str, Any]) -> None:
    with pytest.raises(Permanent) as caught:
        parsed({**sample("invoice.paid"), **change})
    assert caught.value.code == "unknown_shape"


@pytest.mark.parametrize("kind", sorted(READERS))
@given(data=st.data())
def test_a_damaged_object_is_an_unknown_shape_and_never_another_error(kind: str, data: st.DataObject) -> None:
    document = sample(kind)
    subject = document["data"]["object"]
    member = data.draw(st.sampled_from(sorted(subject)))
    subject[member] = data.draw(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
    )
    codes = []
    try:
        read(parsed(document))
    except Permanent as fault:
        codes.append(fault.code)
    assert codes in ([], ["unknown_shape"])


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_permanent_fault(body: bytes) -> None:
    with pytest.raises(Permanent):
        parse_event(body)

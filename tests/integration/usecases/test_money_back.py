"""Refunds and disputes reach what was bought, in any order, and whatever is undone restores it exactly."""

import itertools
import json
import random

import pytest

from billing.store.connection import close
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import CatalogDocument
from tests.support.postgres import Databases
from tests.support.shop import CATALOG, Shop

DAY = 86_400


def charge_of(shop: Shop, user_id: str) -> str:
    """The user's latest charge."""
    return str(shop.stripe.v1.charges.list({"customer": shop.customer(user_id), "limit": 1}).data[0].id)


def tick(shop: Shop) -> None:
    shop.double.control.advance_clock(advance_seconds=5)


def test_a_full_refund_revokes_a_one_time_purchase(shop: Shop) -> None:
    shop.buy("ann", "badge")
    shop.apply(shop.events())
    assert shop.check("ann", "badge")["allowed"]

    tick(shop)
    shop.double.control.refund(charge_of(shop, "ann"))
    shop.apply(shop.events())

    answer = shop.check("ann", "badge")
    assert (answer["allowed"], answer["reason"]) == (False, "expired")


def test_a_partial_refund_revokes_nothing(shop: Shop) -> None:
    shop.buy("ann", "badge")
    tick(shop)
    shop.double.control.refund(charge_of(shop, "ann"), amount=499)

    shop.apply(shop.events())

    assert shop.check("ann", "badge")["allowed"]


def test_partial_refunds_that_come_to_all_of_it_revoke(shop: Shop) -> None:
    shop.buy("ann", "badge")
    for amount in (200, 300):
        tick(shop)
        shop.double.control.refund(charge_of(shop, "ann"), amount=amount)

    shop.apply(shop.events())

    assert not shop.check("ann", "badge")["allowed"]


def test_a_refund_that_fails_undoes_its_revocation(shop: Shop) -> None:
    shop.buy("ann", "badge")
    tick(shop)
    shop.double.control.refund(charge_of(shop, "ann"))
    shop.apply(shop.events())
    assert not shop.check("ann", "badge")["allowed"]

    tick(shop)
    [refund] = shop.stripe.v1.refunds.list({"charge": charge_of(shop, "ann")}).data
    shop.double.control.fail_refund(refund.id)
    shop.apply(shop.events())

    assert shop.check("ann", "badge")["allowed"]


def test_a_subscription_keeps_access_after_a_full_refund_unless_its_price_says_otherwise(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    tick(shop)
    shop.double.control.refund(charge_of(shop, "ann"))
    shop.apply(shop.events())
    assert shop.check("ann", "export")["allowed"]

    document = CATALOG.model_dump()
    document["products"][0]["prices"][0]["on_full_refund"] = "revoke"
    publisher = shop.worker.publisher
    apply_catalog(publisher, shop.stripe, "notes", CatalogDocument.model_validate(document), shop.worker.now)

    assert not shop.check("ann", "export")["allowed"]


@pytest.mark.parametrize(("lookup_key", "feature"), [("badge", "badge"), ("pro_monthly", "export")])
def test_a_dispute_suspends_and_a_won_one_restores_exactly(shop: Shop, lookup_key: str, feature: str) -> None:
    shop.buy("ann", lookup_key)
    shop.apply(shop.events())
    before = shop.check("ann", feature)

    tick(shop)
    dispute = shop.double.control.open_dispute(charge_of(shop, "ann"))["id"]
    shop.apply(shop.events())
    assert shop.check("ann", feature)["reason"] == "suspended_dispute"

    tick(shop)
    shop.double.control.close_dispute(dispute, won=True)
    shop.apply(shop.events())
    after = shop.check("ann", feature)
    assert {**after, "version": 0, "as_of": ""} == {**before, "version": 0, "as_of": ""}


@pytest.mark.parametrize(("lookup_key", "feature"), [("badge", "badge"), ("pro_monthly", "export")])
def test_a_lost_dispute_revokes(shop: Shop, lookup_key: str, feature: str) -> None:
    shop.buy("ann", lookup_key)
    tick(shop)
    dispute = shop.double.control.open_dispute(charge_of(shop, "ann"))["id"]
    tick(shop)
    shop.double.control.close_dispute(dispute, won=False)

    shop.apply(shop.events())

    answer = shop.check("ann", feature)
    assert (answer["allowed"], answer["reason"]) == (False, "expired")


def test_after_a_lost_dispute_a_later_payment_gives_the_subscription_back(shop: Shop) -> None:
    """Access ended here while Stripe goes on charging would be the worse wrong."""
    shop.buy("ann", "pro_monthly")
    history = shop.events()
    tick(shop)
    dispute = shop.double.control.open_dispute(charge_of(shop, "ann"))["id"]
    tick(shop)
    shop.double.control.close_dispute(dispute, won=False)
    shop.apply(history + shop.events())
    assert not shop.check("ann", "export")["allowed"]

    shop.double.control.advance_clock(advance_seconds=32 * DAY)
    shop.apply(shop.events())

    assert shop.check("ann", "export")["allowed"]


def test_a_refund_of_what_another_source_still_gives_takes_nothing(shop: Shop) -> None:
    shop.buy("ann", "badge")
    first = charge_of(shop, "ann")
    tick(shop)
    shop.buy("ann", "badge")
    tick(shop)
    shop.double.control.refund(first)

    shop.apply(shop.events())

    assert shop.check("ann", "badge")["allowed"]


def test_money_back_in_any_order_ends_alike(shop: Shop, databases: Databases) -> None:
    """Buy, refund in part, the refund fails, dispute, lost, buy again: told in a hundred orders."""
    shop.buy("ann", "badge")
    charge = charge_of(shop, "ann")
    tick(shop)
    shop.double.control.refund(charge, amount=100)
    [refund] = shop.stripe.v1.refunds.list({"charge": charge}).data
    tick(shop)
    shop.double.control.fail_refund(refund.id)
    tick(shop)
    dispute = shop.double.control.open_dispute(charge)["id"]
    tick(shop)
    shop.double.control.close_dispute(dispute, won=False)
    tick(shop)
    shop.buy("ann", "badge")
    wanted = {
        "checkout.session.completed",
        "charge.refunded",
        "refund.updated",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.closed",
    }
    history = [body for body in shop.events() if json.loads(body)["type"] in wanted]
    shop.apply(history)
    in_order = (shop.digest(), money(shop))
    assert shop.check("ann", "badge")["allowed"]

    orders = list(itertools.permutations(history))
    for order in random.Random(5).sample(orders, 20):  # noqa: S311  a seeded choice, no secret
        with databases.lent() as url:
            other = shop.beside(url)
            other.apply(order)
            assert (other.digest(), money(other)) == in_order
            close(url)


def money(shop: Shop) -> object:
    return [
        shop.rows("SELECT id, amount, session_id, invoice_id FROM charges ORDER BY id"),
        shop.rows("SELECT id, amount, status, created_at FROM refunds ORDER BY id"),
        shop.rows("SELECT id, amount, status, opened_at, closed_at FROM disputes ORDER BY id"),
    ]


def test_a_charge_of_a_stranger_fails_with_the_reason(shop: Shop) -> None:
    shop.buy("ann", "badge")
    tick(shop)
    shop.double.control.refund(charge_of(shop, "ann"))
    event = json.loads(next(body for body in shop.events() if b'"charge.refunded"' in body))
    event["data"]["object"]["id"] = "ch_unknown"

    [outcome] = shop.apply([json.dumps(event).encode()])

    assert (outcome.status, (outcome.reason or "").split(":")[0]) == ("failed", "gone_from_stripe")

"""What a listing may do and may not: absence, other runs, newer news, strangers, interruptions."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import pytest
from stripe import StripeClient

from billing.errors import Transient
from billing.payments.client import connect
from billing.store.connection import Connection, transaction
from billing.usecases.apply_event import apply_event
from billing.usecases.compare_listing import FOREIGN, MOST_CONFIRMED, compare_listing
from billing.usecases.pages_ahead import SOON
from billing.usecases.passes import Batch, Drift, Means
from billing.usecases.repair_drift import repair
from infra.local.stripe_double.double import StripeDouble
from tests.support.interrupted_stripe import InterruptedStripe
from tests.support.lab import LISTING, Lab, allow, told
from tests.support.shop import Shop

DAY = 86_400


@pytest.fixture
def lab(shop: Shop) -> Lab:
    return Lab(shop)


def with_stripe(means: Means, stripe: object) -> Means:
    return replace(means, worker=replace(means.worker, stripe=cast("StripeClient", stripe)))


class ShortLists:
    """Stripe, whose lists end after `most` rows and say that this was all."""

    def __init__(self, stripe: StripeClient, most: int) -> None:
        self._stripe = stripe
        self._most = most

    def raw_request(self, method: str, path: str, **params: Any) -> Any:
        answer = self._stripe.raw_request(method, path, **params)
        if "limit" in params:
            answer.data["data"] = answer.data["data"][: self._most]
            answer.data["has_more"] = False
        return answer


# --- absence is not deletion -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1])
def test_an_empty_or_short_listing_revokes_nobody(lab: Lab, shop: Shop, most: int) -> None:
    for user in ("ann", "bob", "cid"):
        shop.buy(user, "pro_monthly")
        shop.buy(user, "badge")
    shop.apply(shop.events())
    before = shop.digest()

    done = lab.run(means=with_stripe(lab.means(), ShortLists(shop.stripe, most)))

    assert done == []
    assert shop.digest() == before


def test_the_key_of_another_account_revokes_nobody(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    before = shop.digest()

    with StripeDouble(seed=8) as other:
        done = lab.run(means=with_stripe(lab.means(), connect("sk_test_other", other.url)))

    assert ("missing_remote", "subscription", subscription) in told(drift for drift, _ in done)
    assert {drift.reason for drift, _ in done} == {FOREIGN}
    assert {mended.status for _, mended in done} == {"left"}
    assert shop.digest() == before


def test_the_last_customer_is_deleted_and_the_products_tell_whose_account_it_is(lab: Lab, shop: Shop) -> None:
    customer = shop.customer("ann")
    shop.apply(shop.events())
    shop.stripe.v1.customers.delete(customer)

    done = lab.run()

    assert [(*told([drift])[0], mended.status) for drift, mended in done] == [
        ("missing_remote", "customer", customer, "repaired")
    ]
    assert lab.find() == []


def test_what_the_list_lacks_and_stripe_has_is_compared_all_the_same(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": True})

    done = lab.run(means=with_stripe(lab.means(), ShortLists(shop.stripe, 0)))

    assert told(drift for drift, _ in done) == [("field_mismatch", "subscription", subscription)]
    assert shop.rows("SELECT cancel_at_period_end FROM subscriptions") == [(True,)]


def test_so_many_absent_ones_are_asked_for_slice_by_slice(lab: Lab, shop: Shop) -> None:
    with transaction(shop.worker.database_url) as connection:
        connection.execute(
            b"WITH c AS (INSERT INTO customers (namespace, user_id)"
            b" SELECT 'notes', 'u' || n FROM generate_series(1, 120) AS n RETURNING id)"
            b" INSERT INTO stripe_customers (id, customer_id) SELECT 'cus_gone' || id, id FROM c"
        )
    shop.customer("ann")
    means = lab.means()
    sizes = []
    for batch in compare_listing(means, {}):
        lab.stage(batch)
        sizes.append(len(batch.drifts))

    assert sum(sizes) == 120
    assert max(sizes) == MOST_CONFIRMED


# --- payments that no list shows ------------------------------------------------------------------------------------


def test_who_lost_us_a_dispute_and_paid_since_has_access_though_neither_was_heard(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    invoice = shop.stripe.v1.subscriptions.retrieve(subscription).latest_invoice
    dispute = shop.double.control.open_dispute(str(invoice))
    shop.double.control.advance_clock(advance_seconds=10 * DAY)
    shop.double.control.close_dispute(dispute["id"], won=False)
    shop.double.control.advance_clock(advance_seconds=25 * DAY)

    lab.run()

    assert shop.check("ann", "export")["allowed"]
    assert lab.find() == []


def test_grace_counts_from_the_failure_after_a_payment_that_was_not_heard(lab: Lab, shop: Shop) -> None:
    shop.double.control.set_dunning(retry_days=[1], then="past_due")
    shop.buy("ann", "pro_monthly")
    for card, days in (("decline", 35), ("ok", 30), ("decline", 28)):
        shop.double.control.set_card(shop.customer("ann"), card)  # type: ignore[arg-type]  # "ok" and "decline" it is
        shop.double.control.advance_clock(advance_seconds=days * DAY)

    lab.run()

    assert shop.rows("SELECT status, count(*) FROM subscriptions GROUP BY 1") == [("past_due", 1)]
    assert shop.check("ann", "export")["reason"] == "entitled"
    assert lab.find() == []


# --- never against newer news ----------------------------------------------------------------------------------------


def test_what_was_written_since_the_cut_is_left_to_events(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    means = lab.means()
    shop.double.control.advance_clock(advance_seconds=5)
    known = set(shop.events())
    shop.stripe.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    shop.apply(body for body in shop.events() if body not in known)
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": False})

    assert lab.find(LISTING, means) == []


def test_what_was_made_since_the_cut_is_left_to_events(lab: Lab, shop: Shop) -> None:
    means = lab.means()
    shop.double.control.advance_clock(advance_seconds=5)
    shop.buy("ann", "pro_monthly")
    shop.buy("bob", "badge")

    assert lab.find(LISTING, means) == []


def test_an_event_that_came_between_finding_and_mending_stands(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    first = shop.events()
    shop.apply(first)
    shop.double.control.advance_clock(advance_seconds=5)
    shop.stripe.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    means = lab.means()
    [drift] = lab.find(LISTING, means)
    shop.apply(body for body in shop.events() if body not in set(first))
    [(evidence,)] = shop.rows("SELECT observed_event FROM subscriptions")

    mended = lab.mend(means, drift)

    assert (mended.status, mended.reason) == ("left", "settled_meanwhile")
    assert evidence.startswith("evt_")


def test_an_event_that_comes_while_the_object_is_fetched_makes_it_be_fetched_again(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    first = shop.events()
    shop.apply(first)
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": True})
    means = lab.means()
    [drift] = lab.find(LISTING, means)

    def cancel() -> None:
        shop.double.control.advance_clock(advance_seconds=5)
        shop.stripe.v1.subscriptions.cancel(subscription)
        for body in shop.events():
            apply_event(shop.worker, body)

    slow = InterruptedStripe(shop.stripe, "/v1/subscriptions/", cancel)
    repair(with_stripe(means, slow), drift, allow, True)

    assert slow.asked == 2
    assert shop.rows("SELECT status FROM subscriptions") == [("canceled",)]


def test_a_dispute_decided_after_months_is_found_still(lab: Lab, shop: Shop) -> None:
    dispute = str(shop.double.control.open_dispute(shop.buy("ann", "badge"))["id"])
    shop.apply(shop.events())
    shop.double.control.advance_clock(advance_seconds=100 * 86_400)
    shop.double.control.change_silently(dispute, {"status": "won"})

    assert told(drift for drift, _ in lab.run()) == [("field_mismatch", "dispute", dispute)]
    assert shop.check("ann", "badge")["allowed"]


def test_what_is_older_than_the_look_back_is_found_without_one(lab: Lab, shop: Shop) -> None:
    session = shop.buy("ann", "badge")
    shop.double.control.advance_clock(advance_seconds=100 * 86_400)

    assert lab.find() == []
    assert told(lab.find(LISTING, lab.means(look_back=None))) == [("missing_local", "checkout.session", session)]


# --- whose -----------------------------------------------------------------------------------------------------------


def test_objects_of_other_systems_in_the_account_are_no_drift(lab: Lab, shop: Shop) -> None:
    product = shop.stripe.v1.products.create({"name": "Shirt"})
    price = shop.stripe.v1.prices.create({"product": product.id, "currency": "usd", "unit_amount": 100})
    stranger = shop.stripe.v1.customers.create({"name": "Stranger"})
    session = shop.stripe.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "customer": stranger.id,
            "line_items": [{"price": price.id, "quantity": 1}],
            "success_url": "https://shirts.example/",
        }
    )
    shop.double.control.pay_checkout(session.id)
    shop.double.control.refund(session.id)

    assert lab.find() == []


def test_a_second_stripe_customer_of_a_user_is_an_orphan_that_is_told_once(lab: Lab, shop: Shop) -> None:
    linked = shop.customer("ann")
    made = {"billing_namespace": "notes", "billing_user_id": "ann"}
    orphan = shop.stripe.v1.customers.create({"metadata": made}).id

    [(drift, mended)] = lab.run()

    assert (drift.kind, drift.object_id, drift.before) == ("orphan", orphan, {"linked": linked})
    assert mended.status == "left"
    tell(shop, drift, "run_1")
    assert lab.find() == []


def test_a_stripe_customer_that_was_never_recorded_is_linked_to_its_user(lab: Lab, shop: Shop) -> None:
    made = {"billing_namespace": "notes", "billing_user_id": "ann"}
    stripe_id = shop.stripe.v1.customers.create({"metadata": made}).id

    [(drift, mended)] = lab.run()

    assert (drift.kind, mended.status) == ("missing_local", "repaired")
    assert shop.rows("SELECT id FROM stripe_customers") == [(stripe_id,)]


def test_a_run_of_one_project_leaves_the_others_alone(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.rows("INSERT INTO projects (id, name, identity_namespace) VALUES ('other', 'Other', 'other')")
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": True})

    assert lab.find(LISTING, lab.means("other")) == []
    assert told(lab.find(LISTING, lab.means("notes"))) == [("field_mismatch", "subscription", subscription)]


def tell(shop: Shop, drift: Drift, run_id: str) -> None:
    """On record, as the driver leaves it."""
    with transaction(shop.worker.database_url) as connection:
        connection.execute(
            b"INSERT INTO runs (id, cause, actor, passes, status, cut_at, started_at, finished_at)"
            b" VALUES (%s, 'operator', 'ann', '{listing}', 'done', now(), now(), now())",
            (run_id,),
        )
        connection.execute(
            b"INSERT INTO drifts (run_id, n, pass, kind, object_type, object_id, before, after, status, found_at)"
            b" VALUES (%s, 1, 'listing', %s, %s, %s, '{}', '{}', 'left', now())",
            (run_id, drift.kind, drift.object_type, drift.object_id),
        )


# --- evidence, trials, interruptions ---------------------------------------------------------------------------------


def test_a_trial_tells_who_would_lose_what_and_changes_nothing(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly", 3)
    shop.apply(shop.events())
    now = shop.double.control.clock()["now"]
    shop.double.control.change_silently(subscription, {"status": "canceled", "ended_at": now})
    means = lab.means()
    [drift] = lab.find(LISTING, means)
    before = everything(shop)

    mended = lab.mend(means, drift, commit=False)

    assert (mended.status, mended.takes) == ("repaired", True)
    assert mended.before is not None
    assert mended.after is not None
    assert mended.before["access"] == {"notes": {"ann": {"export": True, "seats": 3}}}
    assert mended.after["access"] == {"notes": {"ann": {}}}
    assert everything(shop) == before


def test_giving_takes_nothing(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "badge")

    [(purchase, mended)] = lab.run()

    assert (purchase.kind, mended.status, mended.takes) == ("missing_local", "repaired", False)
    assert shop.check("ann", "badge")["allowed"]


def test_a_repair_is_on_the_audit_and_its_run_is_the_cause(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": True})
    means = lab.means()

    lab.run(means=means)

    acts = shop.rows("SELECT chain, actor, target, reason, request_id FROM audit WHERE action = 'reconcile.repair'")
    assert acts == [("notes", "billing", subscription, "field_mismatch", means.run_id)]
    [cause] = shop.rows("SELECT cause_kind, cause_id FROM holdings_changes ORDER BY version DESC LIMIT 1")
    assert cause == ("run", f"run:{means.run_id}")


def test_a_worker_whose_lease_is_gone_repairs_nothing(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": True})
    means = lab.means()
    [drift] = lab.find(LISTING, means)
    before = everything(shop)

    def refuse(_connection: Connection) -> None:
        raise Transient("run_taken_over", "another worker goes on with it")

    with pytest.raises(Transient, match="run_taken_over"):
        repair(means, drift, refuse, True)
    assert everything(shop) == before


def test_a_pass_killed_after_any_batch_finds_all_the_same(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    session = shop.buy("bob", "badge")
    shop.apply(shop.events())
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": True})
    shop.rows("DELETE FROM purchases")
    means = lab.means()

    found = [drift for batch in one_at_a_time(lab, means) for drift in batch.drifts]

    assert told(found) == [
        ("field_mismatch", "subscription", subscription),
        ("missing_local", "checkout.session", session),
    ]


@pytest.mark.parametrize("action", ["429", "500", "reset"])
def test_a_list_that_fails_is_asked_again_from_where_it_stood(lab: Lab, shop: Shop, action: Any) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.double.control.change_silently(subscription, {"cancel_at_period_end": True})
    means = with_stripe(lab.means(), connect("sk_test_once", shop.double.url, retries=0))
    position: Any = {}
    for batch in compare_listing(means, {}):
        lab.stage(batch)
        position = batch.position
        if position["kind"] == "subscription":
            break
    shop.double.control.add_fault(action, match="GET /v1/subscriptions")

    with pytest.raises(Transient):
        next(compare_listing(means, position))

    assert told(lab.go_on(LISTING, means, position)) == [("field_mismatch", "subscription", subscription)]


def customers(shop: Shop, count: int) -> None:
    for _ in range(count):
        shop.stripe.v1.customers.create({})


def pages_asked(shop: Shop) -> int:
    return sum(
        asked["method"] == "GET" and asked["path"] == "/v1/customers" for asked in shop.double.control.requests()
    )


def test_the_next_page_is_asked_for_while_one_is_stored(lab: Lab, shop: Shop) -> None:
    customers(shop, 101)
    shop.double.control.add_fault("slow", match="GET /v1/customers", seconds=0)
    shop.double.control.add_fault("slow", match="GET /v1/customers", seconds=3 * SOON)
    with closing(compare_listing(lab.means(), {})) as batches:
        assert next(batches).listed == 100
        deadline = time.monotonic() + 10
        while pages_asked(shop) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert pages_asked(shop) == 2


def test_pages_that_come_quickly_are_stored_together(lab: Lab, shop: Shop) -> None:
    customers(shop, 101)
    with closing(compare_listing(lab.means(), {})) as batches:
        batch = next(batches)
    assert (batch.listed, len(batch.digests), batch.position["listed"]) == (101, 2, True)


def test_a_pass_that_is_left_leaves_no_question_behind(lab: Lab, shop: Shop) -> None:
    customers(shop, 101)
    with closing(compare_listing(lab.means(), {})) as batches:
        next(batches)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("listing")] == []


def test_a_page_that_fails_ahead_loses_none_that_came(lab: Lab, shop: Shop) -> None:
    customers(shop, 101)
    batches = compare_listing(lab.means(), {})
    shop.double.control.add_fault("slow", match="GET /v1/customers", seconds=0)
    shop.double.control.add_fault("503", match="GET /v1/customers", times=None)
    assert next(batches).listed == 100
    with pytest.raises(Transient):
        next(batches)


def test_every_question_is_paid_for(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    spent: list[None] = []
    means = replace(lab.means(), spend=lambda: spent.append(None))
    before = len(shop.double.control.requests())

    lab.run(means=means)

    assert len(spent) == len(shop.double.control.requests()) - before


def one_at_a_time(lab: Lab, means: Means) -> Iterator[Batch]:
    """A new generator for each batch, as if the process died after each."""
    position: Any = {}
    done = False
    while not done:
        batch = next(compare_listing(means, position))
        lab.stage(batch)
        position, done = batch.position, batch.done
        yield batch


def everything(shop: Shop) -> list[object]:
    tables = shop.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'run_listing'")
    return [(name, shop.rows(f"SELECT * FROM {name} ORDER BY 1, 2")) for (name,) in sorted(tables)]  # noqa: S608


def test_what_refers_to_something_missing_is_found_with_it(lab: Lab, shop: Shop) -> None:
    session = shop.buy("ann", "badge")
    refund = str(shop.double.control.refund(session)["id"])
    shop.rows("DELETE FROM stripe_customers")
    ann = shop.stripe.v1.customers.list().data[0].id

    done = lab.run()

    assert told(drift for drift, _ in done) == [
        ("missing_local", "customer", ann),
        ("missing_local", "refund", refund),
        ("missing_local", "checkout.session", session),
    ]
    assert {mended.status for _, mended in done} == {"repaired"}
    assert lab.find() == []


def test_a_product_this_service_made_and_lost_comes_back_with_its_price(lab: Lab, shop: Shop) -> None:
    made: Any = {"name": "Max", "metadata": {"billing_project_id": "notes"}}
    price = shop.stripe.v1.prices.create({"currency": "usd", "unit_amount": 100, "product_data": made})

    done = lab.run()

    assert told(drift for drift, _ in done) == [
        ("missing_local", "product", str(price.product)),
        ("missing_local", "price", price.id),
    ]
    assert {mended.status for _, mended in done} == {"repaired"}
    assert lab.find() == []

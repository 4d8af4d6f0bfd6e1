"""What Stripe told and the inbox does not have: found by id, settled as the worker settles it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from billing.errors import Transient
from billing.payments.events import READERS
from billing.store.connection import transaction
from billing.usecases.apply_event import apply_event
from billing.usecases.find_missed_events import find_missed_events
from billing.usecases.passes import Means
from tests.support.lab import EVENTS, Lab, told
from tests.support.shop import Shop


@pytest.fixture
def lab(shop: Shop) -> Lab:
    return Lab(shop)


def handled(shop: Shop) -> list[bytes]:
    return [body for body in shop.events() if json.loads(body)["type"] in READERS]


def ids(bodies: list[bytes]) -> list[str]:
    return [json.loads(body)["id"] for body in bodies]


def test_events_nobody_delivered_are_settled_as_by_the_worker(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.buy("bob", "badge")
    missed = handled(shop)

    done = lab.run(EVENTS)

    assert [drift.object_id for drift, _ in done] == ids(missed)[::-1]
    assert {(drift.kind, drift.object_type) for drift, _ in done} == {("missing_local", "event")}
    assert shop.check("ann", "export")["allowed"]
    assert shop.check("bob", "badge")["allowed"]
    assert shop.rows("SELECT count(*) FROM inbox WHERE status = 'failed'") == [(0,)]
    assert lab.find(EVENTS) == []
    assert lab.find() == []


def test_only_the_missing_ones_are_found(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    *delivered, lost = handled(shop)
    shop.apply(delivered)

    assert [drift.object_id for drift in lab.find(EVENTS)] == ids([lost])


def test_an_event_that_the_inbox_lost_changes_nothing_twice(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "badge")
    shop.apply(shop.events())
    before = shop.digest()
    shop.rows("DELETE FROM inbox WHERE type = 'checkout.session.completed'")

    [(_, mended)] = lab.run(EVENTS)

    assert mended.status == "repaired"
    assert shop.digest() == before


def test_one_that_cannot_be_applied_is_recorded_failed_and_found_no_more(lab: Lab, shop: Shop) -> None:
    shop.apply(shop.events())
    shop.stripe.v1.products.create({"name": "Shirt"})

    [(drift, mended)] = lab.run(EVENTS)

    assert mended.reason is not None
    assert mended.reason.startswith("recorded failed: unknown_project")
    assert shop.rows("SELECT event_id FROM inbox WHERE status = 'failed'") == [(drift.object_id,)]
    assert lab.find(EVENTS) == []


def test_a_trial_leaves_no_trace_in_the_inbox(lab: Lab, shop: Shop) -> None:
    subscription = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.stripe.v1.subscriptions.cancel(subscription)
    means = lab.means()
    before = shop.digest(), shop.rows("SELECT count(*) FROM inbox")

    drift = next(drift for drift in lab.find(EVENTS, means) if drift.after["type"] == "customer.subscription.deleted")
    mended = lab.mend(means, drift, commit=False)

    assert (mended.status, mended.takes) == ("repaired", True)
    assert (shop.digest(), shop.rows("SELECT count(*) FROM inbox")) == before


def test_one_delivered_before_it_is_mended_is_left(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    means = lab.means()
    drifts = lab.find(EVENTS, means)
    for body in shop.events():
        apply_event(shop.worker, body)

    assert {lab.mend(means, drift).reason for drift in drifts} == {"settled_meanwhile"}


def test_a_body_that_was_not_kept_is_asked_for(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "badge")
    means = lab.means()
    drifts = lab.find(EVENTS, means)
    shop.rows("TRUNCATE run_listing")

    assert {lab.mend(means, drift).status for drift in drifts} == {"repaired"}
    assert shop.check("ann", "badge")["allowed"]


def test_events_of_the_runs_own_time_are_left_to_the_queue(lab: Lab, shop: Shop) -> None:
    shop.apply(shop.events())
    means = lab.means()
    shop.double.control.advance_clock(advance_seconds=5)
    shop.buy("ann", "pro_monthly")

    assert lab.find(EVENTS, means) == []


def test_new_events_on_top_shift_no_page(lab: Lab, shop: Shop) -> None:
    shop.apply(shop.events())
    customer = shop.customer("ann")
    for number in range(230):
        shop.stripe.v1.customers.update(customer, {"metadata": {"n": str(number)}})
    missed = [event_id for event_id in ids(handled(shop)) if event_id not in known(shop)]
    means = lab.means()
    found: list[str] = []
    for batch in find_missed_events(means, {}):
        lab.stage(batch)
        found += [drift.object_id for drift in batch.drifts]
        shop.stripe.v1.customers.update(customer, {"metadata": {"more": str(len(found))}})

    assert found == missed[::-1]


def test_a_pass_that_outlives_what_stripe_keeps_ends_there(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "badge")
    oldest = ids(shop.events())[0]
    account = shop.double.control._account
    with account.lock:
        account.remove(account.objects[oldest])

    [last] = find_missed_events(lab.means(), {"after": oldest})

    assert (last.done, last.drifts) == (True, ())


def test_a_run_of_one_project_takes_up_the_events_of_its_users(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "badge")
    shop.rows("INSERT INTO projects (id, name, identity_namespace) VALUES ('other', 'Other', 'other')")

    assert lab.find(EVENTS, lab.means("other")) == []
    assert "checkout.session.completed" in [drift.after["type"] for drift in lab.find(EVENTS, lab.means("notes"))]


def test_a_list_that_fails_is_gone_on_with_later(lab: Lab, shop: Shop) -> None:
    shop.buy("ann", "badge")
    shop.double.control.add_fault("429", match="GET /v1/events", times=None)

    with pytest.raises(Transient):
        lab.find(EVENTS)
    shop.double.control.clear_faults()

    assert told(lab.find(EVENTS)) != []


def test_a_body_with_characters_the_database_refuses_is_kept_and_settled(lab: Lab, shop: Shop) -> None:
    shop.apply(shop.events())
    product: dict[str, Any] = shop.stripe.v1.products.list().data[0].to_dict(for_json=True)
    shop.double.control.emit_event("product.updated", {**product, "description": "a\0b\ud800"})

    [(_, mended)] = lab.run(EVENTS)

    assert mended.status == "repaired"


def test_asking_is_paid_for(lab: Lab, shop: Shop) -> None:
    shop.apply(shop.events())
    shop.buy("ann", "badge")
    spent: list[None] = []
    means: Means = replace(lab.means(), spend=lambda: spent.append(None))
    before = len(shop.double.control.requests())

    lab.run(EVENTS, means=means)

    asked = [entry for entry in shop.double.control.requests()[before:] if not _beside(entry["path"])]
    assert len(spent) == len(asked)


def _beside(path: str) -> bool:
    """The second question of a charge's or payment's fetch."""
    return path in {"/v1/refunds", "/v1/invoice_payments"}


def known(shop: Shop) -> set[str]:
    with transaction(shop.worker.database_url) as connection:
        return {row[0] for row in connection.execute(b"SELECT event_id FROM inbox").fetchall()}

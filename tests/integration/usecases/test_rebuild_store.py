"""A store that was lost is built anew out of Stripe, and answers as before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from billing.errors import Refused, Transient
from billing.store import audit
from billing.store.connection import close, transaction
from billing.store.rebuilds import Rebuild, latest_rebuild
from billing.usecases import rebuild_gate
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.explain_access import Asked, explain_access
from billing.usecases.operator import Operator
from billing.usecases.publish_outbox import sweep
from billing.usecases.rebuild_store import NEEDED_SECONDS, begin, rebuild_slice
from tests.support import shop as shops
from tests.support.aws import make_table
from tests.support.cut_postgres import Cut, run_cut_postgres
from tests.support.lab import LISTING, Lab, told
from tests.support.postgres import Databases
from tests.support.shop import CATALOG, Shop

DAY = 86_400
ANN = Operator("ann the operator")
USERS = ("ann", "ben", "cat", "dan", "eve", "fay", "gil", "hal", "ivy", "jim")
FEATURES = ("export", "seats", "badge")
LATER = (0, 3, 8, 20, 40, 400)
"""Days from now at which the answers must be equal too: windows, not only this moment."""


def charge_of(shop: Shop, user_id: str) -> str:
    return str(shop.stripe.v1.charges.list({"customer": shop.customer(user_id), "limit": 1}).data[0].id)


def live_many_lives(shop: Shop) -> None:
    """Bought, changed, canceled, unpaid, refunded, disputed: and all of it applied by events as it came."""
    control = shop.double.control

    def pass_time(seconds: int) -> None:
        control.advance_clock(advance_seconds=seconds)
        shop.apply(shop.events())

    shop.buy("ann", "pro_monthly", quantity=3)
    for user_id in ("ben", "fay", "gil", "hal"):
        shop.buy(user_id, "badge")
    at_period_end = shop.buy("cat", "pro_yearly", quantity=2)
    at_once = shop.buy("dan", "pro_monthly")
    shop.buy("eve", "pro_monthly")
    shop.buy("ivy", "badge")
    pass_time(60)
    control.refund(charge_of(shop, "fay"))
    control.refund(charge_of(shop, "ben"), amount=100)
    control.open_dispute(charge_of(shop, "gil"))
    lost = control.open_dispute(charge_of(shop, "hal"))["id"]
    pass_time(60)
    control.close_dispute(lost, won=False)
    shop.stripe.v1.subscriptions.update(at_period_end, {"cancel_at_period_end": True})
    shop.stripe.v1.subscriptions.cancel(at_once)
    control.fail_refund(control.refund(charge_of(shop, "ivy"))["id"])
    control.set_card(shop.customer("eve"), "decline")
    pass_time(60)
    pass_time(33 * DAY)  # ann's renewal is paid, eve's is not
    shop.open("jim", "badge")  # a customer who has bought nothing


def answers(shop: Shop) -> dict[str, Any]:
    """What everybody may do, now and later."""
    now = datetime.fromtimestamp(shop.double.control.clock()["now"], UTC)
    told = {}
    for user_id in USERS:
        for feature in FEATURES:
            for days in LATER:
                answer = shop.check(user_id, feature, now + timedelta(days=days))
                told[f"{user_id} {feature} +{days}"] = (answer["allowed"], answer["value"], answer["valid_to"])
    return told


@dataclass(frozen=True)
class Loss:
    """The shop before it lost its store; `after` is the shop over an empty one, projects created again."""

    before: dict[str, Any]
    after: Shop

    def rebuild(self, *, into_nonempty: bool = False) -> Rebuild:
        worker = self.after.worker
        at = begin(worker, ANN, into_nonempty=into_nonempty)
        return rebuild_slice(worker, at, ANN, lambda: 60.0).rebuild

    def apply_catalog(self) -> None:
        apply_catalog(self.after.worker.publisher, self.after.stripe, "notes", CATALOG, self.after.worker.now)


@pytest.fixture
def empty_store(shop: Shop, databases: Databases, aws_endpoint: str) -> Iterator[Callable[[], Shop]]:
    """Makes the same shop over an empty database and an empty cache."""
    with databases.lent() as database_url, make_table(aws_endpoint) as table:
        kept = shop.worker.publisher
        publisher = replace(kept, database_url=database_url, cache=kept.cache._replace(table=table))
        yield partial(shops.empty_shop, shop.double, publisher)
        close(database_url)


@pytest.fixture
def loss(shop: Shop, empty_store: Callable[[], Shop]) -> Loss:
    live_many_lives(shop)
    shop.double.control.freeze_clock()
    return Loss(answers(shop), empty_store())


def test_the_store_that_was_lost_answers_as_before(loss: Loss) -> None:
    loss.apply_catalog()

    done = loss.rebuild()

    assert (done.status, done.left_out) == ("done", [])
    assert answers(loss.after) == loss.before


def test_the_catalog_may_as_well_come_last(loss: Loss) -> None:
    loss.rebuild()

    loss.apply_catalog()

    assert answers(loss.after) == loss.before


def test_the_events_that_come_late_change_nothing_of_a_rebuilt_store(loss: Loss) -> None:
    loss.apply_catalog()
    loss.rebuild()

    loss.after.apply(reversed(loss.after.events()))

    assert answers(loss.after) == loss.before


def test_what_it_did_is_counted_and_audited(loss: Loss) -> None:
    done = loss.rebuild()

    assert done.counts["customers"] == {"taken": len(USERS)}
    assert done.counts["subscriptions"] == {"taken": 4}
    assert done.counts["checkouts"]["taken"] == 5
    with transaction(loss.after.worker.database_url) as connection:
        acts = connection.execute("SELECT action, target, actor FROM audit WHERE chain = '' ORDER BY seq").fetchall()
        head = audit.heads(connection)[""]
    assert acts == [("rebuild.start", done.id, ANN.name), ("rebuild.done", done.id, ANN.name)]
    assert head.seq == 2


def test_what_caused_a_holding_is_the_rebuild(loss: Loss) -> None:
    done = loss.rebuild()

    causes = loss.after.rows("SELECT DISTINCT cause_kind, cause_id FROM holdings_changes")
    assert causes == [("run", f"run:{done.id}")]
    loss.apply_catalog()
    now = loss.after.worker.now()
    asked = Asked("notes", "ann", "export")
    told_of = explain_access(loss.after.worker.database_url, asked, now)
    assert [source["caused_by"] for source in told_of["sources"]] == [{"kind": "run", "id": f"run:{done.id}"}]


def test_cut_short_at_every_step_it_ends_the_same(loss: Loss) -> None:
    """Each slice has time for one page and one object."""
    loss.apply_catalog()
    slices = 0
    at = begin(loss.after.worker, ANN, into_nonempty=False)
    while at.status == "open":
        clock = iter([60.0, 60.0])
        at = rebuild_slice(loss.after.worker, at, ANN, lambda clock=clock: next(clock, 0.0)).rebuild  # type: ignore[misc]
        slices += 1
        assert slices < 200

    assert slices > len(USERS)
    assert answers(loss.after) == loss.before


@pytest.mark.parametrize("every", [3, 4, 7])
def test_killed_before_and_behind_commits_it_ends_the_same(loss: Loss, every: int) -> None:
    """Every so many commits the line to the database is cut, in turn before the server hears of it and after."""
    loss.apply_catalog()
    kept = loss.after.worker
    close(kept.database_url)
    done, kills = False, 0
    with run_cut_postgres(kept.database_url) as line:
        worker = replace(kept, publisher=replace(kept.publisher, database_url=line.url))
        while not done:
            cuts: list[Cut | None] = ["question" if kills % 2 else "answer"]
            line.cuts = [*([None] * (every + kills // 2)), *cuts]
            try:
                rebuild_slice(worker, begin(worker, ANN, into_nonempty=True), ANN, lambda: 60.0)
            except Transient:
                kills += 1
            done = loss.after.rows("SELECT 1 FROM rebuilds WHERE status = 'done'") != []
        close(line.url)
    assert kills > 5

    sweep(kept.publisher, kept.now())

    assert answers(loss.after) == loss.before
    assert loss.after.rows("SELECT count(*) FROM outbox") == [(0,)]
    acts = loss.after.rows("SELECT action, count(*) FROM audit WHERE chain = '' GROUP BY action ORDER BY action")
    assert acts == [("rebuild.done", 1), ("rebuild.start", 1)]


def test_a_reconciliation_of_everything_finds_nothing_in_a_rebuilt_store(loss: Loss) -> None:
    loss.apply_catalog()
    loss.rebuild()
    loss.after.double.control.thaw_clock()
    lab = Lab(loss.after)

    assert told(lab.find(LISTING, lab.means(look_back=None))) == []


def test_two_who_drive_one_rebuild_end_it_once(loss: Loss) -> None:
    loss.apply_catalog()
    worker = loss.after.worker
    first = begin(worker, ANN, into_nonempty=False)
    second = begin(worker, Operator("ben"), into_nonempty=False)
    assert first == second

    rebuild_slice(worker, first, ANN, lambda: 60.0)
    late = rebuild_slice(worker, second, ANN, lambda: 60.0).rebuild

    assert late.status == "done"
    assert answers(loss.after) == loss.before
    ends = loss.after.rows("SELECT count(*) FROM audit WHERE action = 'rebuild.done'")
    assert ends == [(1,)]


def test_where_stripe_fails_it_keeps_what_it_has_and_goes_on_later(loss: Loss) -> None:
    loss.apply_catalog()
    control = loss.after.double.control
    control.add_fault("429", match="GET /v1/subscriptions")

    stopped = loss.rebuild()
    assert (stopped.status, stopped.stage) == ("open", "subscriptions")

    assert loss.rebuild().status == "done"
    assert answers(loss.after) == loss.before


def test_where_stripe_does_not_answer_at_all_it_says_so(loss: Loss) -> None:
    loss.after.double.control.add_fault("500", match="GET /v1/products", times=None)

    with pytest.raises(Transient, match="stripe_unavailable"):
        loss.rebuild()


def test_a_store_that_knows_of_sales_is_not_rebuilt_unasked(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())

    with pytest.raises(Refused, match="store_not_empty"):
        begin(shop.worker, ANN, into_nonempty=False)


def test_what_the_store_has_already_stays_as_it_is(shop: Shop) -> None:
    shop.buy("ann", "pro_monthly", quantity=2)
    shop.apply(shop.events())
    before = shop.digest()
    revisions = shop.rows("SELECT id, revision, watermark FROM subscriptions")

    at = begin(shop.worker, ANN, into_nonempty=True)
    done = rebuild_slice(shop.worker, at, ANN, lambda: 60.0).rebuild

    assert done.counts["subscriptions"] == {"known": 1}
    assert shop.digest() == before
    assert shop.rows("SELECT id, revision, watermark FROM subscriptions") == revisions


def lacking_refunds(shop: Shop, users: tuple[str, ...]) -> None:
    """Each bought a badge and was refunded, which was never heard of; of the last one the purchase neither."""
    for user_id in users:
        shop.buy(user_id, "badge")
    last = shop.customer(users[-1])
    shop.apply(body for body in shop.events() if f'"{last}"' not in body.decode())
    for user_id in users:
        shop.double.control.refund(charge_of(shop, user_id))
    shop.double.control.advance_clock(advance_seconds=10)


def holders(shop: Shop, users: tuple[str, ...]) -> list[str]:
    return [user_id for user_id in users if shop.check(user_id, "badge")["allowed"]]


def test_what_it_would_take_within_the_limit_is_taken_when_all_is_given(shop: Shop) -> None:
    lacking_refunds(shop, ("ann", "ben"))

    done = rebuild_slice(shop.worker, begin(shop.worker, ANN, into_nonempty=True), ANN, lambda: 60.0).rebuild

    assert (done.status, done.step, len(done.losers), done.left_out) == ("done", "take", 1, [])
    assert done.counts["refunds"] == {"taken": 2}
    assert holders(shop, ("ann", "ben")) == []


def test_beyond_the_limit_a_rebuild_of_a_store_with_sales_gives_and_waits(shop: Shop) -> None:
    """Ben's purchase and its refund are both news: nobody loses what the rebuild gave itself."""
    users = ("ann", "cat", "ben")
    lacking_refunds(shop, users)
    at = begin(shop.worker, ANN, into_nonempty=True, max_revocations=1)

    waits = rebuild_slice(shop.worker, at, ANN, lambda: 60.0).rebuild

    assert (waits.status, len(waits.losers)) == ("waiting", 2)
    assert waits.counts["refunds"] == {"taken": 1, "held_back": 2}
    assert {left["code"] for left in waits.left_out} == {"takes_access"}
    assert "notes/badge" in waits.left_out[0]["detail"]
    assert holders(shop, users) == ["ann", "cat"]
    assert rebuild_slice(shop.worker, waits, ANN, lambda: 60.0).rebuild == waits


def test_an_approved_rebuild_takes_from_as_many_as_it_told(shop: Shop) -> None:
    lacking_refunds(shop, ("ann", "cat", "ben"))
    at = begin(shop.worker, ANN, into_nonempty=True, max_revocations=0)
    waits = rebuild_slice(shop.worker, at, ANN, lambda: 60.0).rebuild
    with transaction(shop.worker.database_url) as connection:
        going = rebuild_gate.approve(connection, ANN, "refunded last year", shop.worker.now())
    assert (going.status, going.approved_takes, going.approved_by) == ("open", len(waits.losers), ANN.name)

    done = rebuild_slice(shop.worker, begin(shop.worker, ANN, into_nonempty=True), ANN, lambda: 60.0).rebuild

    assert (done.id, done.status, done.counts["refunds"]) == (at.id, "done", {"taken": 3})
    assert holders(shop, ("ann", "cat", "ben")) == []
    acts = shop.rows("SELECT action, reason FROM audit WHERE action LIKE 'rebuild.%' ORDER BY seq")
    assert acts == [("rebuild.start", None), ("rebuild.approve", "refunded last year"), ("rebuild.done", None)]


def test_who_became_a_loser_since_the_approval_makes_it_wait_again(shop: Shop) -> None:
    lacking_refunds(shop, ("ann", "dan", "ben"))
    refund = shop.stripe.v1.refunds.list({"charge": charge_of(shop, "dan")}).data[0].id
    shop.double.control.change_silently(refund, {"status": "failed"})
    at = begin(shop.worker, ANN, into_nonempty=True, max_revocations=0)
    rebuild_slice(shop.worker, at, ANN, lambda: 60.0)
    shop.rows("DELETE FROM refunds")
    shop.double.control.change_silently(refund, {"status": "succeeded"})
    with transaction(shop.worker.database_url) as connection:
        going = rebuild_gate.approve(connection, ANN, "refunded last year", shop.worker.now())

    again = rebuild_slice(shop.worker, going, ANN, lambda: 60.0).rebuild

    assert (again.status, len(again.losers)) == ("waiting", 2)
    assert "dan" in holders(shop, ("ann", "dan"))


def test_a_canceled_rebuild_leaves_what_it_gave(shop: Shop) -> None:
    lacking_refunds(shop, ("ann", "ben"))
    at = begin(shop.worker, ANN, into_nonempty=True, max_revocations=0)
    rebuild_slice(shop.worker, at, ANN, lambda: 60.0)

    with transaction(shop.worker.database_url) as connection:
        over = rebuild_gate.cancel(connection, ANN, "wrong key", shop.worker.now())

    assert over.status == "canceled"
    assert holders(shop, ("ann", "ben")) == ["ann"]
    with pytest.raises(Refused, match="rebuild_not_waiting"), transaction(shop.worker.database_url) as connection:
        rebuild_gate.approve(connection, ANN, "too late", shop.worker.now())


def test_an_account_that_sold_before_keeps_what_is_not_ours_to_itself(
    shop: Shop, empty_store: Callable[[], Shop]
) -> None:
    """Products, prices and customers without our metadata, and their subscriptions."""
    stripe = shop.stripe
    product = stripe.v1.products.create({"name": "Foreign"})
    price = stripe.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 5, "recurring": {"interval": "month"}}
    )
    stranger = stripe.v1.customers.create({"name": "stranger"})
    method = stripe.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    stripe.v1.payment_methods.attach(method.id, {"customer": stranger.id})
    stripe.v1.subscriptions.create(
        {"customer": stranger.id, "items": [{"price": price.id}], "default_payment_method": method.id}
    )
    shop.buy("ann", "pro_monthly")
    after = empty_store()

    done = rebuild_slice(after.worker, begin(after.worker, ANN, into_nonempty=False), ANN, lambda: 60.0).rebuild

    assert (done.status, done.left_out) == ("done", [])
    assert done.counts["subscriptions"] == {"taken": 1, "foreign": 1}
    assert done.counts["customers"] == {"taken": 1, "foreign": 1}
    assert after.rows("SELECT count(*) FROM products WHERE name = 'Foreign'") == [(0,)]


def test_a_product_of_a_project_that_was_not_created_again_is_named(
    shop: Shop, empty_store: Callable[[], Shop]
) -> None:
    product = shop.stripe.v1.products.create({"name": "Tasks", "metadata": {"billing_project_id": "tasks"}})
    after = empty_store()

    done = rebuild_slice(after.worker, begin(after.worker, ANN, into_nonempty=False), ANN, lambda: 60.0).rebuild

    [left] = done.left_out
    assert (left["id"], left["code"]) == (product.id, "unknown_project")
    assert "tasks" in left["detail"]


def test_a_second_stripe_customer_of_one_user_is_named(shop: Shop, empty_store: Callable[[], Shop]) -> None:
    """After a crash and 24 hours Stripe can have two (C9): the newer one is the one that was linked."""
    twin = {"billing_namespace": "notes", "billing_user_id": "ann"}
    older = shop.stripe.v1.customers.create({"metadata": twin}).id
    newer = shop.stripe.v1.customers.create({"metadata": twin}).id
    after = empty_store()

    done = rebuild_slice(after.worker, begin(after.worker, ANN, into_nonempty=False), ANN, lambda: 60.0).rebuild

    assert [(left["id"], left["code"]) for left in done.left_out] == [(older, "not_adopted")]
    assert after.rows("SELECT id FROM stripe_customers") == [(newer,)]


def test_no_object_is_begun_without_time_for_it(loss: Loss) -> None:
    at = begin(loss.after.worker, ANN, into_nonempty=False)

    assert rebuild_slice(loss.after.worker, at, ANN, lambda: NEEDED_SECONDS - 1).rebuild == at


def test_how_far_it_got_can_be_read(loss: Loss) -> None:
    done = loss.rebuild()

    with transaction(loss.after.worker.database_url) as connection:
        assert latest_rebuild(connection) == done

"""The store rebuilt through the operators' routes, as the command does it."""

import time

from tests.support.contract import fault_of
from tests.support.office import Office

REBUILD = "/api/v1/admin/rebuild"
START, READ = f"POST {REBUILD}", f"GET {REBUILD}"
APPROVE, CANCEL = f"POST {REBUILD}/approve", f"POST {REBUILD}/cancel"


def test_a_rebuild_is_driven_to_its_end_and_can_be_read(office: Office) -> None:
    office.shop.buy("ann", "pro_monthly", quantity=2)

    told = office.ask(START, {}, idempotency="first")

    assert (told.status, fault_of(START, told)) == (200, None)
    assert (told.body["status"], told.body["left_out"]) == ("done", [])
    assert told.body["counts"]["subscriptions"] == {"taken": 1}
    assert office.shop.check("ann", "seats")["value"] == 2
    latest = office.ask(READ)
    assert (latest.body, fault_of(READ, latest)) == (told.body, None)


def test_what_it_brought_is_published_when_it_answers(office: Office) -> None:
    office.shop.buy("ann", "pro_monthly")

    office.ask(START, {})

    assert office.shop.rows("SELECT count(*) FROM outbox WHERE customer_id IS NOT NULL") == [(0,)]


def test_sent_again_with_its_key_it_is_not_begun_again(office: Office) -> None:
    first = office.ask(START, {}, idempotency="first")

    again = office.ask(START, {}, idempotency="first")

    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    assert office.shop.rows("SELECT count(*) FROM rebuilds") == [(1,)]


def test_a_store_with_sales_is_refused_unless_told_so(office: Office) -> None:
    office.shop.buy("ann", "pro_monthly")
    office.shop.apply(office.shop.events())

    refused = office.ask(START, {})
    assert (refused.status, refused.code, fault_of(START, refused)) == (409, "store_not_empty", None)

    assert office.ask(START, {"into_nonempty": True}).body["status"] == "done"


def test_one_that_would_take_too_much_is_decided_by_a_person(office: Office) -> None:
    shop = office.shop
    session = shop.buy("ann", "badge")
    shop.apply(shop.events())
    shop.double.control.refund(session)
    shop.double.control.advance_clock(advance_seconds=10)
    waits = office.ask(START, {"into_nonempty": True, "max_revocations": 0})
    assert (waits.body["status"], waits.body["takes_from"], fault_of(START, waits)) == ("waiting", 1, None)
    assert shop.check("ann", "badge")["allowed"]

    approved = office.ask(APPROVE, {"reason": "refunded last year"})

    assert (approved.body["status"], approved.body["approved_takes"], fault_of(APPROVE, approved)) == ("open", 1, None)
    deadline = time.monotonic() + 60
    while office.ask(START, {"into_nonempty": True}).body["status"] == "open":
        assert time.monotonic() < deadline
        time.sleep(0.5)  # as the command does: the budget for asking Stripe grows by the second
    assert not shop.check("ann", "badge")["allowed"]
    refused = office.ask(CANCEL, {"reason": "too late"})
    assert (refused.status, refused.code, fault_of(CANCEL, refused)) == (409, "rebuild_not_waiting", None)


def test_where_stripe_is_down_it_can_be_tried_again(office: Office) -> None:
    office.shop.double.control.add_fault("500", match="GET /v1/products", times=None)
    down = office.ask(START, {}, idempotency="first")
    assert (down.status, down.code, down.body["retryable"]) == (503, "stripe_unavailable", True)

    office.shop.double.control.clear_faults()

    assert office.ask(START, {}, idempotency="first").body["status"] == "done"


def test_where_nothing_was_rebuilt_there_is_nothing_to_read(office: Office) -> None:
    answer = office.ask(READ)

    assert (answer.status, answer.code, fault_of(READ, answer)) == (404, "rebuild_not_found", None)

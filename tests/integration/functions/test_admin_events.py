"""The inbox through the operators' function: seen without bodies or people, and replayed (FAILURES B30, B31, F9)."""

import json
from typing import Any

from billing.errors import Permanent
from billing.messages.queue import Accepted, to_message
from billing.store import customers
from billing.store.connection import transaction
from billing.usecases.apply_event import apply_event, record_unreadable
from billing.usecases.manage_projects import create_key
from tests.support.contract import fault_of
from tests.support.gateway import Answer
from tests.support.office import Office
from tests.support.shop import Shop

EVENTS = "/api/v1/admin/events"
EVENT = EVENTS + "/{event_id}"
REPLAY = EVENT + "/replay"
REPLAY_MANY = EVENTS + "/replay"
REASON = {"reason": "the import is mended"}
DAY = 86_400


def listed(office: Office, **query: str) -> list[dict[str, Any]]:
    answer = office.ask("GET " + EVENTS, query={"limit": "100", **query})
    assert (answer.status, fault_of("GET " + EVENTS, answer)) == (200, None)
    rows: list[dict[str, Any]] = answer.body["data"]
    return rows


def replay(office: Office, event_id: str, **more: Any) -> Answer:
    answer = office.ask("POST " + REPLAY, REASON, event_id=event_id, **more)
    assert fault_of("POST " + REPLAY, answer) is None
    return answer


def acts(office: Office) -> list[tuple[str, str, str, str, str]]:
    """Chain, target, reason, and the status before and after, of every replay so far."""
    return office.shop.rows(
        "SELECT chain, target, reason, before ->> 'status', after ->> 'status' FROM audit"
        " WHERE action = 'event.replay' AND actor = 'ann the operator' ORDER BY chain, seq"
    )


def of_kind(shop: Shop, kind: str) -> bytes:
    return next(body for body in shop.events() if json.loads(body)["type"] == kind)


def id_of(body: bytes) -> str:
    return str(json.loads(body)["id"])


def edited(body: bytes, **changes: Any) -> bytes:
    return json.dumps({**json.loads(body), **changes}).encode()


def bought_by_a_stranger(shop: Shop, user_id: str = "ann") -> str:
    """A subscription of a Stripe customer that this service does not know; its events fail. Returns that customer."""
    stranger = shop.stripe.v1.customers.create({"description": user_id}).id
    session = shop.stripe.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": stranger,
            "line_items": [{"price": shop.price("pro_monthly"), "quantity": 1}],
            "success_url": "https://notes.example/done",
        }
    )
    shop.double.control.pay_checkout(session.id)
    return stranger


def introduce(shop: Shop, stranger: str, user_id: str = "ann") -> None:
    """What was missing: from now on the Stripe customer is this user's."""
    with transaction(shop.worker.database_url) as connection:
        customer = customers.ensure(connection, "notes", user_id)
        customers.lock(connection, customer.id)
        assert customers.link(connection, customer.id, stranger) == stranger


# --- looking -------------------------------------------------------------------------------------------------------


def test_events_are_listed_newest_first_without_their_bodies(office: Office) -> None:
    office.shop.apply(office.shop.events())
    office.shop.double.control.advance_clock(advance_seconds=60)
    office.shop.buy("ann", "pro_monthly")
    office.shop.apply(office.shop.events())

    rows = listed(office)

    assert len(rows) == len(office.shop.events())
    assert [row["received_at"] for row in rows] == sorted((row["received_at"] for row in rows), reverse=True)
    assert {"body", "payload"}.isdisjoint(rows[0])
    assert all(row["size"] > 0 for row in rows)


def test_pages_go_on_where_the_one_before_ended(office: Office) -> None:
    office.shop.buy("ann", "pro_monthly")
    office.shop.apply(office.shop.events())
    seen: list[str] = []
    query = {"limit": "4"}
    while True:
        body = office.ask("GET " + EVENTS, query=query).body
        seen += [row["event_id"] for row in body["data"]]
        if not body["has_more"]:
            break
        query["cursor"] = body["next_cursor"]
    assert seen == [row["event_id"] for row in listed(office)]


def test_events_are_filtered_by_what_they_are_and_whom_they_touch(office: Office) -> None:
    shop = office.shop
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.buy("ben", "badge")
    shop.apply(shop.events())

    assert {row["status"] for row in listed(office, status="ignored")} == {"ignored"}
    assert {row["type"] for row in listed(office, type="invoice.paid")} == {"invoice.paid"}
    assert {row["object_id"] for row in listed(office, object_id=subscription_id)} == {subscription_id}
    of_ben = listed(office, customer=shop.customer("ben"))
    assert {row["type"] for row in of_ben} >= {"customer.created", "checkout.session.completed"}
    assert "customer.subscription.created" not in {row["type"] for row in of_ben}
    assert listed(office, received_from="2099-01-01T00:00:00Z") == []
    assert listed(office, customer="cus_nobody") == []


def test_an_event_is_shown_with_whom_it_touched_and_nothing_of_the_person(office: Office) -> None:
    shop = office.shop
    email, name, phone = "ann.canary@example.com", "Ann Canary", "+15550100"
    about = {"note": "canary"}
    shop.stripe.v1.customers.update(
        shop.customer("ann"), {"email": email, "name": name, "phone": phone, "metadata": about}
    )
    shop.apply(shop.events())
    event_id = id_of(of_kind(shop, "customer.updated"))

    answer = office.ask("GET " + EVENT, event_id=event_id)

    assert fault_of("GET " + EVENT, answer) is None
    assert answer.body["customers"] == [{"namespace": "notes", "user_id": "ann"}]
    assert answer.body["payload"]["data"]["object"]["id"] == shop.customer("ann")
    assert answer.body["payload"]["data"]["object"]["email"] == "[redacted]"
    assert not any(word in answer.text + office.log.getvalue() for word in (email, name, phone, "canary"))


def test_a_body_that_was_no_event_is_measured(office: Office) -> None:
    apply_event(office.shop.worker, b"\xffnonsense")
    [row] = listed(office, status="failed")
    answer = office.ask("GET " + EVENT, event_id=row["event_id"])
    assert row["event_id"] == f"body:{answer.body['sha256']}"
    assert (answer.body["payload"], answer.body["size"], answer.body["created"]) == (None, 9, None)


def test_an_unknown_event_is_404(office: Office) -> None:
    for route in ("GET " + EVENT, "POST " + REPLAY):
        answer = office.ask(route, REASON if "POST" in route else None, event_id="evt_nobody")
        assert (answer.status, answer.code) == (404, "event_not_found")


def test_a_filter_that_is_none_is_named(office: Office) -> None:
    for query, pointer in (
        ({"status": "lost"}, "?status"),
        ({"type": "Type'; --"}, "?type"),
        ({"customer": "%"}, "?customer"),
        ({"received_from": "yesterday"}, "?received_from"),
        ({"received_to": "2026-03-01T00:00:00"}, "?received_to"),
        ({"limit": "101"}, "?limit"),
        ({"cursor": "bm9uZQ=="}, "?cursor"),
        ({"cursor": "WyJ5ZXN0ZXJkYXkiLCAiZXZ0XzEiXQ=="}, "?cursor"),
        ({"colour": "red"}, "?colour"),
    ):
        answer = office.ask("GET " + EVENTS, query=query)
        assert (answer.status, answer.pointers) == (422, [pointer])


def test_a_projects_key_opens_none_of_it(office: Office) -> None:
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    for route in ("GET " + EVENTS, "GET " + EVENT, "POST " + REPLAY, "POST " + REPLAY_MANY):
        assert office.ask(route, {}, key=key, event_id="evt_1").code == "wrong_role"


# --- replaying one -------------------------------------------------------------------------------------------------


def test_a_failed_event_is_applied_once_its_cause_is_mended(office: Office) -> None:
    shop = office.shop
    stranger = bought_by_a_stranger(shop)
    shop.apply(shop.events())
    active = id_of(of_kind(shop, "customer.subscription.updated"))
    assert replay(office, active).body["status"] == "failed"
    introduce(shop, stranger)
    key = create_key(office.database_url, project_id="notes", name="backend", mode="test").secret
    assert not office.check("ann", "export", key).body["allowed"]

    answer = replay(office, active)

    assert answer.status == 200
    assert (answer.body["status"], answer.body["previous_status"]) == ("applied", "failed")
    assert office.ask("GET " + EVENT, event_id=active).body["status"] == "applied"
    assert office.check("ann", "export", key).body["allowed"]
    chains = [chain for chain, *_ in acts(office)]
    assert chains == ["", "notes"]  # whose it is was not known at first
    assert acts(office)[1][1:] == (active, REASON["reason"], "failed", "applied")


def test_replaying_what_was_settled_changes_nothing_and_says_what_it_came_to(office: Office) -> None:
    shop = office.shop
    subscription_id = shop.buy("ann", "pro_monthly")
    shop.double.control.advance_clock(advance_seconds=DAY)
    shop.stripe.v1.subscriptions.update(subscription_id, {"cancel_at_period_end": True})
    foreign = edited(of_kind(shop, "invoice.paid"), id="evt_live", livemode=True)
    history = shop.events()
    shop.apply([*history[::-1], foreign])
    state = shop.digest(), shop.rows("SELECT version FROM customers")
    before = {row["event_id"]: row["status"] for row in listed(office)}
    assert set(before.values()) == {"applied", "superseded", "ignored", "rejected_mode"}

    for event_id, status in before.items():
        answer = replay(office, event_id)
        assert (answer.status, answer.body["previous_status"]) == (200, status)

    assert (shop.digest(), shop.rows("SELECT version FROM customers")) == state
    assert replay(office, "evt_live").body["status"] == "rejected_mode"
    after = {row["event_id"]: row["status"] for row in listed(office)}
    assert [event_id for event_id in before if before[event_id] == "applied" != after[event_id]] == []
    assert len(acts(office)) == len(before) + 1


def test_after_forty_days_an_event_is_replayed_from_its_stored_body_and_nothing_goes_back(office: Office) -> None:
    shop = office.shop
    subscription_id = shop.buy("ann", "pro_monthly", quantity=2)
    created = id_of(of_kind(shop, "customer.subscription.created"))
    shop.apply(shop.events())
    shop.double.control.advance_clock(advance_seconds=40 * DAY)
    shop.stripe.v1.subscriptions.cancel(subscription_id)
    shop.apply(shop.events())
    assert created not in map(id_of, shop.events())  # Stripe forgot it
    before = shop.digest()

    answer = replay(office, created)

    assert answer.body["status"] == "superseded"
    assert shop.digest() == before
    assert shop.check("ann", "export")["reason"] == "expired"


def test_failed_events_of_forty_days_ago_lead_where_stripe_is_now(office: Office) -> None:
    shop = office.shop
    stranger = bought_by_a_stranger(shop)
    shop.apply(shop.events())
    shop.double.control.advance_clock(advance_seconds=40 * DAY)
    shop.apply(shop.events())
    introduce(shop, stranger)

    answer = office.ask("POST " + REPLAY_MANY, {"status": "failed", "limit": 100, **REASON})

    assert {row["status"] for row in answer.body["data"]} <= {"applied", "superseded"}
    assert listed(office, status="failed") == []
    [(period_end,)] = shop.rows("SELECT period_end FROM subscription_items")
    assert period_end > shop.worker.now()
    assert shop.check("ann", "export")["allowed"]


def test_a_body_that_an_earlier_release_could_not_read_is_read_again(office: Office) -> None:
    shop = office.shop
    shop.buy("ann", "pro_monthly")
    created, paid = of_kind(shop, "customer.subscription.created"), of_kind(shop, "invoice.paid")
    in_a_message = to_message(Accepted(created, shop.worker.now())).encode()
    for body in (in_a_message, paid):
        record_unreadable(shop.worker, body, Permanent("unknown_shape", "too new for us"))

    outcomes = [replay(office, row["event_id"]).body for row in listed(office, status="failed")]

    assert [(outcome["status"], outcome["previous_status"]) for outcome in outcomes] == [("applied", "failed")] * 2
    assert {outcome["reason"] for outcome in outcomes} == {f"read_as: {id_of(body)}" for body in (created, paid)}
    assert listed(office, status="failed") == []
    assert shop.rows("SELECT count(*) FROM subscriptions") == [(1,)]


def test_a_body_that_still_cannot_be_read_fails_again(office: Office) -> None:
    apply_event(office.shop.worker, b"\xffnonsense")
    [row] = listed(office)
    answer = replay(office, row["event_id"])
    assert (answer.body["status"], answer.body["reason"].partition(":")[0]) == ("failed", "unreadable")


def test_a_replay_while_stripe_is_down_is_503_and_leaves_everything_as_it_was(office: Office) -> None:
    shop = office.shop
    shop.buy("ann", "badge")
    completed = of_kind(shop, "checkout.session.completed")
    shop.apply(shop.events())
    shop.rows("DELETE FROM purchases RETURNING 1")  # so that the replay has to ask
    shop.double.control.add_fault("503", match="/v1/checkout/sessions", times=None)

    answer = replay(office, id_of(completed), idempotency="k")

    assert (answer.status, answer.body["retryable"]) == (503, True)
    assert acts(office) == []
    shop.double.control.clear_faults()
    assert replay(office, id_of(completed), idempotency="k").body["status"] == "applied"
    assert shop.check("ann", "badge")["allowed"]


def test_a_replay_is_done_once_under_its_idempotency_key(office: Office) -> None:
    shop = office.shop
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    event_id = id_of(of_kind(shop, "invoice.paid"))

    first, second = (replay(office, event_id, idempotency="k") for _ in range(2))
    other = office.ask("POST " + REPLAY, {"reason": "another"}, event_id=event_id, idempotency="k")

    assert first.text == second.text
    assert second.headers["idempotent-replayed"] == "true"
    assert other.code == "idempotency_mismatch"
    assert len(acts(office)) == 1


def test_a_replay_needs_a_reason_and_takes_nothing_else(office: Office) -> None:
    bodies: tuple[dict[str, str], ...] = ({}, {"reason": ""}, {"reason": "x", "project_id": "notes"})
    assert [office.ask("POST " + REPLAY, body, event_id="evt_1").status for body in bodies] == [422] * 3


# --- replaying many ------------------------------------------------------------------------------------------------


def test_many_are_replayed_in_the_order_of_stripes_clock_page_by_page(office: Office) -> None:
    shop = office.shop
    stranger = bought_by_a_stranger(shop)
    shop.double.control.advance_clock(advance_seconds=60)
    introduced_later = bought_by_a_stranger(shop, "ben")
    shop.apply(shop.events()[::-1])
    failed = listed(office, status="failed")
    introduce(shop, stranger)

    replayed: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"status": "failed", "limit": 3, **REASON}
    while True:
        answer = office.ask("POST " + REPLAY_MANY, asked)
        assert fault_of("POST " + REPLAY_MANY, answer) is None
        assert len(answer.body["data"]) <= 3
        replayed += answer.body["data"]
        if not answer.body["has_more"]:
            break
        asked["cursor"] = answer.body["next_cursor"]

    created = {row["event_id"]: (row["created"], row["event_id"]) for row in failed}
    assert [created[row["event_id"]] for row in replayed] == sorted(created.values())
    assert shop.check("ann", "export")["allowed"]
    # those of the other stranger fail again, and are not met twice for it
    still = {row["event_id"] for row in listed(office, status="failed")}
    assert still == {row["event_id"] for row in replayed if row["status"] == "failed"}
    assert still
    assert introduced_later not in json.dumps(acts(office))


def test_one_that_cannot_be_replayed_now_holds_up_no_other(office: Office) -> None:
    shop = office.shop
    stranger = bought_by_a_stranger(shop)
    shop.apply(shop.events())
    introduce(shop, stranger)
    shop.double.control.add_fault("503", match="/v1/subscriptions", times=3)  # the SDK's tries

    rows = office.ask("POST " + REPLAY_MANY, {"status": "failed", "limit": 100, **REASON}).body["data"]

    errors = {row["error"] for row in rows}
    assert errors == {None, "stripe_unavailable"}
    assert {row["status"] for row in rows if row["error"]} == {"failed"}
    assert "applied" in {row["status"] for row in rows if not row["error"]}


def test_many_need_a_status_a_reason_and_a_limit(office: Office) -> None:
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"status": "applied"}, "/status"),
        ({"status": "failed", "limit": 101}, "/limit"),
        ({"status": "failed", "cursor": "nonsense"}, "/cursor"),
        ({"status": "failed", "cursor": "Wy0xLCAiZXZ0XzEiXQ=="}, "/cursor"),
        ({"status": "failed", "reason": None}, "/reason"),
    )
    for body, pointer in refused:
        answer = office.ask("POST " + REPLAY_MANY, {**REASON, **body})
        assert (answer.status, answer.pointers) == (422, [pointer])

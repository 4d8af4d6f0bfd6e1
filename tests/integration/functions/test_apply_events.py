"""The event worker, called with the batches SQS hands it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from billing.messages.queue import Accepted, Pointer, Unreadable, to_message
from billing.runtime.entrypoint import Handle
from billing.store.connection import close, current
from functions.apply_events.handler import GIVE_UP_AFTER, build
from tests.support.aws import SESSION, sqs_client
from tests.support.postgres import Databases
from tests.support.shop import Shop

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CONTEXT = SimpleNamespace(aws_request_id="req-1", get_remaining_time_in_millis=lambda: 30_000)


@pytest.fixture
def environ(shop: Shop, aws_endpoint: str, table_name: str, queue_url: str) -> Iterator[dict[str, str]]:
    secrets = SESSION.client("secretsmanager", endpoint_url=aws_endpoint)
    name = secrets.create_secret(Name=f"stripe-{table_name}", SecretString='{"api_key": "sk_test_worker"}')["Name"]
    secrets.close()
    yield {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws_endpoint,
        "DATABASE_URL": shop.worker.database_url,
        "TABLE_NAME": table_name,
        "QUEUE_URL": queue_url,
        "EVENT_BUS_NAME": "default",
        "STRIPE_API_KEY_SECRET_ID": name,
        "STRIPE_API_BASE": shop.double.url,
        "STRIPE_LIVEMODE": "false",
        "LOG_LEVEL": "INFO",
    }
    close(shop.worker.database_url)


@pytest.fixture
def handle(environ: dict[str, str]) -> Handle:
    return build(environ)


def record(text: str, message_id: str = "m1", receipts: int = 1) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": f"handle-{message_id}",
        "body": text,
        "attributes": {"ApproximateReceiveCount": str(receipts)},
        "eventSource": "aws:sqs",
    }


def accepted(body: bytes) -> str:
    return to_message(Accepted(body, NOW))


def failed(answer: Any) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_a_batch_of_events_is_applied_and_none_comes_back(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly", quantity=4)
    records = [record(accepted(body), f"m{place}") for place, body in enumerate(shop.events())]

    answer = handle({"Records": records}, CONTEXT)

    assert failed(answer) == []
    assert shop.check("ann", "seats")["value"] == 4


def test_one_that_cannot_be_applied_now_comes_again_and_takes_no_mate_along(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "badge")
    shop.buy("ann", "pro_monthly")
    events = shop.events()
    needs_stripe = next(body for body in events if b'"checkout.session.completed"' in body)
    needs_nothing = next(body for body in events if b'"customer.subscription.updated"' in body)
    shop.double.control.add_fault("503", match="/v1/checkout/sessions", times=None)

    records = [record(accepted(needs_stripe), "down"), record(accepted(needs_nothing), "fine")]
    answer = handle({"Records": records}, CONTEXT)

    assert failed(answer) == ["down"]
    assert shop.check("ann", "export")["allowed"]
    assert not shop.check("ann", "badge")["allowed"]


def test_one_that_failed_comes_again_after_seconds_not_after_the_visibility_timeout(
    shop: Shop, handle: Handle, aws_endpoint: str, queue_url: str
) -> None:
    shop.buy("ann", "badge")
    completed = next(body for body in shop.events() if b'"checkout.session.completed"' in body)
    shop.double.control.add_fault("503", match="/v1/checkout/sessions", times=None)
    with sqs_client(aws_endpoint) as sqs:
        sqs.send_message(QueueUrl=queue_url, MessageBody=accepted(completed))
        [taken] = sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=600)["Messages"]
        real = record(taken["Body"], taken["MessageId"]) | {"receiptHandle": taken["ReceiptHandle"]}

        assert failed(handle({"Records": [real]}, CONTEXT)) == [taken["MessageId"]]

        again = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=6).get("Messages", [])
    assert [message["MessageId"] for message in again] == [taken["MessageId"]]


def test_the_message_received_most_often_is_handled_last(shop: Shop, handle: Handle, capfd: Any) -> None:
    """One that kills the process must not keep its mates from being settled first."""
    shop.buy("ann", "pro_monthly")
    first, second = shop.events()[-2:]

    handle({"Records": [record(accepted(first), "old", 5), record(accepted(second), "new", 1)]}, CONTEXT)

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    applied = [line["correlation_id"] for line in lines if line["message"] == "event"]
    assert applied == [json.loads(second)["id"], json.loads(first)["id"]]


@pytest.mark.parametrize(
    ("together", "receipts", "transactions"),
    [
        pytest.param(True, 1, 1, id="for the first time"),
        pytest.param(True, 2, 2, id="again: one of them may be what killed the batch"),
        pytest.param(False, 1, 2, id="switched off"),
    ],
)
def test_ordinary_events_share_a_transaction_where_they_come_for_the_first_time(
    shop: Shop, environ: dict[str, str], together: bool, receipts: int, transactions: int
) -> None:
    for user in ("ann", "bob"):
        shop.buy(user, "pro_monthly")
    created = [body for body in shop.events() if b'"customer.subscription.created"' in body]
    records = [record(accepted(body), f"m{place}", receipts) for place, body in enumerate(created)]

    answer = build(environ, together=together)({"Records": records}, CONTEXT)

    assert failed(answer) == []
    assert shop.rows("SELECT count(DISTINCT xmin::text) FROM inbox") == [(transactions,)]
    assert shop.rows("SELECT count(*) FROM outbox") == [(0,)]


def told(capfd: Any) -> dict[str, Any]:
    """The line of the last batch, with its metrics."""
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    last: dict[str, Any] = [line for line in lines if line["message"] == "events"][-1]
    return last


def test_alarms_get_what_became_of_the_events_and_how_old_they_were(
    shop: Shop, environ: dict[str, str], capfd: Any
) -> None:
    shop.buy("ann", "pro_monthly")
    created = next(body for body in shop.events() if b'"customer.subscription.created"' in body)
    at = datetime.fromtimestamp(json.loads(created)["created"] + 7, UTC)
    handle = build(environ, lambda: at)

    handle({"Records": [record(accepted(created))]}, CONTEXT)
    first = told(capfd)
    handle({"Records": [record(accepted(created), receipts=2)]}, CONTEXT)

    assert (first["EventApplied"], first["EventAgeSeconds"]) == (1, 7)
    assert "EventAgeSeconds" not in told(capfd)


def test_a_status_that_stripe_invented_is_counted(shop: Shop, handle: Handle, capfd: Any) -> None:
    shop.buy("ann", "pro_monthly")
    created = next(body for body in shop.events() if b'"customer.subscription.created"' in body)
    invented = json.loads(created)
    invented["data"]["object"]["status"] = "hibernating"

    handle({"Records": [record(accepted(json.dumps(invented).encode()))]}, CONTEXT)

    assert told(capfd)["EventUnknownStatus"] == 1


def test_an_event_too_large_for_the_queue_is_fetched_from_stripe(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly")
    event_id = json.loads(next(b for b in shop.events() if b'"checkout.session.completed"' in b))["id"]

    answer = handle({"Records": [record(to_message(Pointer(event_id, NOW)))]}, CONTEXT)

    assert failed(answer) == []
    assert shop.check("ann", "export")["allowed"]


@pytest.mark.parametrize(
    "text",
    ["not ours", to_message(Pointer("evt_unknown", NOW)), to_message(Unreadable("0" * 64, 1_000_000, NOW))],
    ids=["garbage", "gone", "unreadable"],
)
def test_a_message_that_leads_to_no_event_is_on_record_as_failed(shop: Shop, handle: Handle, text: str) -> None:
    answer = handle({"Records": [record(text)]}, CONTEXT)

    assert failed(answer) == []
    assert shop.rows("SELECT status, body FROM inbox") == [("failed", text.encode())]


def test_a_redelivery_of_what_a_crash_left_unpublished_publishes_it(shop: Shop, handle: Handle) -> None:
    """Killed between commit and publication: acknowledging now would leave the old answer in the cache."""
    shop.buy("ann", "pro_monthly")
    created = next(body for body in shop.events() if b'"customer.subscription.created"' in body)
    handle({"Records": [record(accepted(created))]}, CONTEXT)
    shop.rows("INSERT INTO outbox (customer_id, cause_kind, cause_id) SELECT id, 'event', 'x' FROM customers")

    handle({"Records": [record(accepted(created), receipts=2)]}, CONTEXT)

    assert shop.rows("SELECT 1 FROM outbox") == []


def test_while_the_store_is_down_nothing_is_acknowledged_and_afterwards_all_of_it_is_applied(
    shop: Shop, environ: dict[str, str]
) -> None:
    shop.buy("ann", "pro_monthly", quantity=4)
    records = [record(accepted(body), f"m{place}") for place, body in enumerate(shop.events())]

    down = build(environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing"})({"Records": records}, CONTEXT)
    assert sorted(failed(down)) == sorted(item["messageId"] for item in records)
    assert failed(build(environ)({"Records": records}, CONTEXT)) == []

    assert shop.check("ann", "seats")["value"] == 4


def test_a_store_that_restarted_since_the_last_batch_costs_no_retry(
    shop: Shop, handle: Handle, databases: Databases
) -> None:
    shop.buy("ann", "pro_monthly")
    first, *rest = shop.events()
    handle({"Records": [record(accepted(first))]}, CONTEXT)
    worker = current(shop.worker.database_url).info.backend_pid
    with psycopg.connect(databases.server.maintenance_url) as other:
        assert other.execute("SELECT pg_terminate_backend(%s, 5000)", (worker,)).fetchone() == (True,)

    answer = handle({"Records": [record(accepted(body), f"m{place}") for place, body in enumerate(rest)]}, CONTEXT)

    assert failed(answer) == []
    assert shop.check("ann", "export")["allowed"]


def test_what_keeps_breaking_is_in_the_inbox_when_the_queue_gives_it_up(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly")
    created = next(body for body in shop.events() if b'"customer.subscription.created"' in body)
    # a fault nobody foresaw: the schema lacks what the code writes
    shop.rows("ALTER TABLE subscriptions RENAME COLUMN status TO state")

    before = handle({"Records": [record(accepted(created), receipts=GIVE_UP_AFTER - 1)]}, CONTEXT)
    assert (failed(before), shop.rows("SELECT 1 FROM inbox")) == (["m1"], [])
    last = handle({"Records": [record(accepted(created), receipts=GIVE_UP_AFTER)]}, CONTEXT)

    assert failed(last) == ["m1"]
    [(status, reason)] = shop.rows("SELECT status, reason FROM inbox")
    assert (status, reason) == ("failed", "broke its handling: UndefinedColumn")


def test_no_key_secret_or_body_reaches_the_log(shop: Shop, handle: Handle, capfd: Any) -> None:
    shop.buy("ann", "pro_monthly")
    records = [record(accepted(body), f"m{place}") for place, body in enumerate(shop.events())]

    handle({"Records": [*records, record("sk_test_leak whsec_leak ann@example.com", "odd")]}, CONTEXT)

    written = capfd.readouterr()
    for secret in ("sk_test_", "whsec_", "@example.com", "data"):
        assert secret not in written.err + written.out


def test_what_the_queue_gave_up_is_applied_when_it_is_redriven_after_the_mend(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly")
    completed = next(body for body in shop.events() if b'"checkout.session.completed"' in body)
    shop.rows("ALTER TABLE subscriptions RENAME COLUMN status TO state")
    handle({"Records": [record(accepted(completed), receipts=GIVE_UP_AFTER)]}, CONTEXT)
    shop.rows("ALTER TABLE subscriptions RENAME COLUMN state TO status")

    answer = handle({"Records": [record(accepted(completed))]}, CONTEXT)

    assert failed(answer) == []
    assert shop.rows("SELECT status, reason FROM inbox") == [("applied", None)]
    assert shop.check("ann", "export")["allowed"]


def test_near_its_deadline_it_begins_no_further_event_and_hands_the_rest_back(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly")
    completed = next(body for body in shop.events() if b'"checkout.session.completed"' in body)
    late = SimpleNamespace(aws_request_id="req-1", get_remaining_time_in_millis=lambda: 5_000)

    answer = handle({"Records": [record(accepted(completed))]}, late)

    assert failed(answer) == ["m1"]
    assert shop.rows("SELECT 1 FROM inbox") == []


def test_a_hanging_stripe_is_asked_once_and_the_retry_is_left_to_the_queue(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "badge")
    completed = next(body for body in shop.events() if b'"checkout.session.completed"' in body)
    shop.double.control.add_fault("503", match="/v1/checkout/sessions", times=None)
    before = len(shop.double.control.requests())

    assert failed(handle({"Records": [record(accepted(completed))]}, CONTEXT)) == ["m1"]

    assert len(shop.double.control.requests()) - before == 1

"""Dead letters go back to the worker, on real queues: at least once, never lost."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

from billing.errors import Transient
from billing.messages import queue
from billing.messages.queue import Accepted, to_message
from billing.runtime.aws import SQS, AwsClient, AwsError
from billing.usecases.apply_message import apply_message
from tests.support.aws import sqs_client
from tests.support.contract import fault_of
from tests.support.office import Office

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

DEAD = "/api/v1/admin/events/dead-letters"
REDRIVE = "/api/v1/admin/events/redrive"


@pytest.fixture
def sqs(aws_endpoint: str) -> Iterator["SQSClient"]:
    with sqs_client(aws_endpoint) as client:
        yield client


def bury(sqs: "SQSClient", office: Office, *bodies: str) -> None:
    for body in bodies:
        sqs.send_message(QueueUrl=office.dead_letter_queue_url, MessageBody=body)


def drained(sqs: "SQSClient", queue_url: str) -> list[str]:
    texts: list[str] = []
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            texts.append(message["Body"])
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return texts


def redrive(office: Office, **more: Any) -> dict[str, int]:
    answer = office.ask("POST " + REDRIVE, {"reason": "the database is back", **more})
    assert (answer.status, fault_of("POST " + REDRIVE, answer)) == (200, None)
    told: dict[str, int] = answer.body
    return told


def test_dead_letters_are_counted_and_moved_back_as_they_were(office: Office, sqs: "SQSClient") -> None:
    letters = [f"letter {number}: ü" for number in range(13)]
    bury(sqs, office, *letters)
    assert office.ask("GET " + DEAD).body == {"waiting_estimate": 13, "in_flight_estimate": 0}

    assert redrive(office, limit=12) == {"moved": 12, "remaining_estimate": 1}
    assert redrive(office) == {"moved": 1, "remaining_estimate": 0}
    assert redrive(office) == {"moved": 0, "remaining_estimate": 0}

    assert sorted(drained(sqs, office.queue_url)) == sorted(letters)
    assert office.shop.rows("SELECT actor, reason, after ->> 'limit' FROM audit WHERE action = 'events.redrive'") == [
        ("ann the operator", "the database is back", limit) for limit in ("12", "20", "20")
    ]


def test_a_redriven_event_is_taken_up_by_the_worker(office: Office, sqs: "SQSClient") -> None:
    shop = office.shop
    shop.buy("ann", "pro_monthly")
    bury(sqs, office, *(to_message(Accepted(body, shop.worker.now())) for body in shop.events()))

    redrive(office, limit=100)
    for text in drained(sqs, office.queue_url):
        apply_message(shop.worker, text)

    assert shop.check("ann", "export")["allowed"]


class Unlucky:
    """The real client, until the operation that fails."""

    def __init__(self, client: AwsClient, fails: str) -> None:
        self.client = client
        self.fails = fails

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        if operation == self.fails:
            raise AwsError("Unreachable", "cut", retryable=True)
        return self.client.call(operation, payload)


@pytest.mark.parametrize(("fails", "sent", "kept"), [("SendMessage", 0, 1), ("DeleteMessage", 1, 1)])
def test_a_letter_whose_move_is_cut_off_is_never_lost(
    office: Office, sqs: "SQSClient", fails: str, sent: int, kept: int
) -> None:
    bury(sqs, office, "letter")
    client = AwsClient(SQS, 2, office.environ)
    unlucky = cast("AwsClient", Unlucky(client, fails))

    with pytest.raises(Transient):
        queue.redrive(unlucky, office.dead_letter_queue_url, office.queue_url, limit=5, more=lambda: True)

    assert len(drained(sqs, office.queue_url)) == sent
    depth = queue.depth_of(client, office.dead_letter_queue_url)
    assert depth.waiting + depth.in_flight == kept
    client.close()


def test_a_redrive_that_has_no_time_left_begins_nothing(office: Office, sqs: "SQSClient") -> None:
    bury(sqs, office, "letter")
    client = AwsClient(SQS, 2, office.environ)
    assert queue.redrive(client, office.dead_letter_queue_url, office.queue_url, limit=5, more=lambda: False) == 0
    assert queue.depth_of(client, office.dead_letter_queue_url).waiting == 1
    client.close()


def test_a_redrive_is_done_once_under_its_idempotency_key(office: Office, sqs: "SQSClient") -> None:
    bury(sqs, office, "first")
    body = {"reason": "once"}
    answers = [office.ask("POST " + REDRIVE, body, idempotency="k")]
    bury(sqs, office, "second")
    answers.append(office.ask("POST " + REDRIVE, body, idempotency="k"))
    assert json.loads(answers[1].text) == json.loads(answers[0].text) == {"moved": 1, "remaining_estimate": 0}
    assert drained(sqs, office.queue_url) == ["first"]

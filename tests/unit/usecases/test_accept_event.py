"""What becomes of a delivery: the queue's and the secret store's answers are scripted."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from billing.domain.signing import PLACEHOLDER
from billing.errors import Transient
from billing.messages.queue import Accepted, from_message
from billing.payments.signature import BadSignature
from billing.runtime.aws import SECRETS_MANAGER, SQS, AwsClient
from billing.runtime.secrets import MIN_AGE, Secret
from billing.runtime.settings import BadSettings
from billing.usecases.accept_event import Ingress, accept_event, signing_secrets
from tests.support.scripted_http import Step, reply, scripted

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BODY = b'{"id":"evt_1"}'
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
SENT = reply(b'{"MessageId":"1"}')
DOWN = reply(b'{"__type":"ValidationException"}', 400)


class Ticks:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def stored(*secrets: str) -> Step:
    return reply(json.dumps({"SecretString": json.dumps({"secrets": secrets})}).encode())


def signed(secret: str) -> str:
    second = int(NOW.timestamp())
    return f"t={second},v1={hmac.new(secret.encode(), f'{second}.'.encode() + BODY, hashlib.sha256).hexdigest()}"


def accept(header: str, *steps: Step, aged: float = 0) -> list[bytes]:
    """Deliver once; the secret has been read `aged` seconds before. Returns the calls after that reading."""
    with scripted(*steps) as server:
        environ = {**CREDENTIALS, "AWS_ENDPOINT_URL": server.url}
        ticks = Ticks()
        secret = Secret(AwsClient(SECRETS_MANAGER, 5.0, environ), "webhook", ticks)
        secret.read()
        ticks.now += aged
        accept_event(Ingress(secret, AwsClient(SQS, 5.0, environ), "http://queue"), BODY, header, NOW)
        return server.requests[1:]


def test_a_signed_delivery_is_queued_as_it_came() -> None:
    (request,) = accept(signed("whsec_a"), stored("whsec_a"), SENT)
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"x-amz-target: AmazonSQS.SendMessage" in head
    sent = json.loads(body)
    assert sent["QueueUrl"] == "http://queue"
    assert from_message(sent["MessageBody"]) == Accepted(BODY, NOW)


def test_a_secret_rotated_since_is_found_and_the_delivery_taken() -> None:
    requests = accept(signed("whsec_b"), stored("whsec_a"), stored("whsec_b"), SENT, aged=MIN_AGE)
    assert len(requests) == 2


@pytest.mark.parametrize("aged", [0, MIN_AGE])
def test_a_forgery_is_refused_and_queues_nothing(aged: float) -> None:
    with pytest.raises(BadSignature):
        accept(signed("whsec_b"), stored("whsec_a"), stored("whsec_a"), aged=aged)


@pytest.mark.parametrize(("aged", "steps"), [(0, (DOWN,)), (MIN_AGE, (DOWN,)), (60, (DOWN,))])
def test_a_queue_or_secret_store_that_is_down_is_a_fault_of_the_moment(aged: float, steps: tuple[Step, ...]) -> None:
    header = signed("whsec_b" if aged == MIN_AGE else "whsec_a")
    with pytest.raises(Transient, match="unavailable"):
        accept(header, stored("whsec_a"), *steps, aged=aged)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"secrets": None},
        {"secrets": []},
        {"secrets": [""]},
        {"secrets": ["whsec_"]},
        {"secrets": ["plain"]},
        {"secrets": ["whsec_1", "whsec_2", "whsec_3"]},
        {"secrets": ["whsec_1", 2]},
    ],
)
def test_a_stored_value_without_one_or_two_signing_secrets_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(BadSettings, match="one or two"):
        signing_secrets(value)


def test_before_the_first_is_stored_the_deployments_placeholder_stands_in_and_fits_nothing_of_stripes() -> None:
    (placeholder,) = signing_secrets({"secrets": [], PLACEHOLDER: "r" * 32})
    assert placeholder == "whsec_" + "r" * 32


def test_a_placeholder_is_live_no_more_once_a_secret_is_stored() -> None:
    assert signing_secrets({"secrets": ["whsec_a"], PLACEHOLDER: "r" * 32}) == ["whsec_a"]


def test_one_or_two_signing_secrets_are_live() -> None:
    assert signing_secrets({"secrets": ["whsec_a"]}) == ["whsec_a"]
    assert signing_secrets({"secrets": ["whsec_a", "whsec_b"]}) == ["whsec_a", "whsec_b"]

"""The webhook function through literal gateway events, a real queue and a real secret store (FAILURES A)."""

import hashlib
import hmac
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.messages.queue import MAX_BODY, Accepted, Message, Pointer, Unreadable, from_message
from billing.runtime.aws import SECRETS_MANAGER, AwsClient, AwsError
from billing.runtime.entrypoint import Handle
from billing.runtime.secrets import MAX_AGE, MIN_AGE
from billing.runtime.settings import BadSettings
from functions.webhooks.handler import build
from tests.support.aws import sqs_client
from tests.support.faulty_dynamodb import Fault, FaultyDynamoDB, run_faulty_dynamodb
from tests.support.wire import CONTEXT, rest_event

pytestmark = pytest.mark.alone

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
ROUTE = "/api/v1/webhooks/stripe"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BODY = b'{"id":"evt_1","object":"event","type":"customer.created","canary":"canary-body"}'
CURRENT, OLD, RETIRED = "whsec_current_canary", "whsec_old_canary", "whsec_retired_canary"


def signature(body: bytes, secret: str = CURRENT, at: datetime = NOW) -> str:
    second = int(at.timestamp())
    return f"t={second},v1={hmac.new(secret.encode(), f'{second}.'.encode() + body, hashlib.sha256).hexdigest()}"


class Ticks:
    """`time.monotonic` of our own."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Hooks:
    """The function under test. Its AWS calls go through `aws_api`, which can misbehave."""

    endpoint: str
    queue_url: str
    aws_api: FaultyDynamoDB
    secret_id: str
    ticks: Ticks = field(default_factory=Ticks)
    now: datetime = NOW
    handler: Handle | None = None

    @property
    def environ(self) -> dict[str, str]:
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.aws_api.url,
            "QUEUE_URL": self.queue_url,
            "STRIPE_WEBHOOK_SECRET_ID": self.secret_id,
        }

    def keep(self, value: object, operation: str = "PutSecretValue", name: str = "SecretId") -> None:
        """Make this the stored secret, as an operator's rotation does."""
        text = value if isinstance(value, str) else json.dumps(value)
        client = AwsClient(SECRETS_MANAGER, 5.0, {**CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint})
        client.call(operation, {name: self.secret_id, "SecretString": text, "ClientRequestToken": str(uuid.uuid4())})

    def post(self, body: str | bytes = BODY, **headers: Any) -> dict[str, Any]:
        if self.handler is None:
            self.handler = build(self.environ, lambda: self.now, self.ticks)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: dict[str, Any] = self.handler(rest_event("POST", ROUTE, headers=given, body=body), CONTEXT)
        return answer

    def queued(self) -> list[Message]:
        found: list[Message] = []
        with sqs_client(self.endpoint) as client:
            while True:
                answer = client.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=60)
                if not answer.get("Messages"):
                    return found
                found += [from_message(message["Body"]) for message in answer["Messages"]]


@pytest.fixture
def hooks(aws_endpoint: str, queue_url: str) -> Iterator[Hooks]:
    with run_faulty_dynamodb(aws_endpoint) as aws_api:
        made = Hooks(aws_endpoint, queue_url, aws_api, f"webhook-{uuid.uuid4().hex[:8]}")
        made.keep({"secrets": [CURRENT]}, "CreateSecret", "Name")
        yield made


def assert_refused(answer: dict[str, Any]) -> None:
    assert answer["statusCode"] == 400
    document = json.loads(answer["body"])
    assert (document["code"], document["retryable"]) == ("invalid_signature", False)


# --- what gets in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b'{\r\n  "id": "evt_1"\r\n}',
        '{"name":"Ünï ✓ 漢字"}'.encode(),
        b"\xef\xbb\xbf{}",
        b'{"name":"\\u0000 \\ud800"}',
        b"[" * 5000,
        b"[]",
        b"null",
        b"1",
        b"",
        b'{"object":"v2.core.event"}',
    ],
)
def test_a_signed_body_is_queued_byte_for_byte_plain_or_in_base64_whatever_it_says(hooks: Hooks, body: bytes) -> None:
    for sent in (body, body.decode()):
        answer = hooks.post(sent, Stripe_Signature=signature(body))
        assert (answer["statusCode"], answer["body"]) == (200, '{"received":true}')
    assert hooks.queued() == [Accepted(body, NOW)] * 2


def test_a_signed_body_that_is_not_utf8_is_queued_byte_for_byte(hooks: Hooks) -> None:
    body = b"\xff\xfe\x00"
    assert hooks.post(body, stripe_signature=signature(body))["statusCode"] == 200
    assert hooks.queued() == [Accepted(body, NOW)]


def test_the_same_delivery_replayed_is_taken_again_each_time(hooks: Hooks) -> None:
    answers = [hooks.post(BODY, stripe_signature=signature(BODY)) for _ in range(20)]
    assert {answer["statusCode"] for answer in answers} == {200}
    assert hooks.queued() == [Accepted(BODY, NOW)] * 20


@pytest.mark.parametrize("size", [256_000, MAX_BODY, MAX_BODY + 1, 6_000_000])
def test_a_body_of_any_size_is_made_durable_whole_or_by_its_id(hooks: Hooks, size: int) -> None:
    head = b'{"id":"evt_big","data":"'
    body = head + b"x" * (size - len(head) - 2) + b'"}'
    assert hooks.post(body, stripe_signature=signature(body))["statusCode"] == 200
    expected = Accepted(body, NOW) if size <= MAX_BODY else Pointer("evt_big", NOW)
    assert hooks.queued() == [expected]


def test_a_body_too_large_for_the_queue_that_names_no_event_is_recorded_by_its_digest(hooks: Hooks) -> None:
    body = b"[" * (MAX_BODY + 1)
    assert hooks.post(body, stripe_signature=signature(body))["statusCode"] == 200
    assert hooks.queued() == [Unreadable(hashlib.sha256(body).hexdigest(), len(body), NOW)]


def test_two_signature_headers_are_read_as_one(hooks: Hooks) -> None:
    answer = hooks.post(BODY, stripe_signature=[signature(BODY, RETIRED), signature(BODY)])
    assert answer["statusCode"] == 200


# --- what stays out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        signature(BODY, "whsec_wrong"),
        signature(BODY).replace("v1=", "v0="),
        signature(BODY).partition(",")[0] + ",v1=é",
        signature(BODY, at=NOW - timedelta(seconds=301)),
        signature(BODY, at=NOW + timedelta(seconds=301)),
        signature(BODY, at=NOW + timedelta(days=3650)),
        signature(BODY + b" "),
        signature(b'{"object":"event","id":"evt_1"}'),
    ],
)
def test_a_delivery_without_a_fitting_signature_leaves_no_trace_but_a_count(
    hooks: Hooks, header: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {} if header is None else {"stripe_signature": header}
    assert_refused(hooks.post(BODY, **headers))
    assert hooks.queued() == []
    (line,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert line["BadSignature"] == 1
    assert (line["level"], line["status"]) == ("INFO", 400)
    assert "canary" not in json.dumps(line)
    assert "v1=" not in json.dumps(line)


def test_a_body_that_says_base64_and_is_not_is_refused(hooks: Hooks) -> None:
    hooks.post()
    assert hooks.handler is not None
    event = rest_event("POST", ROUTE, headers={"Stripe-Signature": signature(b"%%%")}, body="%%%")
    assert_refused(hooks.handler({**event, "isBase64Encoded": True}, CONTEXT))
    assert hooks.queued() == []


def test_a_flood_of_forgeries_reads_the_secret_once_in_five_seconds_and_touches_nothing_else(hooks: Hooks) -> None:
    hooks.post()
    hooks.aws_api.calls.clear()
    for _ in range(200):
        assert_refused(hooks.post(BODY, stripe_signature=signature(BODY, "whsec_wrong")))
        hooks.ticks.now += MIN_AGE / 100
    assert 1 <= len(hooks.aws_api.calls) <= 2
    assert {operation for operation, _ in hooks.aws_api.calls} == {"GetSecretValue"}


# --- rotation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signer", "status"), [(CURRENT, 200), (OLD, 200), (RETIRED, 400)], ids=["current", "old", "retired"]
)
def test_during_a_rotation_two_secrets_are_live(hooks: Hooks, signer: str, status: int) -> None:
    hooks.keep({"secrets": [CURRENT, OLD]})
    assert hooks.post(BODY, stripe_signature=signature(BODY, signer))["statusCode"] == status


def test_a_delivery_signed_with_both_secrets_is_taken(hooks: Hooks) -> None:
    hooks.keep({"secrets": [CURRENT, OLD]})
    both = signature(BODY, OLD) + "," + signature(BODY).partition(",")[2]
    assert hooks.post(BODY, stripe_signature=both)["statusCode"] == 200


def test_a_new_secret_is_known_at_the_first_delivery_it_signed(hooks: Hooks) -> None:
    assert hooks.post(BODY, stripe_signature=signature(BODY))["statusCode"] == 200
    hooks.keep({"secrets": ["whsec_new"]})
    hooks.ticks.now += MIN_AGE
    assert hooks.post(BODY, stripe_signature=signature(BODY, "whsec_new"))["statusCode"] == 200


def test_a_retired_secret_is_refused_within_a_minute(hooks: Hooks) -> None:
    assert hooks.post(BODY, stripe_signature=signature(BODY))["statusCode"] == 200
    hooks.keep({"secrets": ["whsec_new"]})
    hooks.ticks.now += MAX_AGE
    assert_refused(hooks.post(BODY, stripe_signature=signature(BODY)))


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["broken", "throttle", "lost"])
def test_a_queue_that_does_not_take_the_event_makes_stripe_send_it_again(hooks: Hooks, fault: Fault) -> None:
    assert hooks.post(BODY, stripe_signature=signature(BODY))["statusCode"] == 200
    hooks.aws_api.every = fault
    answer = hooks.post(BODY, stripe_signature=signature(BODY))
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"])["retryable"] is True
    hooks.aws_api.every = None
    assert hooks.post(BODY, stripe_signature=signature(BODY))["statusCode"] == 200
    # a send whose answer was lost may have arrived: the worker applies an event once
    assert set(hooks.queued()) == {Accepted(BODY, NOW)}


def test_a_secret_store_that_is_down_is_no_verdict_on_the_signature(hooks: Hooks) -> None:
    hooks.post()
    hooks.ticks.now += MAX_AGE
    hooks.aws_api.every = "broken"
    assert hooks.post(BODY, stripe_signature=signature(BODY))["statusCode"] == 503
    assert hooks.post(BODY, stripe_signature=signature(BODY, "whsec_wrong"))["statusCode"] == 503
    hooks.aws_api.every = None
    assert hooks.queued() == []


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"secrets": []},
        {"secrets": [""]},
        {"secrets": ["whsec_"]},
        {"secrets": [CURRENT, ""]},
        {"secrets": [None]},
        {"secrets": CURRENT},
        {"secrets": ["whsec_1", "whsec_2", "whsec_3"]},
        {"secret": CURRENT},
        CURRENT,
    ],
)
def test_an_unset_or_empty_secret_stops_the_cold_start(hooks: Hooks, value: object) -> None:
    hooks.keep(value)
    with pytest.raises(BadSettings) as caught:
        build(hooks.environ)
    assert "canary" not in str(caught.value)


def test_a_secret_that_does_not_exist_stops_the_cold_start(hooks: Hooks) -> None:
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        build({**hooks.environ, "STRIPE_WEBHOOK_SECRET_ID": "no-such-secret"})


def test_a_missing_setting_stops_the_cold_start(hooks: Hooks) -> None:
    with pytest.raises(BadSettings, match=r"QUEUE_URL.*STRIPE_WEBHOOK_SECRET_ID"):
        build({**hooks.environ, "QUEUE_URL": "", "STRIPE_WEBHOOK_SECRET_ID": ""})


IMPORTED = """
import json, sys
from functions.webhooks import handler
heavy = {"stripe", "psycopg", "pydantic", "boto3", "botocore", "billing.store"}
heavy |= {"dataclasses", "inspect", "http.client", "random"}  # docs/adr/0044
print(json.dumps(sorted(heavy & set(sys.modules))))
"""


def test_accepting_imports_neither_sdk_nor_database() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(ran.stdout) == []

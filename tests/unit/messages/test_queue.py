import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import Permanent, Transient
from billing.messages.queue import (
    MAX_BODY,
    Accepted,
    Pointer,
    Unreadable,
    from_message,
    message_of,
    send,
    to_message,
)
from billing.runtime.aws import SQS, AwsClient
from tests.support.scripted_http import Step, reply, scripted

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
SQS_LIMIT = 1_048_576


@given(st.binary(max_size=200))
def test_a_body_arrives_byte_for_byte(body: bytes) -> None:
    message = message_of(body, NOW)
    assert message == Accepted(body, NOW)
    assert from_message(to_message(message)) == message


def test_the_largest_body_that_travels_fits_a_message() -> None:
    text = to_message(message_of(b"\xff" * MAX_BODY, NOW))
    assert len(text.encode()) < SQS_LIMIT
    assert isinstance(from_message(text), Accepted)


def test_a_larger_event_travels_as_its_id() -> None:
    body = json.dumps({"id": "evt_1A", "data": "x" * MAX_BODY}).encode()
    message = message_of(body, NOW)
    assert message == Pointer("evt_1A", NOW)
    assert from_message(to_message(message)) == message


@pytest.mark.parametrize(
    "body",
    [
        b"x" * (MAX_BODY + 1),
        b"[" * (MAX_BODY + 1),
        b"\xff" * (MAX_BODY + 1),
        json.dumps(["evt_1", "x" * MAX_BODY]).encode(),
        json.dumps({"id": 7, "x": "x" * MAX_BODY}).encode(),
        json.dumps({"id": "cus_1", "x": "x" * MAX_BODY}).encode(),
        json.dumps({"id": "evt_1/../../x", "x": "x" * MAX_BODY}).encode(),
    ],
    ids=["garbage", "nesting", "binary", "list", "number", "other-id", "odd-id"],
)
def test_a_larger_body_that_names_no_event_leaves_its_digest(body: bytes) -> None:
    message = message_of(body, NOW)
    assert isinstance(message, Unreadable)
    assert message.size == len(body)
    assert from_message(to_message(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 5000,
        '{"v":2,"received_at":"2026-11-23T12:00:00Z","body_b64":""}',
        '{"v":1,"received_at":"2026-11-23T12:00:00","body_b64":""}',
        '{"v":1,"received_at":"2026-11-23T12:00:00Z","body_b64":"?"}',
        '{"v":1,"received_at":"2026-11-23T12:00:00Z"}',
        '{"v":1,"received_at":"2026-11-23T12:00:00Z","unreadable":null}',
    ],
)
def test_a_message_of_another_make_is_permanently_unreadable(text: str) -> None:
    with pytest.raises(Permanent, match="unknown_message"):
        from_message(text)


def test_the_envelope_is_as_agreed_with_the_worker() -> None:
    assert json.loads(to_message(Accepted(b"{}", NOW))) == {
        "v": 1,
        "received_at": "2026-11-23T12:00:00.123456Z",
        "body_b64": base64.b64encode(b"{}").decode(),
    }


@pytest.mark.parametrize(
    ("step", "fails"), [(reply(b'{"MessageId":"1"}'), False), (reply(b'{"__type":"AccessDenied"}', 403), True)]
)
def test_a_send_that_was_not_confirmed_is_a_fault(step: Step, fails: bool) -> None:
    with scripted(step) as server:
        environ = {"AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        client = AwsClient(SQS, 5.0, {**environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
        if fails:
            with pytest.raises(Transient, match="unavailable"):
                send(client, "http://queue", Accepted(b"{}", NOW))
        else:
            send(client, "http://queue", Accepted(b"{}", NOW))

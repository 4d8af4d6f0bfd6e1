import json
import time

import pytest

from billing.runtime.aws import ATTEMPTS, DYNAMODB, AwsClient, AwsError
from billing.runtime.settings import BadSettings
from tests.support.scripted_http import ScriptedServer, drip, hang_up, reply, scripted, silence

THROTTLED = b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slower"}'


def client_of(server: ScriptedServer, timeout: float = 5.0, **more: str) -> AwsClient:
    environ = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        **more,
    }
    return AwsClient(DYNAMODB, timeout, environ)


def test_calls_share_one_connection() -> None:
    with scripted(reply(b'{"a":1}'), reply(b'{"a":2}')) as server:
        client = client_of(server)
        assert [client.call("GetItem", {})["a"] for _ in range(2)] == [1, 2]
        assert server.connections == 1
        client.close()


def test_an_idle_connection_that_the_server_closed_is_replaced_unnoticed() -> None:
    with scripted(reply(b"{}", keep=False), reply(b'{"a":2}')) as server:
        client = client_of(server)
        client.call("GetItem", {})
        assert client.call("GetItem", {}) == {"a": 2}
        assert (server.connections, len(server.requests)) == (2, 2)
        client.close()


def test_a_kept_connection_that_breaks_before_any_byte_is_tried_once_more_at_once() -> None:
    with scripted(reply(b"{}"), hang_up(), reply(b'{"a":2}')) as server:
        client = client_of(server)
        client.call("GetItem", {})
        assert client.call("GetItem", {}) == {"a": 2}
        assert server.connections == 2
        client.close()


def test_an_answer_that_breaks_off_is_an_error_and_the_connection_is_not_used_again() -> None:
    broken = hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    with scripted(broken, broken, broken, reply(b'{"a":1}')) as server:
        client = client_of(server)
        with pytest.raises(AwsError) as caught:
            client.call("GetItem", {})
        assert (caught.value.code, caught.value.retryable) == ("Unreachable", True)
        assert len(server.requests) == ATTEMPTS
        assert client.call("GetItem", {}) == {"a": 1}
        client.close()


@pytest.mark.parametrize(
    "step", [silence(), drip(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", every=0.03)], ids=["silent", "dripping"]
)
def test_a_slow_server_costs_no_more_than_the_time_limit(step: object) -> None:
    with scripted(step) as server:  # type: ignore[arg-type]  # parametrize loses the type
        client = client_of(server, timeout=0.15)
        started = time.monotonic()
        with pytest.raises(AwsError, match="did not answer in time"):
            client.call("GetItem", {})
        assert time.monotonic() - started < 0.5
        client.close()


def test_throttling_is_tried_again_within_the_time() -> None:
    with scripted(reply(THROTTLED, 400), reply(b'{"__type":"InternalServerError"}', 500), reply(b'{"a":1}')) as server:
        client = client_of(server)
        assert client.call("GetItem", {}) == {"a": 1}
        client.close()


def test_throttling_that_lasts_is_reported_as_what_it_is() -> None:
    with scripted(*[reply(THROTTLED, 400)] * ATTEMPTS) as server:
        client = client_of(server)
        with pytest.raises(AwsError) as caught:
            client.call("GetItem", {})
        assert caught.value.code == "ProvisionedThroughputExceededException"
        assert caught.value.retryable
        client.close()


def test_a_refusal_is_not_tried_again_and_carries_its_document() -> None:
    refusal = {"__type": "x#ConditionalCheckFailedException", "message": "no", "Item": {"v": {"N": "3"}}}
    with scripted(reply(json.dumps(refusal).encode(), 400)) as server:
        client = client_of(server)
        with pytest.raises(AwsError) as caught:
            client.call("PutItem", {})
        assert (caught.value.code, caught.value.retryable) == ("ConditionalCheckFailedException", False)
        assert caught.value.document["Item"] == {"v": {"N": "3"}}
        assert len(server.requests) == 1
        client.close()


@pytest.mark.parametrize(("body", "status"), [(b"<html>", 200), (b"[]", 200), (b"<html>", 404)])
def test_an_answer_that_is_no_json_object_is_unreadable(body: bytes, status: int) -> None:
    with scripted(reply(body, status)) as server:
        client = client_of(server)
        with pytest.raises(AwsError) as caught:
            client.call("GetItem", {})
        assert (caught.value.code, caught.value.retryable) == ("Unreadable", False)
        client.close()


def test_credentials_are_read_at_every_call() -> None:
    with scripted(reply(b"{}"), reply(b"{}")) as server:
        environ = {"AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "OLD"}
        environ |= {"AWS_SECRET_ACCESS_KEY": "old"}
        client = AwsClient(DYNAMODB, 5.0, environ)
        client.call("GetItem", {})
        environ |= {"AWS_ACCESS_KEY_ID": "NEW", "AWS_SECRET_ACCESS_KEY": "new", "AWS_SESSION_TOKEN": "token"}
        client.call("GetItem", {})
        first, second = server.requests
        assert b"Credential=OLD/" in first
        assert b"x-amz-security-token" not in first
        assert b"Credential=NEW/" in second
        assert b"x-amz-security-token: token" in second
        client.close()


def test_without_credentials_the_error_says_what_to_set() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1"}
    with pytest.raises(AwsError, match="AWS_ACCESS_KEY_ID"):
        AwsClient(DYNAMODB, 1.0, environ).call("GetItem", {})


@pytest.mark.parametrize("environ", [{}, {"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "127.0.0.1:4566"}])
def test_a_client_without_region_or_with_a_garbled_endpoint_stops_the_cold_start(environ: dict[str, str]) -> None:
    with pytest.raises(BadSettings, match="AWS_"):
        AwsClient(DYNAMODB, 1.0, environ)


def test_secrets_are_not_in_its_repr() -> None:
    client = AwsClient(DYNAMODB, 1.0, {"AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "canary"})
    assert "canary" not in repr(client)

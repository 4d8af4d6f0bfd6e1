import json
from datetime import UTC, datetime, timedelta

import pytest

from billing.runtime.aws import DYNAMODB, AwsClient, AwsError
from billing.runtime.credentials import EARLY, credentials_of
from billing.runtime.sigv4 import Credentials
from tests.support.scripted_http import ScriptedServer, Step, hang_up, reply, scripted


def given(access_key: str, expires: datetime) -> Step:
    document = {
        "AccessKeyId": access_key,
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": expires.isoformat().replace("+00:00", "Z"),
    }
    return reply(json.dumps(document).encode(), keep=False)


def snapshot(server: ScriptedServer) -> dict[str, str]:
    """What Lambda sets for a function that begins from a snapshot: no keys."""
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/2021-04-23/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "password",
        "AWS_REGION": "eu-central-1",
    }


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_without_keys_they_are_asked_for_at_the_endpoint_with_its_password() -> None:
    with scripted(given("ASIAONE", soon(3600))) as server:
        assert credentials_of(snapshot(server)) == Credentials("ASIAONE", "secret", "token")
        (request,) = server.requests
    assert request.startswith(b"GET /2021-04-23/credentials HTTP/1.1")
    assert b"Authorization: password" in request


def test_keys_in_the_environment_come_first() -> None:
    with scripted() as server:
        keys = {**snapshot(server), "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "own"}
        assert credentials_of(keys) == Credentials("AKIA", "own")
        assert server.requests == []


def test_they_are_kept_while_they_are_good() -> None:
    with scripted(given("ASIAONE", soon(EARLY + 60))) as server:
        assert credentials_of(snapshot(server)) == credentials_of(snapshot(server))
        assert len(server.requests) == 1


def test_those_that_expire_soon_are_asked_for_anew() -> None:
    with scripted(given("ASIAOLD", soon(EARLY - 1)), given("ASIANEW", soon(3600))) as server:
        seen = [credentials_of(snapshot(server)) for _ in range(2)]
    assert [each.access_key for each in seen if each] == ["ASIAOLD", "ASIANEW"]


def test_a_client_signs_with_them() -> None:
    with scripted(given("ASIAONE", soon(3600))) as lambda_, scripted(reply(b"{}")) as server:
        client = AwsClient(DYNAMODB, 5.0, {**snapshot(lambda_), "AWS_ENDPOINT_URL": server.url})
        client.call("GetItem", {})
        assert b"Credential=ASIAONE/" in server.requests[0]
        client.close()


@pytest.mark.parametrize("answer", [reply(b"{}", keep=False), reply(b"no JSON", keep=False), hang_up()])
def test_an_endpoint_that_gives_none_is_a_fault_of_the_moment(answer: Step) -> None:
    with scripted(answer, answer, answer) as lambda_, pytest.raises(AwsError) as caught:
        AwsClient(DYNAMODB, 5.0, {**snapshot(lambda_), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}).call("GetItem", {})
    assert (caught.value.code, caught.value.retryable) == ("Unreachable", True)

import json

import pytest

from billing.runtime.aws import SECRETS_MANAGER, AwsClient, AwsError
from billing.runtime.secrets import MAX_AGE, MIN_AGE, Secret
from billing.runtime.settings import BadSettings
from tests.support.scripted_http import ScriptedServer, Step, reply, scripted


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def stored(value: str) -> Step:
    return reply(json.dumps({"SecretString": value}).encode())


def client_of(server: ScriptedServer) -> AwsClient:
    environ = {"AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1"}
    return AwsClient(SECRETS_MANAGER, 5.0, environ | {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"})


def test_a_secret_is_read_once_a_minute() -> None:
    clock = Clock()
    with scripted(stored('{"a":1}'), stored('{"a":2}')) as server:
        client = client_of(server)
        secret = Secret(client, "name", clock)
        assert secret.read() == {"a": 1}
        clock.now += MAX_AGE - 0.1
        assert secret.read() == {"a": 1}
        clock.now += 0.1
        assert secret.read() == {"a": 2}
        client.close()


def test_rereading_finds_a_rotation_before_the_minute_is_over() -> None:
    clock = Clock()
    with scripted(stored('{"a":1}'), stored('{"a":2}')) as server:
        client = client_of(server)
        secret = Secret(client, "name", clock)
        secret.read()
        clock.now += MIN_AGE
        assert secret.reread() == {"a": 2}
        assert secret.read() == {"a": 2}
        client.close()


def test_rereading_what_has_not_changed_finds_nothing() -> None:
    clock = Clock()
    with scripted(stored('{"a":1}'), stored('{"a":1}')) as server:
        client = client_of(server)
        secret = Secret(client, "name", clock)
        secret.read()
        clock.now += MIN_AGE
        assert secret.reread() is None
        client.close()


def test_a_flood_of_failures_rereads_once_in_five_seconds() -> None:
    clock = Clock()
    with scripted(stored('{"a":1}'), stored('{"a":1}')) as server:
        client = client_of(server)
        secret = Secret(client, "name", clock)
        for _ in range(1000):
            secret.reread()
            clock.now += 0.006
        assert len(server.requests) == 2
        client.close()


@pytest.mark.parametrize("value", ["whsec_plain", "[]", ""])
def test_a_value_that_is_no_json_object_is_named_and_not_shown(value: str) -> None:
    with scripted(stored(value)) as server:
        client = client_of(server)
        with pytest.raises(BadSettings, match="the secret name holds no JSON object") as caught:
            Secret(client, "name").read()
        assert "whsec_plain" not in str(caught.value)
        client.close()


def test_a_secret_that_cannot_be_read_is_an_error() -> None:
    with scripted(reply(b'{"__type":"ResourceNotFoundException","message":"none"}', 400)) as server:
        client = client_of(server)
        with pytest.raises(AwsError, match="ResourceNotFoundException"):
            Secret(client, "name").read()
        client.close()


def test_what_replaces_a_value_is_read_next_though_the_minute_is_not_over() -> None:
    with scripted(stored('{"a":1}'), reply(b"{}"), stored('{"a":2}')) as server:
        client = client_of(server)
        secret = Secret(client, "name", Clock())
        secret.read()
        secret.replace({"a": 2})
        assert secret.read() == {"a": 2}
        sent = json.loads(server.requests[1].partition(b"\r\n\r\n")[2])
        assert (sent["SecretId"], sent["SecretString"]) == ("name", '{"a": 2}')
        assert len(sent["ClientRequestToken"]) >= 32  # AWS's own clients make one, and it asks for it
        client.close()


def test_the_latest_value_is_asked_for_each_time() -> None:
    with scripted(stored('{"a":1}'), stored('{"a":2}')) as server:
        client = client_of(server)
        secret = Secret(client, "name", Clock())
        assert [secret.latest(), secret.latest()] == [{"a": 1}, {"a": 2}]
        client.close()

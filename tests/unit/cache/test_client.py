"""What the adapter asks of DynamoDB and makes of its answers; the answers are scripted."""

import json
from typing import Any

import pytest

from billing.cache.client import Client, Pass, batch_get, claim, connect, put_if_newer, raise_fence
from billing.errors import Transient
from billing.runtime.breaker import Breaker
from tests.support.scripted_http import ScriptedServer, Step, reply, scripted

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
DOWN = reply(b'{"__type":"ValidationException"}', 400)
ONE = {"pk": {"S": "one"}, "v": {"N": "1"}}


def table(server: ScriptedServer, timeout: float = 5.0) -> Client:
    opened = connect("table", Breaker(), {**CREDENTIALS, "AWS_ENDPOINT_URL": server.url})
    return opened._replace(read_timeout=timeout, write_timeout=timeout)


def answer(document: dict[str, Any], status: int = 200) -> Step:
    return reply(json.dumps(document).encode(), status)


def asked(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def test_what_was_left_unprocessed_is_asked_for_again() -> None:
    rest = {"table": {"Keys": [{"pk": {"S": "two"}}], "ConsistentRead": True}}
    two = {"pk": {"S": "two"}}
    with scripted(
        answer({"Responses": {"table": [ONE]}, "UnprocessedKeys": rest}), answer({"Responses": {"table": [two]}})
    ) as server:
        assert batch_get(table(server), ("one", "two")) == {"one": ONE, "two": two}
        assert asked(server)[1] == {"RequestItems": rest}


def test_keys_that_stay_unprocessed_are_a_fault_that_opens_the_breaker() -> None:
    rest = {"table": {"Keys": [{"pk": {"S": "one"}}]}}
    with scripted(*[answer({"Responses": {}, "UnprocessedKeys": rest})] * 50) as server:
        client = table(server, timeout=0.1)
        with pytest.raises(Transient):
            batch_get(client, ("one",))
        assert client.breaker is not None
        assert not client.breaker.closed


def test_a_put_names_the_versions_it_may_replace() -> None:
    with scripted(reply(b"{}"), reply(b"{}")) as server:
        for or_equal in (False, True):
            assert put_if_newer(table(server), ONE, or_equal=or_equal) is None
        conditions = [request["ConditionExpression"] for request in asked(server)]
        assert conditions == ["attribute_not_exists(pk) OR v < :v", "attribute_not_exists(pk) OR v <= :v"]


def test_a_put_before_a_fence_names_what_opens_it() -> None:
    with scripted(reply(b"{}")) as server:
        put_if_newer(table(server), ONE, or_equal=False, fence_pass=Pass(change=7, read_at=1_000))
        (request,) = asked(server)
        assert request["ConditionExpression"] == (
            "(attribute_not_exists(pk) OR v < :v) AND (attribute_not_exists(w) OR wn <= :change OR w <= :read)"
        )
        assert request["ExpressionAttributeValues"] == {":v": {"N": "1"}, ":change": {"N": "7"}, ":read": {"N": "1000"}}


def test_a_fence_keeps_the_version_and_takes_the_codec() -> None:
    refused = answer({"__type": "ConditionalCheckFailedException"}, 400)
    with scripted(reply(b"{}"), refused) as server:
        raised = [raise_fence(table(server), "one", "0", 7, 60_000, 5) for _ in range(2)]
        assert raised == [True, False]
        assert "#v = if_not_exists(#v, :never)" in asked(server)[0]["UpdateExpression"]
        assert asked(server)[0]["ExpressionAttributeValues"][":codec"] == {"N": "0"}


def test_a_refused_put_gives_the_item_that_is_there() -> None:
    newer = {"pk": {"S": "one"}, "v": {"N": "2"}}
    with scripted(answer({"__type": "x#ConditionalCheckFailedException", "Item": newer}, 400)) as server:
        client = table(server)
        assert put_if_newer(client, ONE, or_equal=True) == newer
        assert client.breaker is not None
        assert client.breaker.closed


def test_a_claim_is_won_or_lost() -> None:
    with scripted(reply(b"{}"), answer({"__type": "ConditionalCheckFailedException"}, 400)) as server:
        client = table(server)
        assert [claim(client, "one", 1, 2, 3) for _ in range(2)] == [True, False]
        values = asked(server)[0]["ExpressionAttributeValues"]
        assert values == {":f": {"N": "1"}, ":now": {"N": "2"}, ":until": {"N": "3"}}


def test_after_a_fault_neither_reads_nor_puts_are_tried() -> None:
    with scripted(DOWN) as server:
        client = table(server)
        for attempt in (
            lambda: batch_get(client, ("one",)),
            lambda: batch_get(client, ("one",)),
            lambda: put_if_newer(client, ONE, or_equal=True),
        ):
            with pytest.raises(Transient):
                attempt()
        assert len(server.requests) == 1

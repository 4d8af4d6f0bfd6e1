"""The DynamoDB table: time limits and faults, so that callers see items or Transient."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from billing.errors import Transient
from billing.runtime.aws import DYNAMODB, AwsClient, AwsError
from billing.runtime.breaker import Breaker
from billing.runtime.pause import spread

Item = Mapping[str, Any]
"""An item as DynamoDB writes it: attribute → {type: value}."""

READ_TIMEOUT = 0.15
"""Seconds for a whole read, retries included: slower than that, PostgreSQL answers."""

LAST_TIMEOUT = 1.0
"""Seconds for a read when PostgreSQL cannot answer either: late is better than not at all."""

WRITE_TIMEOUT = 2.0
"""Seconds for a whole put."""

_FIRST_PAUSE = 0.005
_FENCE_TTL = 86_400  # seconds past its end: DynamoDB never deletes a fence that stands
_MOST_KEYS = 100  # of one BatchGetItem: DynamoDB's own limit


class Client(NamedTuple):
    """The one table (key attribute `pk`), over one connection; not shared between threads. Times are in seconds.

    A reader's client has a `breaker`: after a fault it refuses reads and puts at once, so that PostgreSQL answers
    without waiting for DynamoDB again. A writer's has none: it must publish, or fail and be tried again.
    """

    aws: AwsClient
    table: str
    breaker: Breaker | None = None
    read_timeout: float = READ_TIMEOUT
    write_timeout: float = WRITE_TIMEOUT


def connect(table: str, breaker: Breaker | None = None, environ: Mapping[str, str] = os.environ) -> Client:
    """The table, by the environment's endpoint, region and credentials. The first call opens the connection."""
    return Client(AwsClient(DYNAMODB, WRITE_TIMEOUT, environ), table, breaker)


def patient(client: Client) -> Client:
    """The same table for a last try: it asks though the last read failed, and waits."""
    return client._replace(breaker=None, read_timeout=LAST_TIMEOUT)


def batch_get(client: Client, pks: Sequence[str], projection: str = "") -> dict[str, Item]:
    """The items that exist, by pk, read consistently: each 100 distinct pks are one round trip.

    `projection` is what `projected` gave. An absent pk has no item: a throttled read is not absence. `UnprocessedKeys`
    are asked for again until the time is over. Raises Transient.
    """
    deadline = time.monotonic() + client.read_timeout
    found: dict[str, Item] = {}
    for start in range(0, len(pks), _MOST_KEYS):
        keys = ",".join([f'{{"pk":{{"S":{json.dumps(pk)}}}}}' for pk in pks[start : start + _MOST_KEYS]])
        request = f'{{{json.dumps(client.table)}:{{"Keys":[{keys}],"ConsistentRead":true{projection}}}}}'
        found |= _batch(client, request, deadline)
    return found


def projected(expression: str, names: Mapping[str, str]) -> str:
    """Attributes to read, as members of a request's JSON: what is the same in every request is written once."""
    members = {"ProjectionExpression": expression, "ExpressionAttributeNames": names}
    return "," + json.dumps(members, separators=(",", ":"))[1:-1]


def _batch(client: Client, request: str, deadline: float) -> dict[str, Item]:
    asked, pause = request, _FIRST_PAUSE
    found: dict[str, Item] = {}
    while asked:
        answer = _call(client, "BatchGetItem", f'{{"RequestItems":{asked}}}', deadline - time.monotonic())
        for item in answer.get("Responses", {}).get(client.table, ()):
            found[item["pk"]["S"]] = item
        unread = answer.get("UnprocessedKeys")
        asked = json.dumps(unread) if unread else ""
        if asked:
            pause = _wait(client, pause, deadline)
    return found


class Pass(NamedTuple):
    """What opens a fence to a put: its state has the change that is waited for, or was read after the fence's end.

    `change` counts the customer's changes in the state; `read_at` is before it was read, in milliseconds.
    """

    change: int
    read_at: int


def put_if_newer(client: Client, item: Item, *, or_equal: bool, fence_pass: Pass | None = None) -> Item | None:
    """Put, unless the table holds a newer `v` (or, without `or_equal`, the same). None: put; else the item found there.

    With a `fence_pass`, unless a fence stands that it does not open. Safe to repeat after a lost answer. Raises
    Transient.
    """
    condition, values = f"attribute_not_exists(pk) OR v {'<=' if or_equal else '<'} :v", {":v": item["v"]}
    if fence_pass is not None:
        condition = f"({condition}) AND (attribute_not_exists(w) OR wn <= :change OR w <= :read)"
        values |= {":change": _number(fence_pass.change), ":read": _number(fence_pass.read_at)}
    request = {
        "TableName": client.table,
        "Item": item,
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    try:
        _call(client, "PutItem", request, client.write_timeout)
    except _Refused as refused:
        return refused.item
    return None


def claim(client: Client, pk: str, fresh_until: int, now: int, until: int) -> bool:
    """Claim the refilling of an item that is fresh until `fresh_until`, so that a crowd of readers refills it once.

    Times are milliseconds. False: another reader's claim is not over at `now`, or the item has changed meanwhile.
    Any put ends the claim. Raises Transient.
    """
    request = {
        "TableName": client.table,
        "Key": {"pk": {"S": pk}},
        "UpdateExpression": "SET #l = :until",
        "ConditionExpression": "#f = :f AND (attribute_not_exists(#l) OR #l <= :now)",
        "ExpressionAttributeNames": {"#f": "f", "#l": "l"},
        "ExpressionAttributeValues": {":f": _number(fresh_until), ":now": _number(now), ":until": _number(until)},
    }
    try:
        _call(client, "UpdateItem", request, client.read_timeout)
    except _Refused:
        return False
    return True


def raise_fence(client: Client, pk: str, codec: str, change: int, until: int, timeout: float) -> bool:
    """Make the item, there or not, unreadable by `codec` until a put passes: of this `change`, or read after `until`.

    `until` is in milliseconds, `timeout` in seconds. False: a later fence stands. Raises Transient.
    """
    request = {
        "TableName": client.table,
        "Key": {"pk": {"S": pk}},
        "UpdateExpression": "SET #c = :codec, #w = :until, #n = :change, #v = if_not_exists(#v, :never), #ttl = :ttl",
        "ConditionExpression": "attribute_not_exists(#w) OR (#n <= :change AND #w <= :until)",
        "ExpressionAttributeNames": {"#c": "c", "#w": "w", "#n": "wn", "#v": "v", "#ttl": "ttl"},
        "ExpressionAttributeValues": {
            ":codec": {"N": codec},
            ":until": _number(until),
            ":change": _number(change),
            ":never": _number(-1),
            ":ttl": _number(until // 1000 + _FENCE_TTL),
        },
    }
    try:
        _call(client, "UpdateItem", request, timeout)
    except _Refused:
        return False
    return True


def scan(client: Client, after: str | None, limit: int) -> tuple[list[Item], str | None]:
    """A part of all items, read consistently: up to `limit` (fewer where they are large) behind the pk `after`.

    With the pk to go on behind, None at the end; the order is DynamoDB's own. Raises Transient.
    """
    request: dict[str, Any] = {"TableName": client.table, "Limit": limit, "ConsistentRead": True}
    if after is not None:
        request["ExclusiveStartKey"] = {"pk": {"S": after}}
    answer = _call(client, "Scan", request, client.write_timeout)
    last = answer.get("LastEvaluatedKey")
    return answer["Items"], None if last is None else last["pk"]["S"]


def put_instead(client: Client, item: Item, seen: Item) -> bool:
    """Put, whatever its version, where the table still holds what was seen there. False: it has changed meanwhile.

    Only for an item that `put_if_newer` could not replace. Publish the state anew afterwards: who published meanwhile
    was refused. Raises Transient.
    """
    return _instead(client, "PutItem", {"Item": item}, seen)


def delete_instead(client: Client, seen: Item) -> bool:
    """Delete by the rules of `put_instead`."""
    return _instead(client, "DeleteItem", {"Key": {"pk": seen["pk"]}}, seen)


def _instead(client: Client, operation: str, what: Mapping[str, Any], seen: Item) -> bool:
    """Any put changes the version or the freshness, and a fence is one of its own."""
    places = [(f"#{name}", f":{name}", name) for name in ("v", "f", "w")]
    condition = [
        f"{alias} = {value}" if name in seen else f"attribute_not_exists({alias})" for alias, value, name in places
    ]
    request = {
        "TableName": client.table,
        **what,
        "ConditionExpression": " AND ".join(["attribute_exists(pk)", *condition]),
        "ExpressionAttributeNames": {alias: name for alias, _, name in places},
    }
    values = {value: seen[name] for _, value, name in places if name in seen}
    try:
        _call(
            client, operation, request | ({"ExpressionAttributeValues": values} if values else {}), client.write_timeout
        )
    except _Refused:
        return False
    return True


class _Refused(Exception):
    """The condition did not hold; `item` is what the table has."""

    def __init__(self, item: Item) -> None:
        super().__init__("the condition did not hold")
        self.item = item


def _call(client: Client, operation: str, payload: Mapping[str, Any] | str, timeout: float) -> dict[str, Any]:
    breaker = client.breaker
    if breaker is not None and not breaker.closed:
        raise _unavailable()
    try:
        answer = client.aws.call(operation, payload, timeout=timeout)
    except AwsError as error:
        if error.code == "ConditionalCheckFailedException":
            raise _Refused(error.document.get("Item") or {}) from error
        raise _failed(client) from error
    if breaker is not None and not answer.get("UnprocessedKeys"):
        breaker.succeeded()
    return answer


def _wait(client: Client, pause: float, deadline: float) -> float:
    """Sleep about `pause` seconds; the next pause is twice as long. Transient when there is no time for it."""
    if time.monotonic() + pause >= deadline:
        raise _failed(client)
    time.sleep(spread(pause / 2, pause))
    return pause * 2


def _failed(client: Client) -> Transient:
    if client.breaker is not None:
        client.breaker.failed()
    return _unavailable()


def _unavailable() -> Transient:
    return Transient("unavailable", "The cache did not answer in time. Try again.")


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}

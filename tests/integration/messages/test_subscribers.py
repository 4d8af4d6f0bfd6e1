"""A subscriber hears of every change over the bus: a rule sends it to their queue (MiniStack's EventBridge and SQS)."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any

import jsonschema_rs
import pytest

from billing.messages.bus import MAX_DETAIL, Bus, announce_change
from billing.store.connection import transaction
from billing.store.holdings import record_change
from billing.usecases.publish_outbox import Publisher, publish_customer
from infra.event_schema import schema
from tests.support.aws import SESSION, sqs_client
from tests.support.world import START, World, make_world

NOW = START + timedelta(days=1)
DEADLINE = 10.0
"""Seconds an event may take from the bus to the queue."""

Heard = Callable[[], dict[str, Any]]


@pytest.fixture
def world(publisher: Publisher) -> World:
    return make_world(publisher.database_url)


@pytest.fixture
def own_bus(aws_endpoint: str, bus: Bus) -> Iterator[Bus]:
    """A bus of this test's own."""
    events = SESSION.client("events", endpoint_url=aws_endpoint)
    name = f"bus-{uuid.uuid4().hex[:8]}"
    events.create_event_bus(Name=name)
    yield replace(bus, name=name)
    events.delete_event_bus(Name=name)
    events.close()


@pytest.fixture
def heard(own_bus: Bus, aws_endpoint: str, queue_url: str) -> Iterator[Heard]:
    """The next event in the queue of a subscriber to the changes of project `notes`."""
    events = SESSION.client("events", endpoint_url=aws_endpoint)
    pattern = {"source": ["billing"], "detail-type": ["entitlements.changed"], "detail": {"project_id": ["notes"]}}
    events.put_rule(Name="notes", EventBusName=own_bus.name, EventPattern=json.dumps(pattern))
    with sqs_client(aws_endpoint) as sqs:
        asked = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        events.put_targets(Rule="notes", EventBusName=own_bus.name, Targets=[{"Id": "queue", "Arn": arn}])

        def receive() -> dict[str, Any]:
            deadline = monotonic() + DEADLINE
            while monotonic() < deadline:
                for message in sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1).get("Messages", []):
                    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                    event: dict[str, Any] = json.loads(message["Body"])
                    return event
            raise AssertionError(f"no event came within {DEADLINE} s")

        yield receive
    events.remove_targets(Rule="notes", EventBusName=own_bus.name, Ids=["queue"])
    events.delete_rule(Name="notes", EventBusName=own_bus.name)
    events.close()


def test_a_subscriber_hears_who_may_do_what_since_when_and_why(
    world: World, publisher: Publisher, own_bus: Bus, heard: Heard
) -> None:
    publish_customer(replace(publisher, bus=own_bus), world.subscribe("ann", quantity=3), NOW)

    event = heard()

    jsonschema_rs.validate(schema(), event["detail"])
    assert (event["source"], event["detail-type"]) == ("billing", "entitlements.changed")
    detail = event["detail"]
    assert (detail["project_id"], detail["user_id"], detail["version"]) == ("notes", "ann", 2)
    assert {held["feature"]: held["value"] for held in detail["entitlements"]} == {"export": True, "seats": 6}
    assert detail["cause"] == {"kind": "event", "id": "evt_1"}


def test_a_subscriber_hears_of_losing_everything(
    world: World, publisher: Publisher, own_bus: Bus, heard: Heard
) -> None:
    publisher = replace(publisher, bus=own_bus)
    customer_id = world.subscribe("ann")
    publish_customer(publisher, customer_id, NOW)
    before = heard()["detail"]
    with transaction(world.database_url) as connection:
        connection.execute("DELETE FROM subscription_items")
        record_change(connection, customer_id, cause_kind="run", cause_id="run_1", now=NOW)

    publish_customer(publisher, customer_id, NOW)

    detail = heard()["detail"]
    jsonschema_rs.validate(schema(), detail)
    assert (detail["entitlements"], detail["version"]) == ([], before["version"] + 1)


def test_a_snapshot_too_large_for_an_event_is_heard_as_a_pointer(own_bus: Bus, heard: Heard) -> None:
    held: dict[str, Any] = {
        "feature": "theme",
        "type": "config",
        "value": "x" * MAX_DETAIL,
        "valid_to": None,
        "sources": [],
    }
    snapshot = {
        "project_id": "notes",
        "user_id": "ann",
        "version": 7,
        "as_of": "2026-03-01T00:00:00Z",
        "entitlements": [held],
        "stale": False,
    }

    announce_change(own_bus, snapshot, ("grant", "grant_1"))

    detail = heard()["detail"]
    jsonschema_rs.validate(schema(), detail)
    assert (detail["truncated"], detail["entitlements"], detail["version"]) == (True, [], 7)

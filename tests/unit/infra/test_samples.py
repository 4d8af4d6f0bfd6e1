"""The sample events in `events/`: literal, current, and for routes and messages that exist."""

import json
from pathlib import Path
from typing import Any

import pytest

from billing.messages.queue import Accepted, from_message
from billing.payments.client import API_VERSION
from billing.payments.events import parse_event, read
from infra.local.package import REPOSITORY
from infra.routes import ROUTES

SAMPLES = REPOSITORY / "events"


def samples(folder: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted((SAMPLES / folder).glob("*.json"))]


def content(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_every_route_has_a_sample() -> None:
    sampled = {(event["httpMethod"], event["resource"]) for event in map(content, (SAMPLES / "http").glob("*.json"))}
    assert sampled == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("path", samples("http"))
def test_an_http_sample_tells_each_header_and_parameter_both_ways(path: Path) -> None:
    event = content(path)
    assert event["multiValueHeaders"] == {name: [value] for name, value in event["headers"].items()}
    query = event["queryStringParameters"]
    assert event["multiValueQueryStringParameters"] == (query and {name: [value] for name, value in query.items()})
    assert event["path"] == event["resource"].replace("+}", "}").format(**(event["pathParameters"] or {}))


@pytest.mark.parametrize("path", samples("sqs"))
def test_a_queue_sample_holds_messages_the_worker_understands(path: Path) -> None:
    for record in content(path)["Records"]:
        message = from_message(record["body"])
        assert isinstance(message, Accepted)
        assert parse_event(message.body).type == path.stem


@pytest.mark.parametrize("path", samples("stripe"))
def test_a_stripe_sample_is_of_the_pinned_version_and_its_own_type(path: Path) -> None:
    event = parse_event(path.read_bytes())
    assert (event.type, event.api_version) == (path.stem, API_VERSION)
    assert read(event) is not None

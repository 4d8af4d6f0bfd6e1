"""The minute's sweep, called as the schedule calls it."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from billing.cache import client, entitlements
from billing.domain import keys
from billing.store.connection import close
from functions.outbox.handler import build
from tests.support.world import START, World, make_world

CONTEXT = SimpleNamespace(aws_request_id="req-1")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    yield make_world(database_url)
    close(database_url)


@pytest.fixture
def environ(world: World, aws_endpoint: str, table_name: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws_endpoint,
        "DATABASE_URL": world.database_url,
        "TABLE_NAME": table_name,
        "EVENT_BUS_NAME": "default",
    }


def test_what_a_crash_left_unpublished_is_in_the_cache_after_the_sweep(world: World, environ: dict[str, str]) -> None:
    world.subscribe("ann")

    assert build(environ, lambda: START)({}, CONTEXT) == {"paid": 1, "unpaid": 0}

    cache = client.connect(environ["TABLE_NAME"], environ=environ)
    item = entitlements.read_snapshot(cache, keys.tag("notes"), "ann")
    cache.aws.close()
    assert item is not None
    assert '"feature":"export"' in item.body


def test_where_the_cache_is_down_the_debts_stay_and_are_counted(world: World, environ: dict[str, str]) -> None:
    world.subscribe("ann")

    assert build(environ | {"TABLE_NAME": "no-such-table"}, lambda: START)({}, CONTEXT) == {"paid": 0, "unpaid": 1}
    assert world.debts() == 1

"""The minute's sweep, called as the schedule calls it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest

from billing.cache import client, entitlements
from billing.domain import keys
from billing.store import audit
from billing.store.audit import Act
from billing.store.connection import close, transaction
from functions.outbox.handler import build
from tests.support.world import START, World, make_world

pytestmark = pytest.mark.alone

CONTEXT = SimpleNamespace(aws_request_id="req-1", get_remaining_time_in_millis=lambda: 30_000)


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


def test_the_heads_of_the_audit_are_logged_once_an_hour(
    world: World, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    act = Act("notes", "ada", None, "test.act", "x", None, None, None, "req")
    with transaction(world.database_url) as connection:
        audit.append(connection, act, START)
        head = audit.heads(connection)["notes"]

    clock = iter(START + timedelta(minutes=minute) for minute in (0, 1, 59, 60))
    handle = build(environ, lambda: next(clock))
    for _ in range(4):
        handle({}, CONTEXT)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [line for line in lines if line["message"] == "audit_head"]
    assert [(line["project_id"], line["head"]) for line in told] == [("notes", f"1:{head.hash.hex()}")] * 2


def test_the_backlog_is_a_metric(world: World, environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    world.subscribe("ann")

    build(environ | {"TABLE_NAME": "no-such-table"}, lambda: START)({}, CONTEXT)

    [line] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["OutboxBacklog"], line["OutboxTried"], line["OutboxUnpublished"]) == (1, 1, 1)
    units = {metric["Name"]: metric["Unit"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert (units["OutboxBacklog"], units["OutboxOldestSeconds"]) == ("Count", "Seconds")


def test_how_the_business_stands_is_measured_once_an_hour(
    world: World, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.subscribe("ann")
    clock = iter(START + timedelta(minutes=minute) for minute in (29, 30, 31))
    handle = build(environ, lambda: next(clock))

    for _ in range(3):
        handle({}, CONTEXT)

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [business] = [line for line in lines if line["message"] == "business"]
    assert (business["PayingCustomers"], business["InboxFailed"]) == (1, 0)
    counted = {line["status"]: line["Subscriptions"] for line in lines if line["message"] == "subscriptions"}
    assert (counted["active"], counted["trialing"]) == (1, 0)
    assert [line["currency"] for line in lines if line["message"] == "revenue"] == ["usd"]


def test_what_broke_fails_the_invocation_after_its_metrics_are_written(
    world: World, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.subscribe("ann")
    with transaction(world.database_url) as connection:
        connection.execute("UPDATE customers SET holdings = '[{}]'")

    with pytest.raises(ExceptionGroup, match="mend their rows"):
        build(environ, lambda: START)({}, CONTEXT)

    [line] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["OutboxUnpublished"], line["OutboxBacklog"]) == (1, 1)

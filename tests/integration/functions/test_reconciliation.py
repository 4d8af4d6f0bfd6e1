"""The reconciliation's function over a whole shop: its daily start, its minute's tick, the real passes."""

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from billing.cache import client, entitlements
from billing.domain import keys
from billing.domain.drift import PassName
from billing.runtime.entrypoint import Handle
from billing.store.connection import close, transaction
from billing.usecases.manage_runs import Wanted, approve_run, open_run
from billing.usecases.operator import Operator
from functions.reconciliation.handler import build
from tests.support.aws import SESSION
from tests.support.shop import Shop

CONTEXT = SimpleNamespace(aws_request_id="req-1", get_remaining_time_in_millis=lambda: 900_000)
START = {"start": True}
TICK: dict[str, Any] = {"detail-type": "Scheduled Event", "detail": {}}
MINUTES_LATER = timedelta(minutes=10)


@pytest.fixture
def environ(shop: Shop, aws_endpoint: str, table_name: str) -> Iterator[dict[str, str]]:
    secrets = SESSION.client("secretsmanager", endpoint_url=aws_endpoint)
    name = secrets.create_secret(Name=f"stripe-{table_name}", SecretString='{"api_key": "sk_test_run"}')["Name"]
    secrets.close()
    yield {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws_endpoint,
        "DATABASE_URL": shop.worker.database_url,
        "TABLE_NAME": table_name,
        "EVENT_BUS_NAME": "default",
        "STRIPE_API_KEY_SECRET_ID": name,
        "STRIPE_API_BASE": shop.double.url,
        "STRIPE_LIVEMODE": "false",
    }
    close(shop.worker.database_url)


@pytest.fixture
def handle(shop: Shop, environ: dict[str, str]) -> Handle:
    """Ten minutes after what the test does: news of this very moment is left to its events."""
    return build(environ, lambda: shop.worker.now() + MINUTES_LATER)


def drifts(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows("SELECT pass, kind, object_type, status FROM drifts AS d ORDER BY run_id, n")


def contents(shop: Shop, aws_endpoint: str) -> object:
    """Every row of the store but the runs' own, and every item of the cache."""
    tables = shop.rows(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL"
        " ('{runs,drifts,run_listing,fetch_budget}') ORDER BY 1"
    )
    rows = {table: shop.rows(f"SELECT t::text FROM {table} AS t ORDER BY 1") for (table,) in tables}  # noqa: S608
    dynamodb = SESSION.client("dynamodb", endpoint_url=aws_endpoint)
    items = dynamodb.scan(TableName=shop.worker.publisher.cache.table)["Items"]
    dynamodb.close()
    return rows, sorted(items, key=repr)


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told: dict[str, Any] = next(line for line in lines if line["message"] == "reconciliation")
    return told


def test_webhooks_that_never_came_are_made_good_by_the_days_run(
    shop: Shop, environ: dict[str, str], handle: Handle
) -> None:
    shop.buy("ann", "pro_monthly", quantity=4)
    shop.buy("ben", "badge")

    answer = handle(START, CONTEXT)

    assert (answer["ended"], answer["run_id"]) == ("done", answer["started"])
    assert shop.check("ann", "seats")["value"] == 4
    assert shop.check("ben", "badge")["allowed"]
    assert {(name, status) for name, *_, status in drifts(shop)} == {("events", "repaired")}
    cache = client.connect(environ["TABLE_NAME"], environ=environ)
    item = entitlements.read_snapshot(cache, keys.tag("notes"), "ann")
    cache.aws.close()
    assert item is not None
    assert '"feature":"export"' in item.body


def test_the_listing_alone_makes_them_good_too(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly", quantity=4)
    with transaction(shop.worker.database_url) as connection:
        open_run(connection, Wanted(passes=["listing"]), None, shop.worker.now() + MINUTES_LATER)

    assert handle(TICK, CONTEXT)["ended"] == "done"

    assert shop.check("ann", "seats")["value"] == 4


def test_the_next_run_finds_nothing(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly")
    handle(START, CONTEXT)
    found = drifts(shop)

    assert handle(START, CONTEXT)["ended"] == "done"

    assert drifts(shop) == found


def test_what_a_run_repaired_is_told_as_the_runs_doing(shop: Shop, handle: Handle) -> None:
    shop.buy("ann", "pro_monthly")
    with transaction(shop.worker.database_url) as connection:
        run = open_run(connection, Wanted(passes=["listing"]), None, shop.worker.now() + MINUTES_LATER)
    handle(TICK, CONTEXT)

    assert set(shop.rows("SELECT cause_kind, cause_id FROM holdings_changes")) == {("run", f"run:{run.id}")}
    assert {action for (action,) in shop.rows("SELECT action FROM audit WHERE actor = 'billing'")} >= {
        "reconcile.repair"
    }


@pytest.mark.parametrize("name", ["events", "listing"])
def test_losses_beyond_the_limit_wait_for_a_person_who_then_lets_them_be_taken(
    shop: Shop, handle: Handle, name: PassName
) -> None:
    ended = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.stripe.v1.subscriptions.cancel(ended)
    shop.buy("ben", "pro_monthly")
    with transaction(shop.worker.database_url) as connection:
        wanted = Wanted(passes=[name], max_revocations=0)
        run = open_run(connection, wanted, None, shop.worker.now() + MINUTES_LATER)

    assert handle(TICK, CONTEXT)["ended"] == "waiting"
    assert shop.check("ann", "export")["allowed"]
    assert shop.check("ben", "export")["allowed"]

    with transaction(shop.worker.database_url) as connection:
        approve_run(connection, run.id, Operator("ann the operator"), "seen", shop.worker.now() + MINUTES_LATER)
    assert handle(TICK, CONTEXT)["ended"] == "done"
    assert not shop.check("ann", "export")["allowed"]
    assert shop.check("ben", "export")["allowed"]


def test_a_dry_run_leaves_store_and_cache_as_they_are(shop: Shop, aws_endpoint: str, handle: Handle) -> None:
    ended = shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    shop.stripe.v1.subscriptions.cancel(ended)
    shop.buy("ben", "badge")
    before = contents(shop, aws_endpoint)
    with transaction(shop.worker.database_url) as connection:
        wanted = Wanted(dry_run=True)
        open_run(connection, wanted, Operator("ann the operator"), shop.worker.now() + MINUTES_LATER)

    assert handle(TICK, CONTEXT)["ended"] == "done"

    assert contents(shop, aws_endpoint) == before
    assert {status for *_, status in drifts(shop)} == {"found"}
    assert shop.rows("SELECT count(*) > 0 FROM drifts WHERE takes") == [(True,)]


def test_a_tick_without_an_open_run_does_nothing(handle: Handle) -> None:
    assert handle(TICK, CONTEXT) == {"run_id": None, "ended": "idle", "started": None}


def test_a_second_start_goes_on_with_the_run_there_is(shop: Shop, handle: Handle) -> None:
    with transaction(shop.worker.database_url) as connection:
        run = open_run(connection, Wanted(), None, shop.worker.now())
    assert handle(START, CONTEXT) == {"run_id": run.id, "ended": "done", "started": None}


def test_a_minute_before_its_end_an_invocation_begins_nothing_more(shop: Shop, handle: Handle) -> None:
    late = SimpleNamespace(aws_request_id="req-1", get_remaining_time_in_millis=lambda: 60_000)
    shop.buy("ann", "pro_monthly")
    assert handle(START, late)["ended"] == "more"
    assert drifts(shop) == []
    assert handle(TICK, CONTEXT)["ended"] == "done"


def test_alarms_get_what_was_found_and_how_old_the_last_whole_run_is(
    shop: Shop, handle: Handle, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.buy("ann", "pro_monthly")

    handle(START, CONTEXT)

    told = metrics(capsys)
    assert told["RunDone"] == 1
    assert told["RunFailed"] == told["RunWaiting"] == told["ReconciliationAgeHours"] == 0
    assert told["DriftFound"] == told["DriftRepaired"] > 0
    assert {"Name": "DriftFound", "Unit": "Count"} in told["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    handle(TICK, CONTEXT)
    assert "DriftFound" not in metrics(capsys)

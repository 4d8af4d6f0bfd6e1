"""What good days do not need, where IAM is at work: so that the rights for it are used too. See test_roles.py."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.local.invoke import invoke
from infra.local.kept import Stack
from infra.local.package import REPOSITORY
from infra.local.story import App
from tests.support.aws import SESSION
from tests.support.command import billing

pytestmark = pytest.mark.skipif("FRONT" not in os.environ, reason="IAM is at work where FRONT=http|rest is given")

EVENTS = REPOSITORY / "events"


@contextmanager
def table(stack: Stack) -> Iterator[Any]:
    resource: Any = SESSION.resource("dynamodb", endpoint_url=stack.aws_endpoint_url)
    yield resource.Table(stack.table)
    resource.meta.client.close()


@pytest.fixture
def user_id(app: App) -> str:
    """Somebody with a key to nothing, whose answer is in the table."""
    user_id = f"user-{uuid.uuid4().hex[:10]}"
    app.must("GET", f"/api/v1/entitlements?user_id={user_id}")
    return user_id


def test_the_sweep_pays_what_a_crash_left_owed(stack: Stack) -> None:
    with psycopg.connect(stack.database_url) as connection:
        connection.execute(
            "INSERT INTO outbox (customer_id, cause_kind, cause_id) SELECT id, 'event', 'drill' FROM customers LIMIT 1"
        )
    swept = json.loads(invoke(stack, "outbox", EVENTS / "eventbridge/outbox-schedule.json"))
    assert swept["unpaid"] == 0
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_the_reconciliation_mends_the_table(stack: Stack) -> None:
    with table(stack) as items:
        snapshots = [item for item in items.scan()["Items"] if item["pk"].startswith("S#")]
        alien = {**snapshots[0], "pk": "S#nowhere#nobody"}
        lost = {**snapshots[1], "v": 0, "f": 0}
        items.put_item(Item=alien)
        items.put_item(Item=lost)
        found = json.loads(invoke(stack, "reconciliation", EVENTS / "eventbridge/reconciliation-schedule.json"))
        assert found["ended"] == "done", found
        assert "Item" not in items.get_item(Key={"pk": alien["pk"]})


def test_dead_letters_go_back_to_their_queue(stack: Stack) -> None:
    (record,) = json.loads((EVENTS / "sqs/customer.created.json").read_text())["Records"]
    client = SESSION.client("sqs", endpoint_url=stack.aws_endpoint_url)
    client.send_message(QueueUrl=f"{stack.queue_url}-dead", MessageBody=record["body"])
    client.close()
    answer = json.loads(invoke(stack, "admin", EVENTS / "http/admin-events-redrive.json"))
    assert answer["body"]["moved"] == 1, answer


def test_the_webhooks_secret_is_rotated(stack: Stack, tmp_path: Path) -> None:
    told = billing(stack, tmp_path, "webhook", "rotate", "--reason", "drill")
    assert told["live_secrets"] == 2, told


def test_the_key_that_signs_tokens_is_rotated(stack: Stack, tmp_path: Path) -> None:
    told = billing(stack, tmp_path, "signing-key", "rotate", "--at-once", "--reason", "drill")
    assert [key["state"] for key in told["keys"]] == ["current"]


def test_a_token_behind_freshness_is_of_a_refilled_answer(stack: Stack, app: App, user_id: str) -> None:
    with table(stack) as items:
        (own,) = (item for item in items.scan()["Items"] if item["pk"].startswith("S#") and user_id in str(item))
        items.put_item(Item={**own, "f": int(time.time() * 1000) - 100})
        assert app.must("POST", "/api/v1/entitlements/token", {"user_id": user_id})["token"]
        assert items.get_item(Key={"pk": own["pk"]})["Item"]["f"] > own["f"]


def test_a_crowd_behind_freshness_refills_once(stack: Stack, app: App, user_id: str) -> None:
    with table(stack) as items:
        (own,) = (item for item in items.scan()["Items"] if item["pk"].startswith("S#") and user_id in str(item))
        items.put_item(Item={**own, "f": int(time.time() * 1000) - 100})
        assert app.check(user_id)["allowed"] is False
        assert items.get_item(Key={"pk": own["pk"]})["Item"]["f"] > own["f"]

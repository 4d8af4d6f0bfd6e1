"""The table through a real DynamoDB API, and through one that misbehaves (SPEC §5; FAILURES E3, E8, E9, E16, E29)."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billing.cache import client as cache_client
from billing.cache import entitlements
from billing.cache.client import Client
from billing.cache.item import CLAIM, FRESH, KeyRecord, SnapshotItem, fresh_until, key_to_item, snapshot_to_item
from billing.domain.catalog import Feature
from billing.domain.entitlements import FeatureState
from billing.domain.keys import tag
from billing.domain.snapshot import Snapshot
from billing.domain.sources import Source
from billing.domain.windows import Window
from billing.errors import Transient
from billing.runtime.breaker import Breaker
from tests.support.faulty_dynamodb import Fault, FaultyDynamoDB, run_faulty_dynamodb

pytestmark = pytest.mark.alone

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DIGEST = bytes(range(32))
NOTES = tag("notes")
ENDLESS = 10.0
"""Seconds: a time limit that these tests never reach."""


def record(version: int = 1) -> KeyRecord:
    return KeyRecord(
        DIGEST, version, 1, fresh_until(NOW), "key_1", "backend", "project", "test", "notes", "notes", "active"
    )


def snapshot(version: int = 1, at: datetime = NOW) -> SnapshotItem:
    source = Source("grant", "g", "export", True, Window(NOW - timedelta(days=1), NOW + timedelta(days=1)), NOW)
    features = {
        "export": FeatureState(Feature("export", "boolean"), (source,)),
        "a.b-c_d": FeatureState(Feature("a.b-c_d", "limit")),
    }
    return SnapshotItem.of(Snapshot("notes", "u#1", version, 1, NOW, features), at)


@pytest.fixture
def cache(aws_endpoint: str, table_name: str) -> Client:
    return cache_client.connect(table_name, environ={**CREDENTIALS, "AWS_ENDPOINT_URL": aws_endpoint})


@pytest.fixture
def faulty(aws_endpoint: str) -> Iterator[FaultyDynamoDB]:
    with run_faulty_dynamodb(aws_endpoint) as running:
        yield running


@pytest.fixture
def shaky(faulty: FaultyDynamoDB, table_name: str) -> Client:
    """A client whose table lies behind `faulty`."""
    opened = cache_client.connect(table_name, environ={**CREDENTIALS, "AWS_ENDPOINT_URL": faulty.url})
    return opened._replace(read_timeout=ENDLESS)


def stored(cache: Client) -> SnapshotItem | None:
    return entitlements.read_snapshot(cache, NOTES, "u#1")


def test_an_empty_table_says_nothing_rather_than_no(cache: Client) -> None:
    assert entitlements.read(cache, DIGEST, NOTES, "u#1", None) == entitlements.Found(None, None)


@pytest.mark.parametrize("feature", [None, "export", "a.b-c_d"])
def test_key_and_answer_come_in_one_consistent_read(shaky: Client, faulty: FaultyDynamoDB, feature: str | None) -> None:
    entitlements.put_key(shaky, record(), refill=False)
    item = snapshot()
    entitlements.put_snapshot(shaky, item, refill=False)
    faulty.calls.clear()
    found = entitlements.read(shaky, DIGEST, NOTES, "u#1", feature)
    assert found.key == record()
    assert found.snapshot is not None
    assert found.snapshot.answer == (item.body if feature is None else item.checks[feature])
    ((operation, request),) = faulty.calls
    assert operation == "BatchGetItem"
    assert all(asked["ConsistentRead"] is True for asked in request["RequestItems"].values())


def test_a_table_that_serves_old_values_to_inconsistent_reads_never_serves_them_to_us(shaky: Client) -> None:
    for version in (1, 2, 3):
        entitlements.put_snapshot(shaky, snapshot(version), refill=False)
        entitlements.put_key(shaky, record(version), refill=False)
    found = entitlements.read(shaky, DIGEST, NOTES, "u#1", "export")
    assert found.key is not None
    assert found.snapshot is not None
    assert (found.key.version, found.snapshot.version) == (3, 3)


@pytest.mark.parametrize("fault", ["unprocessed", "half_unprocessed", "throttle", "broken"])
def test_keys_left_unprocessed_and_throttled_reads_are_asked_again(
    shaky: Client, faulty: FaultyDynamoDB, fault: Fault
) -> None:
    entitlements.put_key(shaky, record(), refill=False)
    entitlements.put_snapshot(shaky, snapshot(), refill=False)
    faulty.faults = [fault, fault]
    found = entitlements.read(shaky, DIGEST, NOTES, "u#1", "export")
    assert found.key is not None
    assert found.snapshot is not None


@pytest.mark.parametrize("fault", ["unprocessed", "throttle", "broken", "slow", "lost"])
def test_a_read_that_does_not_come_in_time_is_a_fault_and_never_a_missing_item(
    shaky: Client, faulty: FaultyDynamoDB, fault: Fault
) -> None:
    entitlements.put_key(shaky, record(), refill=False)
    faulty.every = fault
    hasty = shaky._replace(read_timeout=cache_client.READ_TIMEOUT)
    started = time.monotonic()
    with pytest.raises(Transient, match="unavailable"):
        entitlements.read(hasty, DIGEST, NOTES, "u#1", None)
    assert time.monotonic() - started < 1


def test_a_missing_table_is_a_fault(cache: Client) -> None:
    with pytest.raises(Transient):
        entitlements.read(cache._replace(table="no-such-table"), DIGEST, NOTES, "u#1", None)


def test_a_writer_never_replaces_the_same_or_a_newer_version(cache: Client) -> None:
    entitlements.put_snapshot(cache, snapshot(2), refill=False)
    later = NOW + timedelta(minutes=1)
    for version in (1, 2):
        assert entitlements.put_snapshot(cache, snapshot(version, later), refill=False) is None
        assert stored(cache) == snapshot(2)
    entitlements.put_snapshot(cache, snapshot(3, later), refill=False)
    assert stored(cache) == snapshot(3, later)


def test_a_refill_renews_the_same_version_else_it_would_never_be_fresh_again(cache: Client) -> None:
    entitlements.put_snapshot(cache, snapshot(2), refill=False)
    entitlements.put_key(cache, record(2), refill=False)
    later = NOW + timedelta(minutes=6)
    renewed = record(2)._replace(fresh_until=fresh_until(later))
    assert entitlements.put_snapshot(cache, snapshot(2, later), refill=True) is None
    assert entitlements.put_key(cache, renewed, refill=True) is None
    assert stored(cache) == snapshot(2, later)
    assert entitlements.read(cache, DIGEST, NOTES, "u#1", None).key == renewed


def test_a_refill_that_lost_the_race_gets_the_newer_item(cache: Client) -> None:
    revoked = record(9)._replace(revoked_at=NOW)
    entitlements.put_snapshot(cache, snapshot(9), refill=False)
    entitlements.put_key(cache, revoked, refill=False)
    assert entitlements.put_snapshot(cache, snapshot(8), refill=True) == snapshot(9)
    assert entitlements.put_key(cache, record(8), refill=True) == revoked


def test_a_refill_refused_by_an_item_it_cannot_read_does_not_answer_with_its_own_older_one(cache: Client) -> None:
    for item in (snapshot_to_item(snapshot(9)), key_to_item(record(9))):
        cache.aws.call("PutItem", {"TableName": cache.table, "Item": {**item, "c": {"N": "2"}}})
    with pytest.raises(Transient):
        entitlements.put_snapshot(cache, snapshot(8), refill=True)
    with pytest.raises(Transient):
        entitlements.put_key(cache, record(8), refill=True)


def test_items_of_another_codec_are_a_miss_that_a_refill_mends(cache: Client) -> None:
    for item in (snapshot_to_item(snapshot()), key_to_item(record())):
        cache.aws.call("PutItem", {"TableName": cache.table, "Item": {**item, "c": {"N": "2"}}})
    assert entitlements.read(cache, DIGEST, NOTES, "u#1", None) == entitlements.Found(None, None)
    assert stored(cache) is None
    entitlements.put_snapshot(cache, snapshot(), refill=True)
    assert stored(cache) == snapshot()


def test_of_all_readers_that_find_an_item_past_its_freshness_one_claims_the_refill(cache: Client) -> None:
    entitlements.put_snapshot(cache, snapshot(), refill=False)
    entitlements.put_key(cache, record(), refill=False)
    lapsed = NOW + FRESH
    for _ in range(2):
        found = entitlements.read(cache, DIGEST, NOTES, "u#1", None)
        assert found.snapshot is not None
        assert found.key is not None
        assert [entitlements.claim_snapshot(cache, found.snapshot, lapsed) for _ in range(3)] == [True, False, False]
        assert [entitlements.claim_key(cache, found.key, lapsed) for _ in range(3)] == [True, False, False]
        lapsed += CLAIM


def test_a_claim_is_lost_where_the_item_has_changed_meanwhile_or_is_gone(cache: Client) -> None:
    entitlements.put_snapshot(cache, snapshot(), refill=False)
    seen = entitlements.read(cache, DIGEST, NOTES, "u#1", None).snapshot
    assert seen is not None
    lapsed = NOW + FRESH
    entitlements.put_snapshot(cache, snapshot(2, lapsed), refill=False)
    assert not entitlements.claim_snapshot(cache, seen, lapsed)
    assert stored(cache) == snapshot(2, lapsed)
    assert not entitlements.claim_key(cache, record(), lapsed)
    assert entitlements.read(cache, DIGEST, NOTES, "u#1", None).key is None


@pytest.mark.parametrize("refill", [True, False])
def test_a_put_whose_answer_was_lost_is_repeated_and_done(shaky: Client, faulty: FaultyDynamoDB, refill: bool) -> None:
    faulty.faults = ["lost"]
    assert entitlements.put_snapshot(shaky, snapshot(4), refill=refill) is None
    assert stored(shaky) == snapshot(4)


def test_a_put_that_cannot_be_made_is_a_fault(shaky: Client, faulty: FaultyDynamoDB) -> None:
    faulty.every = "throttle"
    with pytest.raises(Transient):
        entitlements.put_snapshot(shaky, snapshot(), refill=False)


def test_a_readers_client_stops_asking_after_a_fault_and_tries_again_after_its_rest(
    shaky: Client, faulty: FaultyDynamoDB
) -> None:
    clock = [100.0]
    reader = shaky._replace(read_timeout=0.15, breaker=Breaker(monotonic=lambda: clock[0]))
    faulty.every = "slow"
    with pytest.raises(Transient):
        stored(reader)
    asked = len(faulty.calls)
    for attempt in (stored, lambda opened: entitlements.put_snapshot(opened, snapshot(), refill=True)):
        with pytest.raises(Transient):
            attempt(reader)
    assert len(faulty.calls) == asked
    faulty.every = None
    clock[0] += 1
    assert stored(reader) is None
    assert len(faulty.calls) == asked + 1


def test_a_refused_condition_is_an_answer_and_opens_no_breaker(shaky: Client) -> None:
    entitlements.put_snapshot(shaky, snapshot(9), refill=False)
    reader = shaky._replace(breaker=Breaker())
    assert entitlements.put_snapshot(reader, snapshot(8), refill=True) == snapshot(9)
    assert stored(reader) == snapshot(9)

"""The cache pass: every item that is not what the store would put there is found and put right, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.cache import entitlements
from billing.cache.client import Client, Item, batch_get, scan
from billing.cache.fence import Fenced, raise_fences
from billing.cache.item import key_pk, milliseconds, snapshot_pk
from billing.domain import keys
from billing.errors import Transient
from billing.payments.client import connect
from billing.runtime.aws import DYNAMODB, AwsClient
from billing.store import published
from billing.store.connection import Connection, transaction
from billing.usecases.apply_event import Worker
from billing.usecases.compare_cache import compare_cache
from billing.usecases.manage_projects import create_key, end_key
from billing.usecases.operator import BILLING
from billing.usecases.passes import Drift, Means
from billing.usecases.publish_outbox import Publisher, publish_customer, publish_project, sweep
from billing.usecases.refill_snapshot import refill_key, refill_snapshot
from billing.usecases.repair_cache import HIGHEST, repair_cache
from tests.support.faulty_dynamodb import run_faulty_dynamodb
from tests.support.world import START, World, make_world

NOW = START + timedelta(days=1)
ANN = snapshot_pk(keys.tag("notes"), "ann")
RUN = "run_1"


@pytest.fixture
def world(publisher: Publisher) -> World:
    """Ann is subscribed and published, and so is the key of project `notes`."""
    made = make_world(publisher.database_url)
    publish_customer(publisher, made.subscribe("ann"), NOW)
    return made


@pytest.fixture
def means(world: World, publisher: Publisher) -> Means:
    worker = Worker(connect("sk_test_unused", "http://127.0.0.1:9"), publisher, livemode=False, now=lambda: NOW)
    return Means(worker, RUN, None, NOW, spend=lambda: None)


def unguarded(_connection: Connection) -> None:
    """No run: nothing to be taken over."""


def find(means: Means) -> list[Drift]:
    return [drift for batch in compare_cache(means, {}) for drift in batch.drifts]


def mend(means: Means) -> list[str]:
    return [repair_cache(means, drift, unguarded, commit=True).status for drift in find(means)]


def item(cache: Client, pk: str = ANN) -> Item:
    return batch_get(cache, (pk,))[pk]


def write(cache: Client, changed: Item) -> None:
    cache.aws.call("PutItem", {"TableName": cache.table, "Item": changed})


def tamper(cache: Client, pk: str = ANN, **members: Any) -> None:
    kept = {**item(cache, pk), **members}
    write(cache, {name: value for name, value in kept.items() if value is not None})


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def key_item(world: World, publisher: Publisher) -> str:
    secret = world.key()
    refill_key(world.database_url, publisher.cache, keys.digest(secret), NOW)
    return key_pk(keys.digest(secret))


def allowed(cache: Client, user_id: str = "ann") -> str:
    found = entitlements.read_snapshot(cache, keys.tag("notes"), user_id)
    assert found is not None
    return found.body


# --- what is no drift ------------------------------------------------------------------------------------------------


def test_a_cache_that_says_what_the_store_says_has_no_drift(world: World, means: Means, publisher: Publisher) -> None:
    key_item(world, publisher)
    refill_snapshot(world.database_url, publisher.cache, "notes", "nobody", NOW)

    batches = list(compare_cache(means, {}))

    assert [(batch.listed, batch.drifts, batch.done) for batch in batches] == [(3, (), True)]


def test_an_absent_item_is_no_drift(world: World, means: Means) -> None:
    world.subscribe("ben")
    with transaction(world.database_url) as connection:
        connection.execute("DELETE FROM outbox")

    assert find(means) == []


def test_what_the_outbox_still_owes_is_left_to_it(world: World, means: Means, publisher: Publisher) -> None:
    world.subscribe("ann", quantity=5)

    assert find(means) == []

    sweep(publisher, NOW)
    assert find(means) == []


def test_an_item_of_an_earlier_catalog_is_one_that_nobody_reads(
    world: World, means: Means, publisher: Publisher
) -> None:
    key_item(world, publisher)
    world.give("theme", {"dark": True})
    publish_project(publisher, "notes", NOW)

    assert find(means) == []


@pytest.mark.parametrize("later", [timedelta(days=2), timedelta(days=400)])
def test_an_item_whose_windows_have_passed_since_it_was_made_is_right(
    world: World, publisher: Publisher, means: Means, later: timedelta
) -> None:
    worker = Worker(means.worker.stripe, publisher, livemode=False, now=lambda: NOW + later)

    assert find(Means(worker, RUN, None, NOW, spend=lambda: None)) == []


def test_a_fence_that_stands_is_left_alone(world: World, means: Means, cache: Client) -> None:
    tamper(cache, v=number(900))
    raise_fences(cache, [Fenced("notes", "ann", 1000)], NOW + timedelta(seconds=30))

    assert find(means) == []


def test_a_revoked_admin_key_that_a_reader_once_cached_opens_nothing(
    world: World, means: Means, publisher: Publisher
) -> None:
    made = create_key(world.database_url, project_id=None, name="ann", mode="test")
    create_key(world.database_url, project_id=None, name="ben", mode="test")
    refill_key(world.database_url, publisher.cache, keys.digest(made.secret), NOW)
    with transaction(world.database_url) as connection:
        end_key(connection, None, made.id, BILLING, NOW)

    assert find(means) == []


# --- every way a snapshot can be wrong -------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another body": ({"b": {"S": '{"entitlements":["all"],"stale":false}'}}, "differs"),
    "another answer": ({"k": {"M": {"export": {"S": '{"allowed":true,"value":true,"stale":false}'}}}}, "differs"),
    "another document": ({"d": {"S": "{}"}}, "differs"),
    "another etag": ({"g": {"S": '"0"'}}, "differs"),
    "answers that hold for longer": ({"t1": number(milliseconds(NOW) * 2000)}, "differs"),
    "answers that held before": ({"t0": number(0)}, "differs"),
    "no body": ({"b": None}, "differs"),
    "another epoch": ({"e": number(0)}, "differs"),
    "another project": ({"p": {"S": "mail"}}, "differs"),
    "fresh for a year": ({"f": number(milliseconds(NOW + timedelta(days=365)))}, "fresh_too_long"),
    "an older version": ({"v": number(1)}, "older"),
    "a newer version": ({"v": number(900)}, "newer"),
    "a version no store has": ({"v": number(10**30)}, "newer"),
    "no version": ({"v": None}, "unreadable"),
    "a version that is no number": ({"v": {"S": "nine"}}, "unreadable"),
}


@pytest.mark.parametrize(("members", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_snapshot_is_found_once_and_repaired(
    world: World, means: Means, cache: Client, members: dict[str, Any], reason: str
) -> None:
    right = allowed(cache)
    tamper(cache, **members)

    [drift] = find(means)

    assert (drift.kind, drift.object_type, drift.reason) == ("cache_mismatch", "snapshot", reason)
    assert (drift.user_id, drift.project_id) == ("ann", "notes")
    assert repair_cache(means, drift, unguarded, commit=True).status == "repaired"
    assert find(means) == []
    assert world.debts() == 0
    assert allowed(cache).partition('"entitlements"')[2] == right.partition('"entitlements"')[2]


def test_a_lost_publication_is_found_and_made_up_for(world: World, means: Means, cache: Client) -> None:
    world.subscribe("ann", quantity=5)
    with transaction(world.database_url) as connection:
        connection.execute("DELETE FROM outbox")

    assert [(drift.reason, drift.before["version"], drift.after["version"]) for drift in find(means)] == [
        ("older", 2, 3)
    ]
    assert mend(means) == ["repaired"]
    assert find(means) == []


def test_a_repair_without_commit_writes_nothing(world: World, means: Means, cache: Client) -> None:
    tamper(cache, v=number(900))
    before = scan(cache, None, 100)
    [drift] = find(means)

    mended = repair_cache(means, drift, unguarded, commit=False)

    assert mended.status == "repaired"
    assert scan(cache, None, 100) == before
    assert world.debts() == 0


def test_what_was_put_right_meanwhile_is_left(world: World, means: Means, cache: Client) -> None:
    right = item(cache)
    tamper(cache, v=number(1))
    [drift] = find(means)
    write(cache, right)

    assert repair_cache(means, drift, unguarded, commit=True).status == "left"


def test_the_evidence_tells_what_the_cache_allowed_and_what_the_store_does(
    world: World, means: Means, cache: Client
) -> None:
    tamper(cache, k={"M": {"gold": {"S": '{"allowed":true,"value":true,"stale":false}'}}})
    [drift] = find(means)

    mended = repair_cache(means, drift, unguarded, commit=True)

    assert drift.before["allowed"] == {"gold": True}
    assert mended.before == {"notes": {"ann": {"gold": True}}}
    assert mended.after == {"notes": {"ann": {"export": True, "seats": 2}}}
    assert not mended.takes


@pytest.mark.parametrize("members", [{"b": {"S": "{}"}}, {"v": {"S": "nine"}}])
def test_a_repair_that_cannot_write_to_the_cache_is_not_recorded(
    world: World, means: Means, cache: Client, aws_endpoint: str, members: dict[str, Any]
) -> None:
    tamper(cache, **members)
    found = find(means)
    with run_faulty_dynamodb(aws_endpoint) as faulty:
        faulty.refused.add("PutItem")
        publisher = replace(means.worker.publisher, cache=beside(cache, faulty.url))
        broken = replace(means, worker=replace(means.worker, publisher=publisher))
        with pytest.raises(Transient):
            repair_cache(broken, found[0], unguarded, commit=True)
        publisher.cache.aws.close()

    assert world.debts() == 0
    assert find(means) == found


def beside(cache: Client, url: str) -> Client:
    """The same table by another way."""
    return cache._replace(aws=AwsClient(DYNAMODB, 2, {**cache.aws.environ, "AWS_ENDPOINT_URL": url}))


def test_a_refused_guard_leaves_the_cache_alone(world: World, means: Means, cache: Client) -> None:
    tamper(cache, v=number(900))
    [drift] = find(means)

    def refuse(_connection: Connection) -> None:
        raise RuntimeError("taken over")

    with pytest.raises(RuntimeError):
        repair_cache(means, drift, refuse, commit=True)

    assert [one.reason for one in find(means)] == ["newer"]


def test_the_repair_is_in_the_audit_of_the_project(world: World, means: Means, cache: Client) -> None:
    tamper(cache, v=number(1))
    mend(means)

    with transaction(world.database_url) as connection:
        rows = connection.execute(
            "SELECT chain, actor, target, reason, request_id FROM audit WHERE action = 'reconcile.repair'"
        ).fetchall()
    assert rows == [("notes", "billing", ANN, "older", RUN)]


# --- newer than the store --------------------------------------------------------------------------------------------


def test_a_customers_version_is_lifted_over_the_caches_so_that_no_reader_goes_back(
    world: World, means: Means, cache: Client
) -> None:
    tamper(cache, v=number(900))

    mend(means)

    assert item(cache)["v"] == number(901)
    with transaction(world.database_url) as connection:
        [row] = connection.execute(
            "SELECT version, cause_kind, cause_id FROM holdings_changes ORDER BY version DESC LIMIT 1"
        ).fetchall()
    assert row == (900, "run", RUN)


def test_after_a_lift_the_next_change_is_published_as_ever(
    world: World, means: Means, cache: Client, publisher: Publisher
) -> None:
    tamper(cache, v=number(900))
    mend(means)

    publish_customer(publisher, world.subscribe("ann", quantity=7), NOW)

    assert item(cache)["v"] == number(902)


def test_a_version_beyond_every_reader_is_overwritten(world: World, means: Means, cache: Client) -> None:
    tamper(cache, v=number(HIGHEST + 1))

    assert mend(means) == ["repaired"]

    assert item(cache)["v"] == number(2)


def test_a_lift_that_crashed_before_it_was_published_is_swept(
    world: World, means: Means, cache: Client, publisher: Publisher
) -> None:
    tamper(cache, v=number(900))
    with transaction(world.database_url) as connection:
        [(customer_id,)] = connection.execute("SELECT id FROM customers").fetchall()
        published.lift_version(connection, customer_id, 900, RUN, NOW)
        published.owe_customer(connection, customer_id, RUN)

    sweep(publisher, NOW)

    assert item(cache)["v"] == number(901)
    assert find(means) == []


# --- what belongs to nobody ------------------------------------------------------------------------------------------


def forge(cache: Client, user_id: str) -> str:
    """Ann's item under another user's name: what a cache says of somebody the store has never heard of."""
    pk = snapshot_pk(keys.tag("notes"), user_id)
    write(cache, {**item(cache), "pk": {"S": pk}})
    return pk


def test_a_user_the_store_does_not_know_holds_nothing(world: World, means: Means, cache: Client) -> None:
    pk = forge(cache, "mallory")

    assert [(drift.kind, drift.user_id, drift.reason) for drift in find(means)] == [("orphan", "mallory", "newer")]
    assert mend(means) == ["repaired"]
    assert '"entitlements":[]' in item(cache, pk)["b"]["S"]
    assert find(means) == []


def test_a_user_who_came_to_be_meanwhile_is_not_overwritten(
    world: World, means: Means, cache: Client, publisher: Publisher
) -> None:
    forge(cache, "mallory")
    [drift] = find(means)
    publish_customer(publisher, world.subscribe("mallory"), NOW)

    assert repair_cache(means, drift, unguarded, commit=True).status == "repaired"

    assert '"entitlements":[{' in allowed(cache, "mallory")


def test_a_snapshot_of_no_project_is_deleted(world: World, means: Means, cache: Client) -> None:
    pk = snapshot_pk("aaaaaaaa", "ann")
    write(cache, {**item(cache), "pk": {"S": pk}})

    assert [(drift.kind, drift.reason) for drift in find(means)] == [("orphan", "unknown")]
    assert mend(means) == ["repaired"]
    assert batch_get(cache, (pk,)) == {}


@pytest.mark.parametrize("pk", ["S#", "S#notes", "K#zz", "K#" + "0" * 63, f"S#{keys.tag('notes')}#a\x00b"])
def test_a_place_that_nobody_reads_is_cleared(world: World, means: Means, cache: Client, pk: str) -> None:
    write(cache, {**item(cache), "pk": {"S": pk}})

    assert [drift.kind for drift in find(means)] == ["orphan"]
    assert mend(means) == ["repaired"]
    assert find(means) == []


@pytest.mark.parametrize("value", [r"a\u0000b", r"\ud800"])
def test_what_postgresql_cannot_store_is_not_in_the_evidence(
    world: World, means: Means, cache: Client, value: str
) -> None:
    tamper(cache, k={"M": {"theme": {"S": f'{{"allowed":true,"value":"{value}","stale":false}}'}}})

    [drift] = find(means)

    assert drift.before["unreadable"]
    assert mend(means) == ["repaired"]


def test_what_is_neither_snapshot_nor_key_is_not_looked_at(world: World, means: Means, cache: Client) -> None:
    write(cache, {"pk": {"S": "X#1"}, "v": number(1)})

    assert find(means) == []


# --- keys ------------------------------------------------------------------------------------------------------------

WRONG_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "another project": ({"p": {"S": "mail"}}, "differs"),
    "an end that was taken away": ({"x": number(1)}, "differs"),
    "an older version": ({"v": number(1)}, "older"),
    "a newer version": ({"v": number(900)}, "newer"),
    "no version": ({"v": None}, "unreadable"),
    "fresh for a year": ({"f": number(milliseconds(NOW + timedelta(days=365)))}, "fresh_too_long"),
}


@pytest.mark.parametrize(("members", "reason"), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_a_wrong_key_record_is_found_and_repaired(
    world: World, means: Means, cache: Client, publisher: Publisher, members: dict[str, Any], reason: str
) -> None:
    pk = key_item(world, publisher)
    right = item(cache, pk)
    tamper(cache, pk, **members)

    assert [(drift.kind, drift.object_type, drift.reason) for drift in find(means)] == [
        ("cache_mismatch", "api_key", reason)
    ]
    assert mend(means) == ["repaired"]
    assert find(means) == []
    assert {**item(cache, pk), "f": 0, "ttl": 0} == {**right, "f": 0, "ttl": 0}


def test_a_key_that_the_store_does_not_know_opens_nothing_any_more(
    world: World, means: Means, cache: Client, publisher: Publisher
) -> None:
    pk = key_item(world, publisher)
    write(cache, {**item(cache, pk), "pk": {"S": key_pk(bytes(32))}})

    assert [drift.kind for drift in find(means)] == ["orphan"]
    assert mend(means) == ["repaired"]
    assert batch_get(cache, (key_pk(bytes(32)),)) == {}


def test_a_revocation_that_never_reached_the_cache_is_made_up_for(
    world: World, means: Means, cache: Client, publisher: Publisher
) -> None:
    pk = key_item(world, publisher)
    with transaction(world.database_url) as connection:
        [(key_id,)] = connection.execute("SELECT id FROM api_keys").fetchall()
        end_key(connection, "notes", key_id, BILLING, NOW)
        connection.execute("DELETE FROM outbox")

    assert [drift.reason for drift in find(means)] == ["older"]
    assert mend(means) == ["repaired"]
    assert "rv" in item(cache, pk)


# --- the walk --------------------------------------------------------------------------------------------------------


def test_the_whole_table_is_walked_in_pages_from_wherever_it_was_left(
    world: World, means: Means, cache: Client
) -> None:
    pks = {forge(cache, f"user {place}") for place in range(250)}

    batches = list(compare_cache(means, {}))
    rest = list(compare_cache(means, batches[0].position))

    assert [batch.listed for batch in batches] == [100, 100, 51]
    assert {drift.object_id for batch in batches for drift in batch.drifts} == pks
    assert [batch.listed for batch in rest] == [100, 51]


def test_a_run_of_one_project_looks_at_its_items_alone(
    world: World, means: Means, cache: Client, project: Callable[[str], None]
) -> None:
    project("mail")
    tamper(cache, v=number(1))

    def of(project_id: str) -> list[str | None]:
        return [drift.project_id for drift in find(Means(means.worker, RUN, project_id, NOW, spend=lambda: None))]

    assert of("notes") == ["notes"]
    assert of("mail") == []


@pytest.fixture
def project(publisher: Publisher) -> Callable[[str], None]:
    def make(project_id: str) -> None:
        with transaction(publisher.database_url) as connection:
            connection.execute(
                "INSERT INTO projects (id, name, identity_namespace) VALUES (%s, %s, %s)",
                (project_id, project_id, project_id),
            )

    return make


def test_a_table_that_cannot_be_read_is_said_so_and_nothing_is_told_of_it(
    means: Means, dead_publisher: Publisher
) -> None:
    worker = Worker(means.worker.stripe, dead_publisher, livemode=False, now=clock)

    with pytest.raises(Transient):
        find(Means(worker, RUN, None, NOW, spend=lambda: None))


def clock() -> datetime:
    return NOW

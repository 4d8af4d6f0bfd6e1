"""What an operator takes away is gone once they are told so, whatever DynamoDB does (SPEC §5, I1; FAILURES E5, E19)."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from billing.cache import entitlements
from billing.cache.fence import Fenced, raise_fences
from billing.cache.item import FRESH, SnapshotItem, snapshot_pk
from billing.domain import keys
from billing.domain.snapshot import Snapshot
from billing.errors import Transient
from billing.store.connection import transaction
from billing.store.snapshots import snapshot_of
from billing.usecases.fence import FENCE, SKEW, Fence, fence_off
from billing.usecases.publish_outbox import sweep
from tests.support.clerk import Clerk, run_clerk

pytestmark = pytest.mark.alone

GIVE = "POST /api/v1/admin/grant"
REVOKE = "POST /api/v1/admin/revoke"
EXPORT = {"project_id": "notes", "user_id": "ann", "feature": "export", "reason": "test"}
TICK = timedelta(milliseconds=1)


@pytest.fixture
def clerk(database_url: str, aws_endpoint: str, table_name: str) -> Iterator[Clerk]:
    with run_clerk(database_url, aws_endpoint, table_name) as running:
        yield running


@pytest.fixture
def granted(clerk: Clerk) -> Clerk:
    """Ann holds `export` by a grant, and the cache says so."""
    assert clerk.ask(GIVE, EXPORT).status == 201
    assert clerk.allowed()
    return clerk


def item_of(clerk: Clerk) -> SnapshotItem:
    """Ann's state as PostgreSQL has it now."""
    with transaction(clerk.world.database_url) as connection:
        snapshot = snapshot_of(connection, "notes", "ann")
    assert snapshot is not None
    return SnapshotItem.of(snapshot, clerk.clock)


def fails(read: Callable[[], object]) -> bool:
    """Whether it is answered 503."""
    try:
        read()
    except Transient as fault:
        return fault.code == "unavailable"
    return False


# --- taking away ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taking", [(REVOKE, EXPORT), (GIVE, {**EXPORT, "denial": True})])
def test_done_is_done_though_the_table_refuses_to_be_told(
    granted: Clerk, taking: tuple[str, dict[str, object]]
) -> None:
    granted.table_api.refused = {"PutItem"}

    answer = granted.ask(*taking)

    assert answer.status < 300
    assert not granted.allowed()


def test_behind_a_fence_a_reader_without_postgresql_answers_503_and_never_the_old_answer(granted: Clerk) -> None:
    granted.table_api.refused = {"PutItem"}
    granted.ask(REVOKE, EXPORT)

    assert fails(lambda: granted.read(store=False))
    assert fails(lambda: granted.read(feature=None, store=False))
    assert fails(lambda: granted.read_batch("ann", "bob", store=False))
    granted.clock += FRESH + timedelta(hours=1)  # an old answer would be served stale by now
    assert fails(lambda: granted.read(store=False))


def test_the_fence_is_lowered_by_the_sweep_and_a_check_costs_one_read_again(granted: Clerk) -> None:
    granted.table_api.refused = {"PutItem"}
    granted.ask(REVOKE, EXPORT)
    granted.table_api.refused = set()

    assert sweep(granted.publisher, granted.clock).paid == 1

    assert not granted.allowed(store=False)


def test_where_no_fence_can_be_raised_the_operator_is_told_that_it_is_not_done_yet(granted: Clerk) -> None:
    granted.table_api.refused = {"PutItem", "UpdateItem"}
    answer = granted.ask(REVOKE, EXPORT, idempotency="revoke-1")
    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "not_effective_yet", True)
    assert granted.allowed()  # why it was no 200
    assert granted.ask(REVOKE, EXPORT, idempotency="revoke-1").code == "not_effective_yet"

    granted.table_api.refused = set()

    again = granted.ask(REVOKE, EXPORT, idempotency="revoke-1")
    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert not granted.allowed(store=False)
    assert granted.rows("SELECT count(*) FROM audit WHERE action = 'grant.revoke'") == [(1,)]


def test_a_gift_that_cannot_be_published_is_not_done_either_and_its_replay_is(clerk: Clerk) -> None:
    clerk.allowed()
    clerk.table_api.refused = {"PutItem"}
    assert clerk.ask(GIVE, EXPORT, idempotency="gift-1").code == "not_effective_yet"
    clerk.table_api.refused = set()
    assert clerk.ask(GIVE, EXPORT, idempotency="gift-1").status == 201
    assert clerk.allowed(store=False)
    assert clerk.rows("SELECT count(*) FROM grants") == [(1,)]


def test_only_what_takes_away_raises_a_fence(granted: Clerk) -> None:
    granted.table_api.calls.clear()
    granted.ask(GIVE, {**EXPORT, "feature": "seats", "value": 3})
    granted.ask(GIVE, {**EXPORT, "user_id": "bob", "denial": True})
    granted.ask(REVOKE, {**EXPORT, "user_id": "bob", "denial": True})
    assert granted.table_api.count("UpdateItem") == 1


def test_a_commit_that_came_after_the_fences_end_does_not_rest_on_it(granted: Clerk) -> None:
    def slow(operation: str) -> None:
        if operation == "UpdateItem":
            granted.clock += FENCE - SKEW

    granted.table_api.before = slow
    granted.table_api.refused = {"PutItem"}
    assert granted.ask(REVOKE, EXPORT).code == "not_effective_yet"


def test_every_project_that_shares_the_user_is_fenced(granted: Clerk) -> None:
    granted.rows("INSERT INTO projects (id, name, identity_namespace) VALUES ('mail', 'Mail', 'notes')")
    granted.table_api.calls.clear()
    granted.ask(REVOKE, EXPORT)
    fenced = [asked["Key"]["pk"]["S"] for operation, asked in granted.table_api.calls if operation == "UpdateItem"]
    assert sorted(fenced) == sorted(snapshot_pk(keys.tag(project), "ann") for project in ("notes", "mail"))


# --- a change that was given up ------------------------------------------------------------------------------------


def raised_and_given_up(clerk: Clerk) -> None:
    """A writer died between its fence and its commit."""
    fence = Fence(clerk.publisher.cache, clerk.now)
    with transaction(clerk.world.database_url) as connection:
        (customer_id,) = connection.execute("SELECT id FROM customers WHERE user_id = 'ann'").fetchone() or ()
        fence_off(fence, connection, [customer_id])
    assert fence.stands_before([customer_id])


def test_a_fence_that_was_raised_for_nothing_costs_questions_to_postgresql_until_its_end_and_no_more(
    granted: Clerk,
) -> None:
    raised_and_given_up(granted)
    assert granted.allowed()
    assert fails(lambda: granted.read(store=False))

    granted.clock += FENCE
    assert granted.allowed()

    assert granted.allowed(store=False)


def test_after_a_fence_was_given_up_the_next_change_lowers_it(granted: Clerk) -> None:
    raised_and_given_up(granted)
    granted.ask(GIVE, {**EXPORT, "feature": "seats", "value": 3})
    assert granted.allowed("ann", "seats", store=False)


def test_a_fence_that_arrives_late_does_not_replace_a_later_one(granted: Clerk) -> None:
    change = item_of(granted).version - item_of(granted).epoch
    later, sooner = granted.clock + FENCE, granted.clock + FENCE - TICK
    raise_fences(granted.cache, [Fenced("notes", "ann", change + 2)], later)
    for late, until in ((change + 1, later), (change + 2, sooner)):
        with pytest.raises(Transient):
            raise_fences(granted.cache, [Fenced("notes", "ann", late)], until)


def test_dynamodb_never_deletes_a_fence_that_stands(clerk: Clerk) -> None:
    raise_fences(clerk.cache, [Fenced("notes", "ann", 1)], clerk.clock + FENCE)
    pk = snapshot_pk(keys.tag("notes"), "ann")
    item = clerk.cache.aws.call("GetItem", {"TableName": clerk.cache.table, "Key": {"pk": {"S": pk}}})["Item"]
    assert int(item["ttl"]["N"]) > (clerk.clock + FENCE + timedelta(hours=12)).timestamp()


# --- old states that arrive late -----------------------------------------------------------------------------------


def revoke_unpublished(clerk: Clerk) -> None:
    clerk.table_api.refused = {"PutItem"}
    assert clerk.ask(REVOKE, EXPORT).status == 200
    clerk.table_api.refused = set()


@pytest.mark.parametrize("refill", [True, False])
def test_what_was_read_before_the_revocation_does_not_lower_the_fence(granted: Clerk, refill: bool) -> None:
    old = item_of(granted)
    revoke_unpublished(granted)

    entitlements.put_snapshot(granted.cache, old, refill=refill)

    assert fails(lambda: granted.read(store=False))
    assert not granted.allowed()


@pytest.mark.parametrize("refill", [True, False])
def test_an_old_state_under_a_newer_catalog_has_the_same_version_and_does_not_lower_it_either(
    granted: Clerk, refill: bool
) -> None:
    granted.world.give("seats", 9)
    old = item_of(granted)
    revoke_unpublished(granted)
    assert old.version == item_of(granted).version - 1
    old = old._replace(version=old.version + 1, epoch=old.epoch + 1)

    entitlements.put_snapshot(granted.cache, old, refill=refill)

    assert not granted.allowed()
    assert not granted.allowed(store=False)


def test_a_user_who_was_not_cached_is_fenced_as_well(clerk: Clerk) -> None:
    clerk.ask(GIVE, EXPORT)
    pk = snapshot_pk(keys.tag("notes"), "ann")
    clerk.cache.aws.call("DeleteItem", {"TableName": clerk.cache.table, "Key": {"pk": {"S": pk}}})
    old = item_of(clerk)
    revoke_unpublished(clerk)

    entitlements.put_snapshot(clerk.cache, old, refill=True)

    assert not clerk.allowed()


def test_a_reader_overtaken_by_a_fenced_state_asks_postgresql_again(granted: Clerk) -> None:
    """It read version n; n+1 was published meanwhile and a fence raised for n+2: neither may be its answer."""
    before = item_of(granted).version

    def overtake(operation: str) -> None:
        if operation == "PutItem":
            granted.table_api.before = lambda _: None
            with granted.colleague() as own:
                own.ask(GIVE, {**EXPORT, "feature": "seats", "value": 3})
                raised_and_given_up(own)

    granted.table_api.before = overtake
    answered = granted.reading(patience=10).refill_snapshot("notes", "ann", granted.clock)
    assert answered.version == before + 1


# --- every order ---------------------------------------------------------------------------------------------------

STEPS = ("fence", "commit", "read", "put", "catalog")
ORDERS = [
    order
    for order in itertools.permutations(STEPS)
    if order.index("fence") < order.index("commit") and order.index("read") < order.index("put")
]


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("refill", [True, False])
def test_in_no_order_of_fence_commit_refill_and_catalog_is_the_old_state_readable_once_done(
    clerk: Clerk, cached: bool, refill: bool
) -> None:
    """The writer cannot publish at all; a reader or another publisher, of whatever moment, puts what it read."""
    for number, order in enumerate(ORDERS):
        user, changes, epoch = f"user-{number}", 5, 3
        read = state(user, changes, epoch, clerk.clock)
        if cached:
            entitlements.put_snapshot(clerk.cache, read, refill=False)
        for step in order:
            if step == "fence":
                raise_fences(clerk.cache, [Fenced("notes", user, changes + 1)], clerk.clock + FENCE)
            elif step == "commit":
                changes += 1
            elif step == "read":
                read = state(user, changes, epoch, clerk.clock)
            elif step == "catalog":
                epoch += 1
            else:
                with suppress(Transient):  # a reader is told to ask PostgreSQL again
                    entitlements.put_snapshot(clerk.cache, read, refill=refill)
        seen = entitlements.read_snapshot(clerk.cache, keys.tag("notes"), user)
        assert seen is None or seen.version - seen.epoch == 6, order


def state(user: str, changes: int, epoch: int, now: datetime) -> SnapshotItem:
    return SnapshotItem.of(Snapshot("notes", user, changes + epoch, epoch, now, {}), now)

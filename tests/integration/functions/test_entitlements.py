"""The check function through literal gateway events, a real PostgreSQL and a real DynamoDB API (SPEC §3, §5)."""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.cache import client as cache_client
from billing.cache import entitlements
from billing.cache.client import Client
from billing.cache.item import FRESH, STALE, SnapshotItem, snapshot_to_item
from billing.domain import keys
from billing.domain.snapshot import Snapshot
from billing.runtime.entrypoint import Handle
from billing.store import keys as stored_keys
from billing.store.connection import close, transaction
from billing.store.snapshots import snapshot_of
from billing.usecases.answer_check import CLAIM_WINDOW
from billing.usecases.refill_snapshot import record_of
from functions.entitlements.handler import CHECK, LIST, build
from tests.support.faulty_dynamodb import FaultyDynamoDB, run_faulty_dynamodb
from tests.support.wire import CONTEXT, rest_event
from tests.support.world import MONTH, START, World, make_world

pytestmark = pytest.mark.alone

NOW = START + timedelta(days=10)
TICK = timedelta(microseconds=1)
ENDS = START + MONTH + timedelta(hours=72)
"""When pro's window closes: the period's end and the renewal leeway."""

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@dataclass
class Checks:
    """The function under test with its parts: the clock is ours, the table lies behind `table_api`."""

    world: World
    table_api: FaultyDynamoDB
    cache: Client
    environ: dict[str, str]
    key: str
    now: datetime = NOW
    handlers: dict[str, Handle] = field(default_factory=dict)

    def call(self, route: str, query: dict[str, Any], store: bool = True, **headers: Any) -> dict[str, Any]:
        """`store=False`: PostgreSQL cannot be reached."""
        url = self.world.database_url if store else NOWHERE
        if url not in self.handlers:
            self.handlers[url] = build({**self.environ, "DATABASE_URL": url}, lambda: self.now)
        given = {"Authorization": f"Bearer {self.key}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        event = rest_event("GET", route, query=query, headers={k: v for k, v in given.items() if v is not None})
        answer: dict[str, Any] = self.handlers[url](event, CONTEXT)
        return answer

    def list(self, user_id: str = "ann", **more: Any) -> dict[str, Any]:
        return self.call(LIST, {"user_id": user_id}, **more)

    def check(self, feature: str = "export", user_id: str = "ann", **more: Any) -> dict[str, Any]:
        return self.call(CHECK, {"user_id": user_id, "feature": feature}, **more)

    def publish(self, user_id: str = "ann", renew_keys: bool = True) -> None:
        """What a writer does before it is acknowledged."""
        with transaction(self.world.database_url) as connection:
            snapshot = snapshot_of(connection, "notes", user_id)
            stored = stored_keys.keys_of_project(connection, "notes")
        assert snapshot is not None
        entitlements.put_snapshot(self.cache, SnapshotItem.of(snapshot, self.now), refill=not renew_keys)
        for key in stored if renew_keys else ():
            entitlements.put_key(self.cache, record_of(key, self.now), refill=False)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    yield make_world(database_url)
    close(database_url)


@pytest.fixture
def checks(world: World, aws_endpoint: str, table_name: str) -> Iterator[Checks]:
    with run_faulty_dynamodb(aws_endpoint) as table_api:
        environ = {**CREDENTIALS, "AWS_ENDPOINT_URL": table_api.url, "TABLE_NAME": table_name}
        direct = cache_client.connect(table_name, environ={**environ, "AWS_ENDPOINT_URL": aws_endpoint})
        yield Checks(world, table_api, direct, environ, world.key())


def body_of(answer: dict[str, Any], status: int = 200) -> dict[str, Any]:
    assert answer["statusCode"] == status, answer
    document: dict[str, Any] = json.loads(answer["body"])
    return document


def code_of(answer: dict[str, Any], status: int) -> str:
    document = body_of(answer, status)
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert document["status"] == status
    return str(document["code"])


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_subscriber_holds_what_the_product_gives(checks: Checks) -> None:
    checks.world.subscribe("ann", quantity=3)
    document = body_of(checks.list())
    assert {e["feature"]: e["value"] for e in document["entitlements"]} == {"export": True, "seats": 6}
    assert document["stale"] is False
    assert list(document)[-1] == "stale"


def test_an_unknown_user_holds_nothing_and_is_no_error(checks: Checks) -> None:
    assert body_of(checks.list("nobody"))["entitlements"] == []
    checked = body_of(checks.check("export", "nobody"))
    assert (checked["allowed"], checked["reason"]) == (False, "no_source")


def test_a_feature_the_project_lacks_is_named_so_cached_or_not(checks: Checks) -> None:
    answers = [body_of(checks.check("nonsense")) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["reason"] == "feature_not_found"


def test_the_first_answer_fills_the_cache_and_the_next_costs_one_read_and_no_postgresql(checks: Checks) -> None:
    checks.world.subscribe("ann")
    first = [checks.check(), checks.list()]
    checks.table_api.calls.clear()
    second = [checks.check(store=False), checks.list(store=False)]
    assert [answer["body"] for answer in second] == [answer["body"] for answer in first]
    assert [operation for operation, _ in checks.table_api.calls] == ["BatchGetItem", "BatchGetItem"]


def test_a_purchase_overrides_the_cached_no_of_an_unknown_user_at_once(checks: Checks) -> None:
    assert body_of(checks.check())["allowed"] is False
    checks.world.subscribe("ann")
    checks.publish()
    assert body_of(checks.check(store=False))["allowed"] is True


def test_a_denial_is_effective_on_the_next_check(checks: Checks) -> None:
    checks.world.subscribe("ann")
    assert body_of(checks.check())["allowed"] is True
    checks.world.deny("ann", "export", now=NOW)
    checks.publish()
    checked = body_of(checks.check(store=False))
    assert (checked["allowed"], checked["reason"]) == (False, "denied")


def test_a_catalog_edit_makes_every_cached_answer_of_the_project_a_miss(checks: Checks) -> None:
    for user_id in ("ann", "bob"):
        checks.world.subscribe(user_id)
        assert body_of(checks.check("seats", user_id))["value"] == 2
    checks.world.give("seats", 9)
    checks.publish("ann")
    assert body_of(checks.check("seats", "bob"))["value"] == 9


def test_an_item_of_an_older_catalog_is_never_served_even_while_postgresql_is_down(checks: Checks) -> None:
    checks.world.subscribe("bob")
    assert body_of(checks.check("seats", "bob"))["value"] == 2
    checks.world.give("seats", 9)
    checks.publish("ann")
    assert code_of(checks.check("seats", "bob", store=False), 503) == "unavailable"


def test_two_projects_never_see_each_others_users_though_their_ids_and_even_their_tags_be_equal(checks: Checks) -> None:
    checks.world.subscribe("ann")
    foreign = SnapshotItem.of(Snapshot("strangers", "ann", 10**9, 10**9, NOW, {}), NOW)
    item = {**snapshot_to_item(foreign), "pk": {"S": f"S#{keys.tag('notes')}#ann"}}
    checks.cache.aws.call("PutItem", {"TableName": checks.cache.table, "Item": item})
    checks.check(user_id="bob")
    assert code_of(checks.check(store=False), 503) == "unavailable"
    for _ in range(2):
        assert body_of(checks.check())["allowed"] is True
        assert body_of(checks.list())["project_id"] == "notes"


# --- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [NOW, ENDS - timedelta(minutes=4), ENDS - TICK])
@pytest.mark.parametrize(("away", "allowed"), [(-TICK, True), (timedelta(0), False), (TICK, False)])
def test_no_answer_grants_past_a_windows_end_whenever_it_was_made(
    checks: Checks, made: datetime, away: timedelta, allowed: bool
) -> None:
    checks.world.subscribe("ann")
    checks.now = made
    checks.check()
    checks.now = ENDS + away
    checked = body_of(checks.check())
    assert checked["allowed"] is allowed
    assert bool(body_of(checks.list())["entitlements"]) is allowed


def test_an_answer_cached_before_a_window_opens_grants_from_its_start(checks: Checks) -> None:
    checks.world.subscribe("ann", start=NOW + timedelta(minutes=1))
    assert body_of(checks.check())["reason"] == "not_started"
    checks.now += timedelta(minutes=1)
    assert body_of(checks.check(store=False))["allowed"] is True


def test_a_boundary_inside_an_items_freshness_needs_no_postgresql(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.now = ENDS - timedelta(minutes=1)
    checks.list()
    checks.now = ENDS
    document = body_of(checks.list(store=False))
    assert (document["entitlements"], document["stale"]) == ([], False)
    assert body_of(checks.check(store=False))["reason"] == "expired"


def test_the_etag_answers_304_until_the_answer_changes(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.now = ENDS - timedelta(minutes=1)
    tag = checks.list()["headers"]["etag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', ['"other"', tag], "*"):
        unchanged = checks.list(if_none_match=sent)
        assert (unchanged["statusCode"], unchanged["body"], unchanged["headers"]["etag"]) == (304, "", tag)
    checks.now = ENDS - TICK
    assert checks.list(if_none_match=tag)["statusCode"] == 304
    checks.now = ENDS
    changed = checks.list(if_none_match=tag)
    assert body_of(changed)["entitlements"] == []
    assert changed["headers"]["etag"] != tag


def test_nobody_else_may_answer_from_a_cache_of_theirs(checks: Checks) -> None:
    for answer in (checks.list(), checks.check(), checks.list(if_none_match="*")):
        assert answer["headers"]["cache-control"] == "private, max-age=0, must-revalidate"
    assert checks.list(Authorization=None)["headers"]["cache-control"] == "no-store"


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer bk_test_guess", "Basic dTpw", ["Bearer a", "Bearer b"]])
def test_a_request_without_a_well_formed_key_is_refused_before_any_io(checks: Checks, header: Any) -> None:
    answer = checks.check(store=False, Authorization=header)
    assert code_of(answer, 401) == "invalid_api_key"
    assert answer["headers"]["www-authenticate"] == "Bearer"
    assert checks.table_api.calls == []


def test_a_well_formed_key_that_nobody_was_given_opens_nothing(checks: Checks) -> None:
    checks.key = keys.mint("live", "notes", secrets.token_bytes(32))
    assert code_of(checks.check(), 401) == "invalid_api_key"


def test_a_key_that_differs_from_a_live_one_in_its_last_random_character_opens_nothing(checks: Checks) -> None:
    assert checks.check()["statusCode"] == 200
    body = checks.key[:-9] + ("A" if checks.key[-9] != "A" else "B")
    checks.key = body + keys.checksum(body)
    assert keys.well_formed(checks.key)
    assert code_of(checks.check(), 401) == "invalid_api_key"


def test_an_unknown_key_is_not_judged_while_postgresql_is_down(checks: Checks) -> None:
    checks.key = keys.mint("live", "notes", secrets.token_bytes(32))
    assert code_of(checks.check(store=False), 503) == "unavailable"


def test_a_revoked_key_opens_nothing_from_the_next_request_on(checks: Checks) -> None:
    assert checks.check()["statusCode"] == 200
    with transaction(checks.world.database_url) as connection:
        found = stored_keys.find_key(connection, keys.digest(checks.key))
        assert found is not None
        stored_keys.revoke_key(connection, found.id, checks.now)
    checks.publish()
    assert code_of(checks.check(store=False), 401) == "invalid_api_key"
    assert code_of(checks.check(), 401) == "invalid_api_key"


def test_a_key_expires_at_its_instant_though_its_record_is_cached(checks: Checks) -> None:
    checks.key = checks.world.key(expires_at=NOW + timedelta(minutes=1))
    assert checks.check()["statusCode"] == 200
    checks.now = NOW + timedelta(minutes=1) - TICK
    assert checks.check()["statusCode"] == 200
    checks.now += TICK
    assert code_of(checks.check(), 401) == "invalid_api_key"


def test_during_a_rotation_both_keys_open(checks: Checks) -> None:
    old, new = checks.key, checks.world.key()
    for key in (old, new):
        checks.key = key
        assert checks.check()["statusCode"] == 200


def test_an_admin_key_does_not_answer_for_a_project(checks: Checks) -> None:
    checks.key = keys.mint("test", None, secrets.token_bytes(32))
    with transaction(checks.world.database_url) as connection:
        stored_keys.insert_key(
            connection,
            key_id="key_admin",
            digest=keys.digest(checks.key),
            role="admin",
            project_id=None,
            name="ops",
            mode="test",
        )
    for _ in range(2):
        assert code_of(checks.check(), 403) == "wrong_role"


def test_a_suspended_projects_keys_are_refused_with_the_reason(checks: Checks) -> None:
    assert checks.check()["statusCode"] == 200
    with transaction(checks.world.database_url) as connection:
        connection.execute(
            "UPDATE projects SET status = 'suspended', catalog_epoch = catalog_epoch + 1 WHERE id = 'notes'"
        )
    checks.publish()
    assert code_of(checks.check(store=False), 403) == "project_suspended"


# --- faults ----------------------------------------------------------------------------------------------------------

FRESH_END = NOW + FRESH
STALE_END = FRESH_END + STALE


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (FRESH_END - TICK, "current"),
        (FRESH_END + CLAIM_WINDOW, "stale"),
        (STALE_END - TICK, "stale"),
        (STALE_END, "unavailable"),
    ],
)
def test_while_postgresql_is_down_an_old_answer_is_marked_and_after_a_day_refused(
    checks: Checks, at: datetime, expected: str
) -> None:
    checks.world.subscribe("ann")
    checks.check()
    checks.now = at
    for answer in (checks.check(store=False), checks.list(store=False)):
        if expected == "unavailable":
            assert code_of(answer, 503) == "unavailable"
            assert body_of(answer, 503)["retryable"] is True
        else:
            assert body_of(answer)["stale"] is (expected == "stale")


def test_a_fresh_answer_behind_an_old_key_is_marked_stale_while_postgresql_is_down(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.check()
    checks.now = FRESH_END + CLAIM_WINDOW
    with transaction(checks.world.database_url) as connection:
        snapshot = snapshot_of(connection, "notes", "ann")
    assert snapshot is not None
    entitlements.put_snapshot(checks.cache, SnapshotItem.of(snapshot, checks.now), refill=True)
    assert body_of(checks.check(store=False))["stale"] is True


@pytest.mark.parametrize("renewed", ["key", "snapshot"])
def test_a_day_is_the_limit_for_key_and_answer_each_on_its_own(checks: Checks, renewed: str) -> None:
    checks.check()
    checks.now = STALE_END
    if renewed == "key":
        checks.check(user_id="bob")
    else:
        checks.publish(renew_keys=False)
    assert code_of(checks.check(store=False), 503) == "unavailable"


def test_the_first_to_find_freshness_over_and_postgresql_down_says_so_at_once(checks: Checks) -> None:
    checks.check()
    checks.now = FRESH_END
    assert body_of(checks.check(store=False))["stale"] is True


CROWD = 6


def test_a_crowd_that_finds_a_hot_users_freshness_over_costs_at_most_two_refills(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.check()
    checks.now = FRESH_END
    checks.table_api.calls.clear()
    # one handler a thread, as one function instance a request
    environ = {**checks.environ, "DATABASE_URL": checks.world.database_url}
    event = rest_event(
        "GET", CHECK, query={"user_id": "ann", "feature": "export"}, headers={"Authorization": f"Bearer {checks.key}"}
    )
    together = threading.Barrier(CROWD)

    def ask() -> bool:
        handler = build(environ, lambda: checks.now)
        together.wait(10)
        answers = [body_of(handler(event, CONTEXT)) for _ in range(10)]
        close(checks.world.database_url)
        return all(answer["allowed"] and not answer["stale"] for answer in answers)

    with ThreadPoolExecutor(CROWD) as crowd:
        assert all(crowd.map(lambda _: ask(), range(CROWD)))
    puts = [request["Item"]["pk"]["S"][:2] for operation, request in checks.table_api.calls if operation == "PutItem"]
    # none where this machine is too slow for DynamoDB's 150 ms: then PostgreSQL answered
    assert puts.count("S#") <= 2
    assert puts.count("K#") <= 2


def test_a_stale_answer_still_ends_with_its_window(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.now = ENDS - timedelta(hours=1)
    checks.list()
    checks.now = ENDS
    document = body_of(checks.list(store=False))
    assert (document["entitlements"], document["stale"]) == ([], True)


def test_a_stale_answer_has_another_tag_than_the_current_one(checks: Checks) -> None:
    tag = checks.list()["headers"]["etag"]
    checks.now = FRESH_END
    assert checks.list(store=False, if_none_match=tag)["statusCode"] == 200


def test_a_missing_item_never_means_no_while_postgresql_is_down(checks: Checks) -> None:
    checks.check(user_id="bob")
    assert code_of(checks.check(store=False), 503) == "unavailable"


def test_past_freshness_the_answer_is_refilled_and_fresh_again(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.check()
    checks.now = FRESH_END
    checks.check()
    assert body_of(checks.check(store=False))["stale"] is False


@pytest.mark.parametrize("fault", ["slow", "throttle", "broken", "unprocessed", "lost"])
def test_a_table_that_does_not_answer_is_passed_by_and_not_asked_again_for_a_while(checks: Checks, fault: Any) -> None:
    checks.world.subscribe("ann")
    checks.check(user_id="warm-up")
    checks.table_api.every = fault
    started = time.monotonic()
    assert body_of(checks.check())["allowed"] is True
    assert time.monotonic() - started < 1
    asked = len(checks.table_api.calls)
    assert body_of(checks.check())["allowed"] is True
    assert len(checks.table_api.calls) == asked


def test_a_table_that_answers_again_is_used_again_within_two_seconds(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.table_api.every = "broken"
    checks.check()
    checks.table_api.every = None
    checks.table_api.calls.clear()
    deadline = time.monotonic() + 2
    while not checks.table_api.count("BatchGetItem") and time.monotonic() < deadline:
        assert checks.check()["statusCode"] == 200
    assert checks.table_api.count("BatchGetItem") == 1
    assert body_of(checks.check(store=False))["allowed"] is True


def test_one_slow_read_is_no_second_of_503s_while_postgresql_is_away(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.check()
    checks.table_api.faults = ["slow"]
    answers = [checks.check(store=False) for _ in range(5)]
    assert [answer["statusCode"] for answer in answers] == [200] * 5


def test_without_table_and_postgresql_the_answer_is_503_and_never_a_guess(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.check()
    checks.table_api.every = "broken"
    for answer in (checks.check(store=False), checks.list(store=False)):
        assert code_of(answer, 503) == "unavailable"
        assert answer["headers"]["retry-after"] == "1"


def test_an_item_past_its_ttl_that_dynamodb_has_not_deleted_yet_is_read_by_the_same_rules(checks: Checks) -> None:
    checks.world.subscribe("ann")
    checks.check()
    stored = entitlements.read_snapshot(checks.cache, keys.tag("notes"), "ann")
    assert stored is not None
    item = {**snapshot_to_item(stored), "ttl": {"N": "1"}}
    checks.cache.aws.call("PutItem", {"TableName": checks.cache.table, "Item": item})
    assert body_of(checks.check(store=False))["allowed"] is True


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "query", "pointer"),
    [
        (LIST, {}, "?user_id"),
        (LIST, {"user_id": ""}, "?user_id"),
        (LIST, {"user_id": "x" * 256}, "?user_id"),
        (LIST, {"user_id": "a\x00b"}, "?user_id"),
        (LIST, {"user_id": "a\nb"}, "?user_id"),
        (LIST, {"user_id": "a\u202eb"}, "?user_id"),
        (LIST, {"user_id": "a\ud800"}, "?user_id"),
        (LIST, {"user_id": ["a", "b"]}, "?user_id"),
        (CHECK, {"user_id": "a"}, "?feature"),
        (CHECK, {"user_id": "a", "feature": ""}, "?feature"),
        (CHECK, {"user_id": "a", "feature": "1st"}, "?feature"),
        (CHECK, {"user_id": "a", "feature": "a" * 64}, "?feature"),
        (CHECK, {"user_id": "a", "feature": "a\n"}, "?feature"),
        (CHECK, {"user_id": "a", "feature": ["a", "a"]}, "?feature"),
    ],
)
def test_a_query_that_is_not_valid_names_the_parameter(
    checks: Checks, route: str, query: dict[str, Any], pointer: str
) -> None:
    document = body_of(checks.call(route, query), 422)
    assert document["code"] == "invalid_request"
    assert [fault["pointer"] for fault in document["errors"]] == [pointer]
    assert checks.table_api.calls == []


@pytest.mark.parametrize("user_id", ["a", "x" * 255, "ann@example.org", "a#b", "Ünï cödé", "漢字", '"{}\\', "%00"])
def test_a_user_id_is_opaque(checks: Checks, user_id: str) -> None:
    for _ in range(2):
        assert body_of(checks.list(user_id))["user_id"] == user_id


def test_other_routes_and_methods_are_problems_too(checks: Checks) -> None:
    handler = build({**checks.environ, "DATABASE_URL": NOWHERE})
    assert code_of(handler(rest_event("GET", "/api/v1/other"), CONTEXT), 404) == "not_found"
    assert code_of(handler(rest_event("DELETE", LIST), CONTEXT), 405) == "method_not_allowed"


def test_neither_key_nor_user_reaches_the_log(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    user_id = "canary-user@example.org"
    checks.list(user_id)
    checks.list(user_id, store=False)
    checks.now += STALE * 2
    checks.check("export", user_id, store=False)
    checks.check("export", user_id, Authorization="Bearer " + checks.key + "x")
    written = capsys.readouterr().err
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 503, 401]
    assert [line.get("road") for line in lines] == ["refill", "hit", None, None]
    assert lines[0]["project_id"] == "notes"
    assert "canary" not in written
    assert checks.key[8:] not in written
    assert checks.key[16:40] not in written


HIT = """
import json, sys
from functions.entitlements import handler
before = set(sys.modules)
answer = handler.lambda_handler(json.loads(sys.argv[1]), None)
heavy = {"stripe", "psycopg", "pydantic", "boto3", "botocore", "aws_lambda_powertools", "requests", "urllib3"}
heavy |= {"dataclasses", "inspect", "http.client", "random", "billing.domain.entitlements"}  # docs/adr/0044
print(json.dumps([answer["statusCode"], sorted(heavy & set(sys.modules)), json.loads(answer["body"])["allowed"]]))
"""


def test_a_hit_imports_the_standard_library_and_this_package_only(checks: Checks) -> None:
    checks.now = datetime.now(START.tzinfo)
    checks.world.subscribe("ann", start=checks.now - timedelta(days=1))
    checks.check()
    event = rest_event(
        "GET",
        CHECK,
        query={"user_id": "ann", "feature": "export"},
        headers={"authorization": f"Bearer {checks.key}"},
    )
    environ = {**os.environ, **checks.environ, "DATABASE_URL": NOWHERE, "PYTHONPATH": "shared:."}
    ran = subprocess.run(
        [sys.executable, "-c", HIT, json.dumps(event)],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(ran.stdout) == [200, [], True]

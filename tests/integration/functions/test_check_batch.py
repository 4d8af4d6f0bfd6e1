"""POST /api/v1/entitlements/check through literal gateway events: many checks, each as it would be alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.cache.item import FRESH
from billing.runtime.entrypoint import Handle
from billing.store.connection import close
from billing.usecases.answer_check import CLAIM_WINDOW
from functions.entitlements.handler import CHECK, build
from tests.support.faulty_dynamodb import FaultyDynamoDB, run_faulty_dynamodb
from tests.support.wire import CONTEXT, rest_event
from tests.support.world import MONTH, START, World, make_world

pytestmark = pytest.mark.alone

NOW = START + timedelta(days=10)
ENDS = START + MONTH + timedelta(hours=72)
NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}

Pair = tuple[str, str]


@dataclass
class Desk:
    """The function under test; the clock is ours, the table lies behind `table_api`."""

    world: World
    table_api: FaultyDynamoDB
    environ: dict[str, str]
    key: str
    now: datetime = NOW
    handlers: dict[str, Handle] = field(default_factory=dict)

    def call(self, event: dict[str, Any], store: bool = True) -> dict[str, Any]:
        """`store=False`: PostgreSQL cannot be reached."""
        url = self.world.database_url if store else NOWHERE
        if url not in self.handlers:
            self.handlers[url] = build({**self.environ, "DATABASE_URL": url}, lambda: self.now)
        answer: dict[str, Any] = self.handlers[url](event, CONTEXT)
        return answer

    def post(self, body: str | bytes, store: bool = True, key: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
        return self.call(rest_event("POST", CHECK, headers=headers, body=body), store)

    def batch(self, *pairs: Pair, store: bool = True) -> list[dict[str, Any]]:
        answer = self.post(body_of(*pairs), store)
        assert answer["statusCode"] == 200, answer
        results: list[dict[str, Any]] = json.loads(answer["body"])["results"]
        return results

    def check(self, user_id: str, feature: str, store: bool = True) -> dict[str, Any]:
        """The same question, asked alone."""
        query = {"user_id": user_id, "feature": feature}
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = self.call(rest_event("GET", CHECK, query=query, headers=headers), store)
        document: dict[str, Any] = json.loads(answer["body"])
        return document

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.table_api.calls]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    yield make_world(database_url)
    close(database_url)


@pytest.fixture
def desk(world: World, aws_endpoint: str, table_name: str) -> Iterator[Desk]:
    with run_faulty_dynamodb(aws_endpoint) as table_api:
        environ = {**CREDENTIALS, "AWS_ENDPOINT_URL": table_api.url, "TABLE_NAME": table_name}
        yield Desk(world, table_api, environ, world.key())


def body_of(*pairs: Pair) -> str:
    return json.dumps({"checks": [{"user_id": user_id, "feature": feature} for user_id, feature in pairs]})


def problem_of(answer: dict[str, Any], status: int) -> dict[str, Any]:
    assert answer["statusCode"] == status, answer
    assert answer["headers"]["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer["body"])
    return document


# --- answers ---------------------------------------------------------------------------------------------------------


def test_each_result_is_what_the_check_alone_says_in_the_order_asked(desk: Desk) -> None:
    desk.world.subscribe("ann", quantity=3)
    desk.world.subscribe("bob", status="unpaid")
    pairs = [("bob", "export"), ("ann", "seats"), ("nobody", "seats"), ("ann", "nonsense"), ("ann", "export")]
    results = desk.batch(*pairs)
    assert results == [desk.check(*pair) for pair in pairs]
    assert [result["allowed"] for result in results] == [False, True, False, False, True]
    assert [result["reason"] for result in results] == [
        "past_due_grace_ended",
        "entitled",
        "no_source",
        "feature_not_found",
        "entitled",
    ]
    assert results[1]["value"] == 6


def test_the_same_pair_twice_is_answered_twice(desk: Desk) -> None:
    first, second = desk.batch(("ann", "export"), ("ann", "export"))
    assert first == second


def test_cached_users_cost_one_read_and_no_postgresql(desk: Desk) -> None:
    desk.world.subscribe("ann")
    pairs = [(user_id, feature) for user_id in ("ann", "bob", "cid") for feature in ("export", "seats")]
    filled = desk.batch(*pairs)
    desk.table_api.calls.clear()
    assert desk.batch(*pairs, store=False) == filled
    assert desk.operations() == ["BatchGetItem"]
    [(_, request)] = desk.table_api.calls
    assert all(asked["ConsistentRead"] for asked in request["RequestItems"].values())


def test_a_user_who_is_not_cached_is_refilled_once_for_all_features(desk: Desk) -> None:
    desk.world.subscribe("ann")
    desk.batch(("bob", "export"))
    desk.table_api.calls.clear()
    results = desk.batch(("ann", "export"), ("ann", "seats"), ("ann", "nonsense"), ("bob", "export"))
    assert [result["allowed"] for result in results] == [True, True, False, False]
    assert desk.operations() == ["BatchGetItem", "PutItem"]


def test_a_hundred_users_take_two_reads_for_with_the_key_they_are_a_hundred_and_one(desk: Desk) -> None:
    pairs = [(f"user-{n}", "export") for n in range(100)]
    desk.batch(*pairs)
    desk.table_api.calls.clear()
    results = desk.batch(*pairs, store=False)
    assert [result["user_id"] for result in results] == [user_id for user_id, _ in pairs]
    assert desk.operations() == ["BatchGetItem", "BatchGetItem"]
    desk.table_api.calls.clear()
    desk.batch(*pairs[:99], store=False)
    assert desk.operations() == ["BatchGetItem"]


def test_past_a_windows_end_a_users_item_is_read_whole_once(desk: Desk) -> None:
    desk.world.subscribe("ann")
    desk.now = ENDS - timedelta(minutes=1)
    desk.batch(("ann", "export"), ("ann", "seats"))
    desk.now = ENDS
    desk.table_api.calls.clear()
    results = desk.batch(("ann", "export"), ("ann", "seats"), store=False)
    assert {(result["allowed"], result["reason"], result["stale"]) for result in results} == {(False, "expired", False)}
    assert desk.operations() == ["BatchGetItem", "BatchGetItem"]


def test_a_denial_is_effective_in_the_next_batch(desk: Desk) -> None:
    desk.world.subscribe("ann")
    assert desk.batch(("ann", "export"))[0]["allowed"]
    desk.world.deny("ann", "export", now=NOW)
    desk.now += FRESH + CLAIM_WINDOW
    [result] = desk.batch(("ann", "export"))
    assert (result["allowed"], result["reason"]) == (False, "denied")


def test_nobody_else_may_answer_a_batch_from_a_cache_of_theirs(desk: Desk) -> None:
    answer = desk.post(body_of(("ann", "export")))
    assert answer["headers"]["cache-control"] == "private, max-age=0, must-revalidate"


# --- faults ----------------------------------------------------------------------------------------------------------


def test_while_postgresql_is_down_old_answers_are_marked(desk: Desk) -> None:
    desk.batch(("ann", "export"), ("bob", "export"))
    desk.now += FRESH + CLAIM_WINDOW
    assert [result["stale"] for result in desk.batch(("ann", "export"), ("bob", "export"), store=False)] == [True, True]


def test_one_user_nobody_can_answer_for_makes_the_batch_503_never_a_silent_no(desk: Desk) -> None:
    desk.batch(("ann", "export"))
    answer = desk.post(body_of(("ann", "export"), ("bob", "export")), store=False)
    document = problem_of(answer, 503)
    assert (document["code"], document["retryable"]) == ("unavailable", True)


@pytest.mark.parametrize("fault", ["slow", "throttle", "unprocessed", "lost"])
def test_a_table_that_does_not_answer_is_passed_by(desk: Desk, fault: Any) -> None:
    desk.world.subscribe("ann")
    desk.batch(("ann", "export"))
    desk.table_api.every = fault
    assert [result["allowed"] for result in desk.batch(("ann", "export"), ("bob", "export"))] == [True, False]


def test_keys_left_unprocessed_are_asked_for_again(desk: Desk) -> None:
    desk.world.subscribe("ann")
    pairs = [("ann", "export"), ("bob", "export")]
    filled = desk.batch(*pairs)
    desk.table_api.faults = ["half_unprocessed", "half_unprocessed"]
    assert desk.batch(*pairs, store=False) == filled


# --- requests --------------------------------------------------------------------------------------------------------

CASES: list[tuple[Any, list[str]]] = [
    ({}, ["/checks"]),
    ({"checks": []}, ["/checks"]),
    ({"checks": {}}, ["/checks"]),
    ({"checks": None}, ["/checks"]),
    ({"checks": [{"user_id": "a", "feature": "b"}] * 101}, ["/checks"]),
    ({"checks": [{"user_id": "a", "feature": "b"}], "extra": 1, "a/b": 2}, ["/extra", "/a~1b"]),
    ({"checks": [["a", "b"], None]}, ["/checks/0", "/checks/1"]),
    ({"checks": [{}]}, ["/checks/0/user_id", "/checks/0/feature"]),
    ({"checks": [{"user_id": "a", "feature": "b"}, {"user_id": "", "feature": "b"}]}, ["/checks/1/user_id"]),
    ({"checks": [{"user_id": 7, "feature": True}]}, ["/checks/0/user_id", "/checks/0/feature"]),
    ({"checks": [{"user_id": "x" * 256, "feature": "b"}]}, ["/checks/0/user_id"]),
    ({"checks": [{"user_id": "a\u0000", "feature": "b"}]}, ["/checks/0/user_id"]),
    ({"checks": [{"user_id": "a\ud800", "feature": "b"}]}, ["/checks/0/user_id"]),
    ({"checks": [{"user_id": "a", "feature": "1st"}]}, ["/checks/0/feature"]),
    ({"checks": [{"user_id": "a", "feature": "b", "at": "now"}]}, ["/checks/0/at"]),
]


@pytest.mark.parametrize(("document", "pointers"), CASES)
def test_what_is_not_valid_is_named_by_its_pointer_before_any_io(
    desk: Desk, document: Any, pointers: list[str]
) -> None:
    problem = problem_of(desk.post(json.dumps(document), store=False), 422)
    assert problem["code"] == "invalid_request"
    assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert desk.table_api.calls == []


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '{"checks": NaN}', b"\xff", "[" * 100_000, '{"checks":' * 20_000],
    ids=["empty", "cut", "list", "null", "nan", "not utf-8", "deep list", "deep object"],
)
def test_what_is_no_json_object_is_400(desk: Desk, body: str | bytes) -> None:
    assert problem_of(desk.post(body, store=False), 400)["code"] == "malformed_request"


def test_a_body_larger_than_any_batch_is_413(desk: Desk) -> None:
    body = json.dumps({"checks": [{"user_id": "a" * 1_048_576, "feature": "b"}]})
    assert problem_of(desk.post(body, store=False), 413)["code"] == "request_too_large"


def test_a_hundred_of_the_longest_user_ids_fit_however_they_are_escaped(desk: Desk) -> None:
    pairs = [("\U0001f600" * 252 + f"{n:03}", "f" * 63) for n in range(100)]
    assert [result["reason"] for result in desk.batch(*pairs)] == ["feature_not_found"] * 100


def test_without_a_key_nothing_is_read(desk: Desk) -> None:
    answer = desk.call(rest_event("POST", CHECK, body=body_of(("ann", "export"))))
    assert problem_of(answer, 401)["code"] == "invalid_api_key"
    assert desk.table_api.calls == []


def test_other_methods_are_named_with_those_it_takes(desk: Desk) -> None:
    document = problem_of(desk.call(rest_event("PUT", CHECK)), 405)
    assert document["detail"] == f"{CHECK} takes GET and POST."


def test_one_line_is_logged_for_the_batch_with_no_user_in_it(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.batch(("canary-user", "export"), ("canary-other", "export"))
    desk.batch(("canary-user", "export"), ("canary-third", "export"))
    written = capsys.readouterr().err
    lines = [json.loads(line) for line in written.splitlines()]
    assert [(line["checks"], line["road"]) for line in lines] == [(2, "refill"), (2, "hit+refill")]
    assert "canary" not in written


HIT = """
import json, sys
from functions.entitlements import handler
answer = handler.lambda_handler(json.loads(sys.argv[1]), None)
heavy = {"stripe", "psycopg", "pydantic", "boto3", "botocore", "aws_lambda_powertools", "requests", "urllib3"}
heavy |= {"dataclasses", "inspect", "http.client", "random", "billing.domain.entitlements"}  # docs/adr/0044
print(json.dumps([sorted(heavy & set(sys.modules)), [r["allowed"] for r in json.loads(answer["body"])["results"]]]))
"""


def test_a_batch_that_hits_imports_the_standard_library_and_this_package_only(desk: Desk) -> None:
    desk.now = datetime.now(START.tzinfo)
    desk.world.subscribe("ann", start=desk.now - timedelta(days=1))
    pairs = [("ann", "export"), ("bob", "export")]
    desk.batch(*pairs)
    event = rest_event("POST", CHECK, headers={"authorization": f"Bearer {desk.key}"}, body=body_of(*pairs))
    environ = {**os.environ, **desk.environ, "DATABASE_URL": NOWHERE, "PYTHONPATH": "shared:."}
    ran = subprocess.run(
        [sys.executable, "-c", HIT, json.dumps(event)],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(ran.stdout) == [[], [True, False]]

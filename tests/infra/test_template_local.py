"""`template-local.yaml` against the route table, the fleet, the functions' settings and the rules of their queue."""

import importlib

import pytest

from billing.runtime.settings import load
from billing.usecases.once import LEASE
from infra.fleet import FLEET, SCHEDULES
from infra.local.deploy import TEMPLATE
from infra.routes import FUNCTIONS, ROUTES
from infra.template import text
from tests.support.deployed import System

INLINE_LIMIT = 51_200
"""Bytes of a template that CloudFormation takes without an S3 bucket."""


def test_it_is_as_make_template_writes_it() -> None:
    assert TEMPLATE.read_text() == text(), "run `make template` and commit what it wrote"


def test_it_can_be_deployed_as_it_is() -> None:
    assert len(TEMPLATE.read_bytes()) <= INLINE_LIMIT


def test_its_routes_are_the_route_table(local: System) -> None:
    assert local.routes == set(ROUTES)


def test_the_gateway_may_invoke_every_function_it_routes_to_and_no_other(local: System) -> None:
    permitted = {function for principal, function in local.invokers if principal == "apigateway.amazonaws.com"}
    assert permitted == {route.function for route in ROUTES}


def test_it_has_every_function_and_no_other(local: System) -> None:
    assert set(local.functions) == set(FUNCTIONS) == {entry.folder for entry in FLEET}
    assert len(local.all("AWS::Lambda::Function")) == len(FLEET)


def test_its_schedules_are_the_fleets(local: System) -> None:
    assert {(function, expression) for function, expression, _ in local.schedules} == {
        (each.function, each.expression) for each in SCHEDULES
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_environment_fills_its_settings_and_nothing_it_does_not_read(local: System, function: str) -> None:
    module = importlib.import_module(local.functions[function]["Handler"].rpartition(".")[0])
    given = {name: value if isinstance(value, str) else "given" for name, value in local.variables(function).items()}
    load(module.Settings, given)
    assert module.lambda_handler
    common = {"STAGE", "LOG_LEVEL", "AWS_ENDPOINT_URL", "STRIPE_API_BASE"}
    assert set(given) - common <= {name.upper() for name in module.Settings._fields}


def test_a_message_stays_hidden_six_times_as_long_as_its_worker_may_run(local: System) -> None:
    queue = local.resources["EventsQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * local.functions["apply_events"]["Timeout"]


def test_an_idempotency_key_is_not_taken_over_while_its_holder_may_still_run(local: System) -> None:
    answering = {route.function for route in ROUTES}
    assert max(local.functions[folder]["Timeout"] for folder in answering) < LEASE.total_seconds()


def test_a_dead_letter_outlives_its_queue_by_the_most_there_is(local: System) -> None:
    dead = local.resources["EventsDeadLetters"]["Properties"]["MessageRetentionPeriod"]
    assert dead == 14 * 86_400 > local.resources["EventsQueue"]["Properties"]["MessageRetentionPeriod"]


def test_one_bad_message_does_not_fail_its_batch_and_the_database_sees_two_workers(local: System) -> None:
    source = local.one("AWS::Lambda::EventSourceMapping")
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 2}


def test_items_of_the_table_expire_by_their_ttl(local: System) -> None:
    table = local.one("AWS::DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]

"""`template-local.yaml` against the route table, the functions' settings and the rules of their queue."""

import importlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import yaml

from billing.runtime.settings import load
from billing.usecases.once import LEASE
from infra.local.deploy import TEMPLATE
from infra.routes import FUNCTIONS, ROUTES, Route
from infra.template import logical_id, with_routes


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref x` becomes {"Ref": "x"}."""


def tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    assert isinstance(node, yaml.ScalarNode)
    return {suffix: loader.construct_scalar(node)}


Loader.add_multi_constructor("!", tagged)


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    document = yaml.load(TEMPLATE.read_text(), Loader)  # noqa: S506  a SafeLoader with three more tags
    found: dict[str, Any] = document["Resources"]
    return found


def routes_of(body: dict[str, Any]) -> Iterator[Route]:
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            assert integration["type"] == "aws_proxy"
            (function,) = [name for name in FUNCTIONS if f"${{{logical_id(name)}.Arn}}" in integration["uri"]["Sub"]]
            yield Route(method.upper(), path, function)


def test_its_routes_are_as_make_template_writes_them() -> None:
    assert TEMPLATE.read_text() == with_routes(TEMPLATE.read_text())


def test_its_routes_are_the_route_table(resources: dict[str, Any]) -> None:
    assert set(routes_of(resources["Api"]["Properties"]["Body"])) == set(ROUTES)


def test_the_gateway_may_invoke_every_function_it_routes_to(resources: dict[str, Any]) -> None:
    permitted = {
        permission["Properties"]["FunctionName"]["Ref"]
        for permission in resources.values()
        if permission["Type"] == "AWS::Lambda::Permission"
        and permission["Properties"]["Principal"] == "apigateway.amazonaws.com"
    }
    assert permitted == {logical_id(route.function) for route in ROUTES}


def test_it_has_every_function_and_no_other(resources: dict[str, Any]) -> None:
    functions = {name for name, resource in resources.items() if resource["Type"] == "AWS::Lambda::Function"}
    assert functions == {logical_id(function) for function in FUNCTIONS}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_environment_fills_its_settings_and_nothing_it_does_not_read(
    resources: dict[str, Any], function: str
) -> None:
    properties = resources[logical_id(function)]["Properties"]
    module = importlib.import_module(properties["Handler"].rpartition(".")[0])
    given = {
        name: value if isinstance(value, str) else "given"
        for name, value in properties["Environment"]["Variables"].items()
    }
    load(module.Settings, given)
    assert module.lambda_handler
    common = {"STAGE", "LOG_LEVEL", "AWS_ENDPOINT_URL"}
    assert set(given) - common <= {field.name.upper() for field in fields(module.Settings)}


def test_a_message_stays_hidden_six_times_as_long_as_its_worker_may_run(resources: dict[str, Any]) -> None:
    timeout = resources["ApplyEventsFunction"]["Properties"]["Timeout"]
    assert resources["EventQueue"]["Properties"]["VisibilityTimeout"] >= 6 * timeout


def test_an_idempotency_key_is_not_taken_over_while_its_holder_may_still_run(resources: dict[str, Any]) -> None:
    functions = [resources[logical_id(route.function)]["Properties"] for route in ROUTES]
    assert max(function["Timeout"] for function in functions) < LEASE.total_seconds()


def test_a_dead_letter_outlives_its_queue_by_the_most_there_is(resources: dict[str, Any]) -> None:
    dead = resources["EventDeadLetterQueue"]["Properties"]["MessageRetentionPeriod"]
    assert dead == 14 * 86_400 > resources["EventQueue"]["Properties"]["MessageRetentionPeriod"]


def test_one_bad_message_does_not_fail_its_batch_and_the_database_sees_two_workers(resources: dict[str, Any]) -> None:
    source = resources["EventSource"]["Properties"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 2}


def test_items_of_the_table_expire_by_their_ttl(resources: dict[str, Any]) -> None:
    table = resources["EntitlementsTable"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]

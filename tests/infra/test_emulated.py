"""What the emulated deployment changes in the CDK's templates, and that it leaves all else as it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.fleet import CONNECT
from infra.local.emulated_assembly import UNFIT, UNKNOWN, Machine, fit
from infra.local.emulated_front import as_rest
from tests.support.assembly import Assembly
from tests.support.deployed import System

MACHINE = Machine("postgresql://functions", "postgresql://owner", "http://aws", "http://stripe")
REPLACED = {"AWS::ApiGatewayV2::Api": "AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Stage": "AWS::ApiGateway::Stage"}


@pytest.fixture(scope="module")
def folder(prod: Assembly, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Production's assembly as an emulator takes it."""
    target = tmp_path_factory.mktemp("fitted") / "assembly"
    fit(prod.folder, target, MACHINE)
    return target


@pytest.fixture(scope="module")
def emulated(folder: Path, prod: Assembly) -> System:
    return Assembly(prod.stage, folder).system


def test_what_is_left_out_is_of_a_listed_type(prod: Assembly, emulated: System) -> None:
    gone = {resource["Type"] for name, resource in prod.system.resources.items() if name not in emulated.resources}
    assert gone <= {*UNKNOWN, *(each.type for each in UNFIT)}


def test_every_listed_type_is_there_to_be_left_out(prod: Assembly, small: Assembly) -> None:
    there = {each["Type"] for one in (prod, small) for each in one.system.resources.values()}
    assert {*UNKNOWN, *(each.type for each in UNFIT)} <= there


def test_nothing_refers_to_what_was_left_out(folder: Path, prod: Assembly, emulated: System) -> None:
    gone = set(prod.system.resources) - set(emulated.resources)
    text = "".join(path.read_text() for path in folder.glob("*.template.json"))
    assert {name for name in gone if f'"{name}"' in text} == set()


def test_all_that_is_kept_is_as_production_has_it(prod: Assembly, emulated: System) -> None:
    aliases_shift_by = {"UpdatePolicy", "DependsOn"}
    changed = {
        resource["Type"]
        for name, resource in emulated.resources.items()
        if name in prod.system.resources
        and without(resource, aliases_shift_by) != without(prod.system.resources[name], aliases_shift_by)
    }
    assert changed <= {
        "AWS::Lambda::Function",  # variables, layers
        "AWS::IAM::Policy",  # the proxy's secret; secrets by their ARN
        "AWS::EC2::Route",  # the NAT gateway
        "AWS::CloudWatch::Dashboard",  # its graph
        *REPLACED.values(),
    }


def without(resource: Mapping[str, Any], names: set[str]) -> str:
    return json.dumps({key: value for key, value in resource.items() if key not in names}, sort_keys=True)


@pytest.mark.parametrize("folder_name", ["checkout", "apply_events", "webhooks"])
def test_roles_keep_their_rights(prod: Assembly, emulated: System, folder_name: str) -> None:
    one, other = (
        {right.action for right in system.rights(folder_name)} - set(CONNECT) for system in (prod.system, emulated)
    )
    assert one == other


def test_functions_look_for_everything_on_this_machine(emulated: System) -> None:
    given = emulated.variables("checkout")
    assert (given["DATABASE_URL"], given["AWS_ENDPOINT_URL"], given["STRIPE_API_BASE"]) == (
        "postgresql://functions",
        "http://aws",
        "http://stripe",
    )
    assert "DATABASE_URL" not in emulated.variables("webhooks")


def test_the_migrations_alone_are_the_schemas_owner(emulated: System) -> None:
    owners = [
        properties["Handler"]
        for properties in emulated.all("AWS::Lambda::Function").values()
        if properties["Environment"]["Variables"].get("DATABASE_URL") == "postgresql://owner"
    ]
    assert owners == ["functions.migrations.handler.lambda_handler"]


def test_a_function_keeps_the_one_layer_that_any_python_can_load(emulated: System) -> None:
    (layer,) = emulated.functions["checkout"]["Layers"]
    assert emulated.resources[layer["Ref"]]["Properties"]["Description"].startswith("billing,")


def test_the_http_api_becomes_a_rest_api_with_the_same_routes_to_the_same_aliases(
    prod: Assembly, emulated: System
) -> None:
    assert emulated.routes == prod.system.routes
    assert emulated.one("AWS::ApiGateway::RestApi")["Body"] == prod.system.one("AWS::ApiGatewayV2::Api")["Body"]


def test_another_payload_format_than_the_functions_is_refused() -> None:
    operation = {"x-amazon-apigateway-integration": {"payloadFormatVersion": "2.0"}}
    body = {"info": {"title": "x"}, "paths": {"/healthz": {"get": operation}}}
    with pytest.raises(ValueError, match="take payload format 1"):
        as_rest({"Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": body}}})

"""The laptop runs what production runs: both templates beside each other, and that a difference is seen and told."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.local.deploy import TEMPLATE
from tests.support.assembly import Assembly
from tests.support.deployed import System, read_yaml
from tests.support.parity import differences

Change = Callable[[dict[str, Any]], None]


def test_production_and_the_laptop_are_the_same_but_for_what_has_a_reason(prod: Assembly, local: System) -> None:
    assert differences(prod.system, local) == []


def test_the_rest_front_and_the_laptop_are_the_same_but_for_what_has_a_reason(small: Assembly, local: System) -> None:
    assert differences(small.system, local) == []


def add_route(resources: dict[str, Any]) -> None:
    (api,) = (each for each in resources.values() if each["Type"].endswith("Api"))
    paths = api["Properties"]["Body"]["paths"]
    paths["/api/v1/extra"] = {"get": paths["/healthz"]["get"]}


def add_variable(resources: dict[str, Any]) -> None:
    portal(resources)["Environment"]["Variables"]["EXTRA"] = "1"


def add_grant(resources: dict[str, Any]) -> None:
    role = portal(resources)["Role"]["Fn::GetAtt"][0]
    (table,) = (name for name, each in resources.items() if each["Type"] == "AWS::DynamoDB::Table")
    statement = {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": {"Fn::GetAtt": [table, "Arn"]}}
    extra = {"Roles": [{"Ref": role}], "PolicyDocument": {"Statement": [statement]}}
    resources["Extra"] = {"Type": "AWS::IAM::Policy", "Properties": extra}


def let_run_longer(resources: dict[str, Any]) -> None:
    portal(resources)["Timeout"] = 30


def add_trigger(resources: dict[str, Any]) -> None:
    (rule, *_) = (each for each in resources.values() if each["Type"] == "AWS::Events::Rule")
    extra = {**rule["Properties"], "ScheduleExpression": "rate(5 minutes)"}
    resources["Extra"] = {"Type": "AWS::Events::Rule", "Properties": extra}


def portal(resources: dict[str, Any]) -> dict[str, Any]:
    properties = (each["Properties"] for each in resources.values() if each["Type"] == "AWS::Lambda::Function")
    found: dict[str, Any] = next(each for each in properties if ".portal." in each["Handler"])
    return found


TOLD = [
    pytest.param(add_route, "route GET /api/v1/extra to health is in {} alone", id="route"),
    pytest.param(add_variable, "functions/portal: variable EXTRA is in {} alone", id="variable"),
    pytest.param(add_grant, "functions/portal: right dynamodb:Scan on Table entitlements is in {} alone", id="grant"),
    pytest.param(add_trigger, "rate(5 minutes)", id="trigger"),
    pytest.param(let_run_longer, "functions/portal: property Timeout is", id="timeout"),
]


@pytest.mark.parametrize(("change", "told"), TOLD)
def test_what_production_alone_has_is_told(prod: Assembly, local: System, change: Change, told: str) -> None:
    (found,) = differences(changed(prod.system, change), local)
    assert told.format("production's templates") in found
    assert "infra/fleet.py" in found


@pytest.mark.parametrize(("change", "told"), TOLD)
def test_what_the_laptop_alone_has_is_told(prod: Assembly, change: Change, told: str) -> None:
    laptop = System.of(read_yaml(TEMPLATE.read_text()))
    (found,) = differences(prod.system, changed(laptop, change))
    assert told.format("the laptop's template") in found
    assert "infra/fleet.py" in found


def changed(system: System, change: Change) -> System:
    """A copy with one thing more."""
    resources = copy.deepcopy(dict(system.resources))
    change(resources)
    return System(resources)

"""All stacks of a stage together. That cdk-nag finds nothing is in how they are synthesized: it would stop that."""

import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from billing.runtime.settings import load
from infra.fleet import FLEET
from infra.inventory import PAGE, inventory
from infra.local.deploy import TEMPLATE
from tests.support.assembly import Assembly

HARMLESS = "W3005"
"""The CDK writes dependencies that references say already."""

UNBOUND = {
    "ec2:CreateNetworkInterface": "A network interface has no ARN before it exists.",
    "ec2:DescribeNetworkInterfaces": "EC2's Describe actions know no resources.",
    "ec2:DeleteNetworkInterface": "Lambda deletes what it made; the function's own code is denied it.",
    "xray:PutTraceSegments": "X-Ray's knows no resources.",
    "xray:PutTelemetryRecords": "X-Ray's knows no resources.",
}
"""Actions allowed on `*`, each with its reason."""


def test_cfn_lint_finds_nothing(prod: Assembly, small: Assembly) -> None:
    files = [*prod.folder.glob("*.template.json"), *small.folder.glob("*.template.json"), TEMPLATE]
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(
        [linter, "--ignore-checks", HARMLESS, "--", *files], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_no_policy_allows_anything_on_everything_without_a_written_reason(prod: Assembly, small: Assembly) -> None:
    for assembly in (prod, small):
        for policy in assembly.system.all("AWS::IAM::Policy").values():
            for statement in allowed(policy):
                if "*" in listed(statement["Resource"]):
                    assert set(listed(statement["Action"])) <= set(UNBOUND), policy["PolicyName"]


def allowed(policy: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow")


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_what_production_consists_of_is_as_the_page_says(prod: Assembly) -> None:
    assert PAGE.read_text() == inventory(prod.templates), "run `make docs`, and look at what came or went"


@pytest.mark.parametrize("function", [entry.folder for entry in FLEET])
def test_a_functions_environment_fills_its_settings(prod: Assembly, function: str) -> None:
    module = importlib.import_module(prod.system.functions[function]["Handler"].rpartition(".")[0])
    given = {
        name: value if isinstance(value, str) else "given" for name, value in prod.system.variables(function).items()
    }
    load(module.Settings, given)
    assert set(given) - {"STAGE", "LOG_LEVEL"} <= {name.upper() for name in module.Settings._fields}


def test_only_production_has_real_money(prod: Assembly, small: Assembly) -> None:
    told = [assembly.system.variables("checkout")["STRIPE_LIVEMODE"] for assembly in (prod, small)]
    assert told == ["true", "false"]


def test_what_needs_no_store_stays_outside_the_network(prod: Assembly) -> None:
    inside = {folder for folder, properties in prod.system.functions.items() if "VpcConfig" in properties}
    assert inside == set(prod.system.functions) - {"webhooks"}


def test_the_front_and_its_schedule_invoke_what_codedeploy_shifts(prod: Assembly) -> None:
    aliases = prod.system.all("AWS::Lambda::Alias")
    assert {alias["Name"] for alias in aliases.values()} == {"live"}
    invoked = [str(each["FunctionName"]) for each in prod.system.all("AWS::Lambda::Permission").values()]
    of_the_api = [name for name in invoked if "Alias" in name]
    groups = prod.system.all("AWS::CodeDeploy::DeploymentGroup").values()
    assert len(aliases) == len(groups) == len({*of_the_api})
    assert {group["AutoRollbackConfiguration"]["Enabled"] for group in groups} == {True}
    assert all(group["AlarmConfiguration"]["Alarms"] for group in groups)


def test_a_request_is_throttled_and_logged_without_its_path(prod: Assembly, small: Assembly) -> None:
    live = prod.system.one("AWS::ApiGatewayV2::Stage")
    assert live["DefaultRouteSettings"]["ThrottlingRateLimit"] == prod.stage.rate
    rest = small.system.one("AWS::ApiGateway::Stage")
    assert rest["MethodSettings"][0]["ThrottlingRateLimit"] == small.stage.rate
    for log in (live["AccessLogSettings"], rest["AccessLogSetting"]):
        assert "path" not in log["Format"].lower()
        assert "$context.requestId" in log["Format"]


def test_the_rest_front_stands_behind_a_web_acl(small: Assembly) -> None:
    assert small.system.one("AWS::WAFv2::WebACLAssociation")
    assert [rule["Name"] for rule in small.system.one("AWS::WAFv2::WebACL")["Rules"]] == [
        "FewFromOneAddress",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
    ]


def test_logs_are_kept_as_long_as_the_stage_says_and_no_longer(prod: Assembly) -> None:
    groups = prod.system.all("AWS::Logs::LogGroup")
    kept = {group["RetentionInDays"] for name, group in groups.items() if "FlowLog" not in name}
    assert kept == {prod.stage.log_days}


def test_every_function_runs_on_arm_with_traces_and_http_functions_from_a_snapshot(prod: Assembly) -> None:
    for entry in FLEET:
        properties = prod.system.functions[entry.folder]
        assert (properties["Architectures"], properties["Runtime"]) == (["arm64"], "python3.13")
        assert properties["TracingConfig"] == {"Mode": "Active"}
        assert ("SnapStart" in properties) == entry.restored

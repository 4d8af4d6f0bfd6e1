"""The CDK's assembly as an emulator takes it: less what it does not know, and pointed at what runs on this machine.

What is changed here is not tried by the end-to-end tests, so the lists below are short, and each entry says why.
Everything else is deployed as production would have it: roles, aliases, versions, packages, the network.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bundle.sources import BILLING
from infra.constructs.migrations import MIGRATIONS
from infra.fleet import Part
from infra.local.emulated_front import as_rest

Template = dict[str, Any]
Resource = dict[str, Any]

UNKNOWN = {
    "AWS::CloudWatch::CompositeAlarm": "MiniStack does not know the type.",
    "AWS::CodeDeploy::Application": "MiniStack does not know the type: aliases take the new version at once.",
    "AWS::CodeDeploy::DeploymentGroup": "As above.",
    "AWS::EC2::EIP": "MiniStack does not know the type in a template; nothing here leaves this machine.",
    "AWS::EC2::FlowLog": "As above.",
    "AWS::EC2::NatGateway": "As above.",
    "AWS::EC2::SecurityGroupEgress": "As above: functions run as plain processes, without a network of their own.",
    "AWS::EC2::SecurityGroupIngress": "As above.",
    "AWS::Logs::QueryDefinition": "MiniStack does not know the type.",
    "AWS::RDS::DBProxy": "MiniStack does not know the type, and runs no database: functions get a plain PostgreSQL.",
    "AWS::RDS::DBProxyTargetGroup": "As above.",
    "AWS::WAFv2::WebACLAssociation": "MiniStack does not know the type.",
}
"""Types that are left out. Each is looked at by template assertions instead (tests/infra)."""


@dataclass(frozen=True)
class Omission:
    """`fits` tells of a resource whether it goes, by its properties."""

    type: str
    reason: str
    fits: Callable[[Mapping[str, Any]], bool] = lambda _: True


def _is_math(properties: Mapping[str, Any]) -> bool:
    return "Metrics" in properties


def _is_foreign(properties: Mapping[str, Any]) -> bool:
    return not str(properties["Description"]).startswith(f"{BILLING},")


def _demands_tls(properties: Mapping[str, Any]) -> bool:
    return "aws:SecureTransport" in json.dumps(properties)


UNFIT = (
    Omission("AWS::CloudWatch::Alarm", "MiniStack rejects alarms on metric math.", _is_math),
    Omission(
        "AWS::Lambda::LayerVersion",
        "Machine code for arm64: MiniStack runs functions in this venv, which has the same packages.",
        _is_foreign,
    ),
    Omission("AWS::SQS::QueuePolicy", "It refuses what comes without TLS, and the loopback has none.", _demands_tls),
    Omission("AWS::SNS::TopicPolicy", "As above.", _demands_tls),
)
"""Resources that are left out although their type is known."""

UNKNOWN_ATTRIBUTES = frozenset({"MasterUserSecret.SecretArn"})
"""MiniStack's databases have no such secret: the proxy would have logged in with it."""

ANYTHING = "arn:aws:left-out:us-east-1:000000000000:nothing:nothing"
"""Stands where something that was left out is referred to."""


@dataclass(frozen=True)
class Machine:
    """What is on this machine instead, as functions reach it. `owner_url` is the migrations'."""

    database_url: str
    owner_url: str
    aws_endpoint_url: str
    stripe_url: str


def fit(source: Path, target: Path, machine: Machine) -> dict[str, str]:
    """Copy the assembly in `source` to `target`, its templates changed. Returns what was left out, and why."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    told: dict[str, str] = {}
    for path in sorted(target.glob("*.template.json")):
        template, left_out = fitted(json.loads(path.read_text()), machine)
        path.write_text(json.dumps(template, indent=1))
        told |= {f"{path.name.split('.')[0]}/{name}": reason for name, reason in left_out.items()}
    return told


def fitted(template: Template, machine: Machine) -> tuple[Template, dict[str, str]]:
    """The template, and by logical id what it lacks now, with the reason."""
    resources: dict[str, Resource] = template["Resources"]
    left_out = {name: reason for name, each in resources.items() if (reason := _reason(each)) is not None}
    kept = {name: _adapted(each, left_out, machine) for name, each in resources.items() if name not in left_out}
    secrets = frozenset(name for name, each in kept.items() if each["Type"] == "AWS::SecretsManager::Secret")
    return _Mended(frozenset(left_out), secrets).of({**template, "Resources": as_rest(kept)}), left_out


def _reason(resource: Resource) -> str | None:
    if resource["Type"] in UNKNOWN:
        return UNKNOWN[resource["Type"]]
    properties = resource.get("Properties", {})
    return next((each.reason for each in UNFIT if each.type == resource["Type"] and each.fits(properties)), None)


def _adapted(resource: Resource, left_out: Mapping[str, str], machine: Machine) -> Resource:
    kept = {key: value for key, value in resource.items() if key not in ("DependsOn", "UpdatePolicy")}
    if needed := [name for name in resource.get("DependsOn", []) if name not in left_out]:
        kept["DependsOn"] = needed
    if resource["Type"] == "AWS::Lambda::Function":
        kept["Properties"] = _pointed(resource["Properties"], left_out, machine)
    return kept


def _pointed(properties: Mapping[str, Any], left_out: Mapping[str, str], machine: Machine) -> dict[str, Any]:
    """A function that looks for everything on this machine."""
    variables = {**properties["Environment"]["Variables"], "AWS_ENDPOINT_URL": machine.aws_endpoint_url}
    if properties["Handler"] != MIGRATIONS.handler:
        variables["STRIPE_API_BASE"] = machine.stripe_url
    if Part.STORE.value in variables:
        owner = properties["Handler"] == MIGRATIONS.handler
        variables[Part.STORE.value] = machine.owner_url if owner else machine.database_url
    layers = [layer for layer in properties.get("Layers", []) if layer.get("Ref") not in left_out]
    return {**properties, "Environment": {"Variables": variables}, "Layers": layers}


@dataclass(frozen=True)
class _Mended:
    """References to what was left out are replaced; a Ref to a secret means its ARN, which to MiniStack is its name."""

    left_out: frozenset[str]
    secrets: frozenset[str]

    def of(self, value: Any) -> Any:
        match value:
            case {"Ref": str(name)} if name in self.left_out:
                return ANYTHING
            case {"Ref": str(name)} if name in self.secrets:
                return {"Fn::GetAtt": [name, "Id"]}
            case {"Fn::GetAtt": [str(name), str(attribute)]} if (
                name in self.left_out or attribute in UNKNOWN_ATTRIBUTES
            ):
                return ANYTHING
            case Mapping():
                return {key: self.of(each) for key, each in value.items()}
            case list():
                return [self.of(each) for each in value]
        return value

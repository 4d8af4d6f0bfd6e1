"""A deployed system as its CloudFormation templates describe it: routes, functions, triggers, rights.

Physical names stand in for resources, less their stage, so that two deployments can be compared.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from infra.fleet import FLEET
from infra.routes import Route

Template = Mapping[str, Any]
Resource = Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, read as their long forms."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    assert isinstance(node, yaml.ScalarNode)
    value = loader.construct_scalar(node)
    if suffix == "Ref":
        return {"Ref": value}
    return {f"Fn::{suffix}": value.split(".", 1) if suffix == "GetAtt" else value}


_Loader.add_multi_constructor("!", _tagged)


def read_yaml(text: str) -> Template:
    template: Template = yaml.load(text, _Loader)  # noqa: S506  a SafeLoader with three more tags
    return template


@dataclass(frozen=True)
class Right:
    """An action that a function may take on something, called by what it is in the fleet's words or its type."""

    action: str
    on: str


@dataclass(frozen=True)
class System:
    """`resources` of all stacks by logical id; ids do not clash in ours. An import is what the other stack exports."""

    resources: Mapping[str, Resource]

    @classmethod
    def of(cls, *templates: Template) -> "System":
        exported = {
            output["Export"]["Name"]: output["Value"]
            for template in templates
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }
        resources = {name: resource for template in templates for name, resource in template["Resources"].items()}
        return cls(_imported(resources, exported))

    def all(self, kind: str) -> dict[str, Any]:
        """Properties of every resource of a type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def one(self, kind: str) -> dict[str, Any]:
        (only,) = self.all(kind).values()
        found: dict[str, Any] = only
        return found

    @cached_property
    def functions(self) -> dict[str, dict[str, Any]]:
        """Properties by folder of `functions/`, the fleet's only."""
        handlers = {entry.handler: entry.folder for entry in FLEET}
        return {
            handlers[properties["Handler"]]: properties
            for properties in self.all("AWS::Lambda::Function").values()
            if properties["Handler"] in handlers
        }

    def folder_of(self, reference: Any) -> str | None:
        """The function that an ARN, an alias or a Ref leads to."""
        text = json.dumps(reference)
        for entry in FLEET:
            if re.search(rf"\b\w*{entry.logical_id}(?!Role|Log)\w*", text):
                return entry.folder
        return None

    @cached_property
    def routes(self) -> set[Route]:
        bodies = [*self.all("AWS::ApiGateway::RestApi").values(), *self.all("AWS::ApiGatewayV2::Api").values()]
        return {route for body in bodies for route in self._routes_of(body["Body"])}

    def _routes_of(self, body: Mapping[str, Any]) -> Iterator[Route]:
        for path, methods in body["paths"].items():
            for method, operation in methods.items():
                folder = self.folder_of(operation["x-amazon-apigateway-integration"]["uri"])
                assert folder is not None, f"{method} {path} leads to no function of the fleet"
                yield Route(method.upper(), path, folder)

    def variables(self, folder: str) -> dict[str, Any]:
        given: dict[str, Any] = self.functions[folder]["Environment"]["Variables"]
        return given

    @cached_property
    def schedules(self) -> set[tuple[str, str, str]]:
        """Function, expression, payload."""
        return {
            (str(self.folder_of(target["Arn"])), rule["ScheduleExpression"], target.get("Input", ""))
            for rule in self.all("AWS::Events::Rule").values()
            for target in rule["Targets"]
        }

    @cached_property
    def queues(self) -> dict[str, dict[str, Any]]:
        """By name: how long a message stays and hides, and after how many tries it goes where."""
        return {self._called(name): self._numbers(queue) for name, queue in self.all("AWS::SQS::Queue").items()}

    def _numbers(self, queue: Mapping[str, Any]) -> dict[str, Any]:
        redrive = queue.get("RedrivePolicy")
        return {
            "keeps": queue["MessageRetentionPeriod"],
            "hides": queue.get("VisibilityTimeout"),
            "tries": redrive and redrive["maxReceiveCount"],
            "then": redrive and self._named(redrive["deadLetterTargetArn"]),
        }

    @cached_property
    def feeds(self) -> dict[str, dict[str, Any]]:
        """By function: the queue that is handed to it, and how."""
        return {
            str(self.folder_of(source["FunctionName"])): {
                "queue": self._named(source["EventSourceArn"]),
                **{key: source.get(key) for key in ("BatchSize", "FunctionResponseTypes", "ScalingConfig")},
            }
            for source in self.all("AWS::Lambda::EventSourceMapping").values()
        }

    @cached_property
    def invokers(self) -> set[tuple[str, str]]:
        """Who may invoke what, by permission."""
        permissions = self.all("AWS::Lambda::Permission").values()
        return {(each["Principal"], str(self.folder_of(each["FunctionName"]))) for each in permissions}

    def rights(self, folder: str) -> set[Right]:
        """What the function's role allows."""
        role = self.functions[folder]["Role"]["Fn::GetAtt"][0]
        return {
            Right(action, self._named(resource))
            for policy in self.all("AWS::IAM::Policy").values()
            if {"Ref": role} in policy["Roles"]
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
            for action in _listed(statement["Action"])
            for resource in _listed(statement["Resource"])
        }

    def _named(self, resource: Any) -> str:
        """`events-dead` for the queue of that name in any deployment; `*` as it is."""
        if resource == "*":
            return "*"
        for name in re.findall(r'"(?:Ref|Fn::GetAtt)": \[?"(\w+)', json.dumps(resource)):
            if name in self.resources:
                return self._called(name)
        return json.dumps(resource)

    def _called(self, name: str) -> str:
        kind = self.resources[name]["Type"].rpartition("::")[2]
        properties = self.resources[name].get("Properties", {})
        physical = next((properties[key] for key in ("QueueName", "TableName", "Name") if key in properties), "")
        return f"{kind} {re.sub(r'.*?[-/]', '', _plain(physical), count=1)}"


def _imported(value: Any, exported: Mapping[str, Any]) -> Any:
    match value:
        case {"Fn::ImportValue": str(name)}:
            return exported[name]
        case Mapping():
            return {key: _imported(each, exported) for key, each in value.items()}
        case list():
            return [_imported(each, exported) for each in value]
    return value


def _plain(text: Any) -> str:
    """A name without its stage: `${AWS::StackName}-events` and `billing-prod-events` end alike."""
    if isinstance(text, Mapping):
        (value,) = text.values()
        text = value if isinstance(value, str) else "".join(part for part in value[1] if isinstance(part, str))
    return re.sub(r"^billing-(prod|staging|emulated)|^\$\{AWS::StackName\}", "", str(text))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

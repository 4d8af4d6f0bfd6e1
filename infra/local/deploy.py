"""Deploy `template-local.yaml` into an emulator of AWS: packages to S3, the stack by CloudFormation, TTL by hand."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local.ministack import REGION
from infra.local.package import REPOSITORY, code_version, package_functions
from infra.local.processes import LocalStackError
from infra.routes import FUNCTIONS

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

TEMPLATE = REPOSITORY / "template-local.yaml"
STACK = "billing"
BUCKET = "billing-code"
PATIENCE_SECONDS = 180

Report = Callable[[str], None]


@dataclass(frozen=True)
class Deployed:
    """What the stack made, as seen by a caller of `endpoint_url`."""

    api_url: str
    table_name: str
    queue_url: str
    dead_letter_queue_url: str
    event_bus_name: str


def session() -> boto3.Session:
    return boto3.Session("test", "test", region_name=REGION)  # the emulators take any credentials


def api_url(endpoint_url: str) -> str:
    """The API's address is known before it exists: the template pins its id."""
    return f"{endpoint_url}/_aws/execute-api/b1111111/local"


def deploy(
    endpoint_url: str,
    parameters: Mapping[str, str],
    *,
    report: Report,
    template: Path = TEMPLATE,
    dependencies: Path | None = None,
) -> Deployed:
    """Create or update the stack and wait for it. `parameters` are the template's, without those of the code.

    Raises LocalStackError that names the resource CloudFormation failed at, and why.
    """
    packages = package_functions(FUNCTIONS, dependencies)
    version = code_version(packages)
    _upload(endpoint_url, packages, version)
    report(f"{len(packages)} packages uploaded, version {version}")
    client = session().client("cloudformation", endpoint_url=endpoint_url, config=_config())
    values = {**parameters, "CodeBucket": BUCKET, "CodeVersion": version}
    seen = {event["EventId"] for event in _events(client)}
    _create_or_update(client, template, values)
    _wait(client, report, seen)
    stack = client.describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    _ensure_ttl(endpoint_url, outputs["TableName"])
    return Deployed(
        api_url(endpoint_url),
        outputs["TableName"],
        outputs["QueueUrl"],
        outputs["DeadLetterQueueUrl"],
        outputs["EventBusName"],
    )


def _config() -> Config:
    return Config(
        connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 3}, s3={"addressing_style": "path"}
    )


def _upload(endpoint_url: str, packages: Mapping[str, bytes], version: str) -> None:
    client = session().client("s3", endpoint_url=endpoint_url, config=_config())
    client.create_bucket(Bucket=BUCKET)  # in us-east-1 one's own bucket may be created again
    for name, content in packages.items():
        client.put_object(Bucket=BUCKET, Key=f"{version}/{name}.zip", Body=content)


def _create_or_update(client: "CloudFormationClient", template: Path, values: Mapping[str, str]) -> None:
    arguments: dict[str, Any] = {
        "StackName": STACK,
        "TemplateBody": template.read_text(),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
        "Capabilities": ["CAPABILITY_IAM"],
    }
    try:
        if _status(client) is None:
            client.create_stack(**arguments)
        else:
            client.update_stack(**arguments)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" not in message:
            raise LocalStackError(f"CloudFormation refused {template.name}: {message}") from error


def _status(client: "CloudFormationClient") -> str | None:
    try:
        return client.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


def _wait(client: "CloudFormationClient", report: Report, seen: set[str]) -> None:
    """Report each resource as it is made, until the stack is. `seen` are the events of earlier deployments."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        status = _status(client)
        events = [event for event in _events(client) if event["EventId"] not in seen]
        for event in events:
            report(f"{event.get('LogicalResourceId')} {event.get('ResourceStatus')}")
        seen.update(event["EventId"] for event in events)
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            return
        if status is None or not status.endswith("_IN_PROGRESS"):
            raise LocalStackError(_failure(client, str(status)))
        if time.monotonic() > deadline:
            raise LocalStackError(f"The stack was still {status} after {PATIENCE_SECONDS} s.")
        time.sleep(0.1)


def _events(client: "CloudFormationClient") -> "list[StackEventTypeDef]":
    """What happened to the stack so far, oldest first."""
    if _status(client) is None:
        return []
    return client.describe_stack_events(StackName=STACK)["StackEvents"][::-1]


def _failure(client: "CloudFormationClient", status: str) -> str:
    failed = [
        f"  {event.get('LogicalResourceId')} ({event.get('ResourceType')}): {event.get('ResourceStatusReason')}"
        for event in _events(client)
        if event.get("ResourceStatus", "").endswith("_FAILED")
    ]
    return "\n".join([f"The deployment ended {status}:", *failed])


def _ensure_ttl(endpoint_url: str, table_name: str) -> None:
    client = session().client("dynamodb", endpoint_url=endpoint_url, config=_config())
    found = client.describe_time_to_live(TableName=table_name)["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        client.update_time_to_live(
            TableName=table_name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
        )


def start_functions(endpoint_url: str, prefix: str = STACK) -> None:
    """Give each function an event with nothing to do, all at once. Raises LocalStackError for those that fail.

    A package that cannot be imported, or a missing setting, shows here and not in some user's request.
    """
    client = session().client("lambda", endpoint_url=endpoint_url, config=_config())

    def failure(function: str) -> str | None:
        answer = client.invoke(FunctionName=function_name(prefix, function), Payload=b'{"Records": []}')
        return f"  {function}: {answer['Payload'].read().decode()}" if answer.get("FunctionError") else None

    with ThreadPoolExecutor(len(FUNCTIONS)) as pool:
        failures = [found for found in pool.map(failure, FUNCTIONS) if found is not None]
    if failures:
        raise LocalStackError("\n".join(["These functions do not start:", *failures]))


def function_name(prefix: str, function: str) -> str:
    """The deployed name of a folder of `functions/`."""
    return f"{prefix}-{function.replace('_', '-')}"

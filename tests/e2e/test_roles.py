"""What functions' roles allow against what functions did, where IAM is at work: with FRONT, and after all other tests.

MiniStack refuses what a role does not allow, so that a missing right has failed some test before. Here: that it does
refuse, and that no function has a right which the whole suite did not use.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from infra.fleet import FLEET, Function, Part
from infra.local.deploy import function_name
from infra.local.invoke import invoke
from infra.local.kept import Stack
from infra.local.package import REPOSITORY
from infra.local.processes import LocalStackError
from tests.support.aws import SESSION

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

pytestmark = pytest.mark.skipif("FRONT" not in os.environ, reason="IAM is at work where FRONT=http|rest is given")

SAMPLE = REPOSITORY / "events/stripe/product.updated.json"

UNSEEN = {
    Part.STORE: "PostgreSQL here asks for no token.",
    Part.QUEUE: "Lambda reads the queue in the function's name; MiniStack does so without a call.",
}
"""Parts whose rights cannot be seen used here: the store's, and the queue's of the function that is fed from it."""


@pytest.mark.parametrize("entry", FLEET, ids=lambda entry: entry.folder)
def test_a_function_has_no_right_that_nothing_uses(stack: Stack, entry: Function) -> None:
    unseen = UNSEEN if entry.folder == "apply_events" else {Part.STORE}
    visible = {action for part, actions in entry.rights.items() if part not in unseen for action in actions}
    assert visible - used(stack, entry) == set()


def used(stack: Stack, entry: Function) -> set[str]:
    """Which of its rights its deployed versions have made use of."""
    trail = SESSION.client("cloudtrail", endpoint_url=stack.aws_endpoint_url)
    keys = access_keys(stack, entry)
    found = {
        action
        for actions in entry.rights.values()
        for action in actions
        for key in keys
        if trail.lookup_events(
            LookupAttributes=[
                {"AttributeKey": "AccessKeyId", "AttributeValue": key},
                {"AttributeKey": "EventName", "AttributeValue": action.partition(":")[2]},
            ],
            MaxResults=1,
        )["Events"]
    }
    trail.close()
    return found


def access_keys(stack: Stack, entry: Function) -> list[str]:
    """Of each version: MiniStack makes them of the version's and the role's names."""
    client: LambdaClient = SESSION.client("lambda", endpoint_url=stack.aws_endpoint_url)
    name = function_name(stack.prefix, entry.folder)
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    client.close()
    told = [f"{each['FunctionArn']}:{each['Role']}" for each in versions]
    return [f"ASIA{hashlib.sha256(each.encode()).hexdigest()[:16].upper()}" for each in told]


def test_a_function_whose_role_loses_its_policy_is_refused(stack: Stack) -> None:
    assert '"statusCode": 200' in invoke(stack, "webhooks", SAMPLE)
    with without_policy(stack, "webhooks"):
        assert refused(stack)
    assert '"statusCode": 200' in invoke(stack, "webhooks", SAMPLE)


def refused(stack: Stack) -> bool:
    try:
        return '"statusCode": 5' in invoke(stack, "webhooks", SAMPLE)
    except LocalStackError:
        return True


@contextmanager
def without_policy(stack: Stack, function: str) -> Iterator[None]:
    iam: Any = SESSION.client("iam", endpoint_url=stack.aws_endpoint_url)
    lambdas: LambdaClient = SESSION.client("lambda", endpoint_url=stack.aws_endpoint_url)
    configuration = lambdas.get_function_configuration(FunctionName=function_name(stack.prefix, function))
    role = configuration["Role"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName=name)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
        iam.close()
        lambdas.close()

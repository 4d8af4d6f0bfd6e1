"""One MiniStack for a test session; tables and queues are a test's own."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from infra.local.ministack import REGION

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

SESSION = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
QUICK = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})


@contextmanager
def dynamodb_client(endpoint: str) -> Iterator["DynamoDBClient"]:
    client = SESSION.client("dynamodb", endpoint_url=endpoint, config=QUICK)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def sqs_client(endpoint: str) -> Iterator["SQSClient"]:
    client = SESSION.client("sqs", endpoint_url=endpoint, config=QUICK)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def make_table(endpoint: str) -> Iterator[str]:
    """The name of an empty table of the entitlements' shape (key `pk`, on demand), deleted afterwards."""
    name = f"entitlements-{uuid.uuid4().hex[:8]}"
    with dynamodb_client(endpoint) as client:
        client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        try:
            yield name
        finally:
            client.delete_table(TableName=name)


@contextmanager
def make_queue(endpoint: str) -> Iterator[str]:
    """The URL of an empty standard queue, deleted afterwards."""
    with sqs_client(endpoint) as client:
        url = client.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        try:
            yield url
        finally:
            client.delete_queue(QueueUrl=url)

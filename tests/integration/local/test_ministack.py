"""The AWS of the local system."""

import sys
from pathlib import Path

import pytest

from infra.local.ministack import Aws
from tests.support.aws import dynamodb_client, sqs_client

pytestmark = pytest.mark.alone

LISTENING, LOOPBACK = "0A", "0100007F"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's table of sockets")
def test_it_listens_on_loopback_only(aws: Aws) -> None:
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    bound = {local for _, local, _, state, *_ in sockets if state == LISTENING and local.endswith(f":{aws.port:04X}")}
    assert bound == {f"{LOOPBACK}:{aws.port:04X}"}


def test_a_table_is_keyed_by_pk_alone(aws_endpoint: str, table_name: str) -> None:
    with dynamodb_client(aws_endpoint) as client:
        client.put_item(TableName=table_name, Item={"pk": {"S": "a"}, "n": {"N": "1"}})
        found = client.get_item(TableName=table_name, Key={"pk": {"S": "a"}}, ConsistentRead=True)
    assert found["Item"]["n"] == {"N": "1"}


def test_a_queue_hands_out_what_was_sent_and_names_a_reachable_address(aws_endpoint: str, queue_url: str) -> None:
    assert queue_url.startswith(aws_endpoint)
    with sqs_client(aws_endpoint) as client:
        client.send_message(QueueUrl=queue_url, MessageBody="hello")
        messages = client.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1)["Messages"]
    assert [message["Body"] for message in messages] == ["hello"]

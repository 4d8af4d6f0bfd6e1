"""The AWS of the local system."""

from pathlib import Path

from infra.local.ministack import Aws
from tests.support.aws import dynamodb_client, sqs_client


def test_it_listens_on_loopback_only_and_writes_under_its_own_directory(aws: Aws) -> None:
    assert aws.endpoint_url == f"http://127.0.0.1:{aws.port}"
    assert aws.process.log.parent.joinpath("tmp").is_dir()
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if f":{aws.port:04X} 0" in line
    ]
    assert listening


def test_a_table_is_keyed_by_pk_alone(aws_endpoint: str, table_name: str) -> None:
    with dynamodb_client(aws_endpoint) as client:
        client.put_item(TableName=table_name, Item={"pk": {"S": "a"}, "n": {"N": "1"}})
        found = client.get_item(TableName=table_name, Key={"pk": {"S": "a"}}, ConsistentRead=True)
    assert found["Item"]["n"] == {"N": "1"}


def test_a_queue_hands_out_what_was_sent(aws_endpoint: str, queue_url: str) -> None:
    with sqs_client(aws_endpoint) as client:
        client.send_message(QueueUrl=queue_url, MessageBody="hello")
        messages = client.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1)["Messages"]
    assert [message["Body"] for message in messages] == ["hello"]

"""One worker process of the burst: the real event worker's handler, fed from the queue as Lambda feeds it."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stderr
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from billing.runtime.aws import SQS, AwsClient
from functions.apply_events.handler import build

BATCH = 10
CONTEXT = SimpleNamespace(aws_request_id="burst", get_remaining_time_in_millis=lambda: 60_000)
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


@contextmanager
def workers(count: int, environ: Mapping[str, str]) -> Iterator[list[BaseProcess]]:
    """So many running processes; those that have not ended by themselves are ended with the block."""
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = [context.Process(target=drain, args=(dict(environ),)) for _ in range(count)]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join()


def drain(environ: dict[str, str]) -> None:
    """Handle batches until the queue has nothing, neither waiting nor in someone's hands. Its log is not kept."""
    url = environ["QUEUE_URL"]
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere), closing(AwsClient(SQS, 10.0, environ)) as sqs:
        handle = build(environ)
        while (records := _receive(sqs, url)) or left(sqs, url):
            answer = handle({"Records": records}, CONTEXT)
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            _delete(sqs, url, [record for record in records if record["messageId"] not in failed])


def left(sqs: AwsClient, url: str) -> int:
    """Messages in the queue: waiting, in someone's hands, or delayed."""
    answer = sqs.call("GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["All"]})
    return sum(int(answer["Attributes"][name]) for name in COUNTS)


def _receive(sqs: AwsClient, url: str) -> list[dict[str, Any]]:
    """Up to a batch, in the shape in which Lambda hands it over."""
    asked = {
        "QueueUrl": url,
        "MaxNumberOfMessages": BATCH,
        "WaitTimeSeconds": 1,
        "VisibilityTimeout": 120,
        "AttributeNames": ["ApproximateReceiveCount"],
    }
    return [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
        }
        for message in sqs.call("ReceiveMessage", asked).get("Messages", [])
    ]


def _delete(sqs: AwsClient, url: str, records: list[dict[str, Any]]) -> None:
    entries = [{"Id": str(place), "ReceiptHandle": record["receiptHandle"]} for place, record in enumerate(records)]
    if entries:
        answer = sqs.call("DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})
        if answer.get("Failed"):
            raise RuntimeError(f"the queue kept messages that were settled: {answer['Failed']}")

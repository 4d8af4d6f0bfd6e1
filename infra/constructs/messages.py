"""The queue of Stripe's events with its dead letters, and the bus on which changes are told."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import fleet


class EventQueue(Construct):
    """A standard queue: order does not matter to who applies its events. Encrypted, TLS only."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, retain: bool) -> None:
        super().__init__(scope, construct_id)
        removal = RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=f"{prefix}-events-dead",
            retention_period=Duration.days(fleet.DEAD_LETTER_RETENTION_DAYS),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=removal,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=f"{prefix}-events",
            visibility_timeout=Duration.seconds(fleet.QUEUE_VISIBILITY),
            retention_period=Duration.days(fleet.QUEUE_RETENTION_DAYS),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=fleet.MAX_RECEIVES),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=removal,
        )


def feed(scope: Construct, queue: sqs.IQueue, worker: lambda_.IFunction) -> lambda_.EventSourceMapping:
    """Hand the queue's messages to the worker, in batches whose failures are told one by one."""
    return lambda_.EventSourceMapping(
        scope,
        "EventSource",
        target=worker,
        event_source_arn=queue.queue_arn,
        batch_size=fleet.BATCH_SIZE,
        report_batch_item_failures=True,
        max_concurrency=fleet.WORKERS,
    )


def add_bus(scope: Construct, prefix: str) -> events.EventBus:
    """Where `entitlements.changed` is told; subscribers add rules of their own."""
    return events.EventBus(scope, "EventBus", event_bus_name=f"{prefix}-bus")

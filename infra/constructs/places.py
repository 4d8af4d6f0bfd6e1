"""What the functions use, and how a function comes to it: the seam between the stacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs


class Database(Protocol):
    """PostgreSQL as functions reach it. `url` is their DATABASE_URL. Without a `vpc` it is reached from anywhere."""

    @property
    def url(self) -> str: ...

    @property
    def vpc(self) -> ec2.IVpc | None: ...

    @property
    def subnets(self) -> ec2.SubnetSelection | None: ...

    @property
    def security_groups(self) -> Sequence[ec2.ISecurityGroup]:
        """For the functions: what the database's own group lets in."""
        ...

    def grant_connect(self, grantee: iam.IGrantable) -> None:
        """Let it log in as the functions' user."""
        ...


@dataclass(frozen=True)
class Places:
    """One deployment's parts, by `infra.fleet.Part`."""

    database: Database
    table: dynamodb.ITable
    queue: sqs.IQueue
    dead_letters: sqs.IQueue
    bus: events.IEventBus
    stripe_key: secretsmanager.ISecret
    webhook_secrets: secretsmanager.ISecret
    signing_keys: secretsmanager.ISecret

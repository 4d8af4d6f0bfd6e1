"""What must not be lost: the store, its copy, the secrets. Deployed first, with the schema brought up to date."""

from aws_cdk import Environment, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.constructs.database import PostgreSql
from infra.constructs.function import Shell
from infra.constructs.migrations import Migrations
from infra.constructs.network import Network
from infra.constructs.secrets import Secrets
from infra.constructs.table import EntitlementsTable
from infra.constructs.watched import WatchedDatabase, WatchedNat
from infra.stages import Stage


class DataStack(Stack):
    """`database`, `table`, `stripe_key`, `webhook_secrets`, `signing_keys`: see `places.Places`.

    A stage that retains is protected.
    """

    database: PostgreSql
    table: dynamodb.ITable
    stripe_key: secretsmanager.ISecret
    webhook_secrets: secretsmanager.ISecret
    signing_keys: secretsmanager.ISecret
    watched: WatchedDatabase
    watched_nat: WatchedNat

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: Stage, shell: Shell, env: Environment | None = None
    ) -> None:
        super().__init__(
            scope, construct_id, stack_name=construct_id, env=env, termination_protection=stage.retain or None
        )
        prefix = shell.prefix
        key = kms.Key(
            self,
            "Key",
            alias=f"alias/{prefix}-data",
            description=f"Database and secrets of {prefix}",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN if stage.retain else RemovalPolicy.DESTROY,
        )
        network = Network(self, "Network", prefix=prefix, stage=stage)
        self.database = PostgreSql(self, "Database", prefix=prefix, stage=stage, network=network, key=key)
        self.table = EntitlementsTable(self, "Entitlements", prefix=prefix, retain=stage.retain).table
        secrets = Secrets(self, "Stripe", prefix=prefix, key=key, retain=stage.retain)
        self.stripe_key = secrets.stripe_key
        self.webhook_secrets = secrets.webhook_secrets
        self.signing_keys = secrets.signing_keys
        Migrations(self, "Migrations", shell=shell, database=self.database)
        self.watched = self.database.watched
        self.watched_nat = network.nat

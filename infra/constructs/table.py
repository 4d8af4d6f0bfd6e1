"""The cache: one DynamoDB table of ready-made answers and key records."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct


class EntitlementsTable(Construct):
    """On demand, items leave by `ttl`, and any second of 35 days can be restored. `retain`: protected from deletion.

    All of it can be computed again from PostgreSQL; recovery by AWS is only the faster way. Encrypted with AWS's own
    key: one of ours would cost each check a right and a dependency more.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, retain: bool) -> None:
        super().__init__(scope, construct_id)
        recovery = dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)
        self.table = dynamodb.Table(
            self,
            "Table",
            table_name=f"{prefix}-entitlements",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="ttl",
            point_in_time_recovery_specification=recovery,
            deletion_protection=retain,
            removal_policy=RemovalPolicy.RETAIN if retain else RemovalPolicy.DESTROY,
        )

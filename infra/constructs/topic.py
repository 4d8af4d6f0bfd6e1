"""Whom alarms tell."""

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct


def add_topic(scope: Construct, prefix: str, *, email: str) -> sns.Topic:
    """Encrypted with a key of ours, for CloudWatch may not use AWS's own for SNS. `email`: an address, or nothing."""
    key = kms.Key(
        scope,
        "TopicKey",
        description=f"Alarms of {prefix}",
        enable_key_rotation=True,
        removal_policy=RemovalPolicy.DESTROY,  # nothing is kept under it
    )
    topic = sns.Topic(scope, "Topic", topic_name=f"{prefix}-alarms", master_key=key, enforce_ssl=True)
    alarms = iam.ServicePrincipal("cloudwatch.amazonaws.com")
    key.grant(alarms, "kms:Decrypt", "kms:GenerateDataKey*")
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AlarmsOfThisAccount",
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            principals=[alarms],
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
        )
    )
    if email:
        sns.Subscription(scope, "ByMail", topic=topic, protocol=sns.SubscriptionProtocol.EMAIL, endpoint=email)
    return topic

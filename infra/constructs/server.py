"""The server itself: Aurora PostgreSQL Serverless v2, or PostgreSQL on RDS."""

from dataclasses import dataclass
from typing import cast

from aws_cdk import Acknowledgment, Duration, RemovalPolicy, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra.constructs.network import Network
from infra.stages import Stage

NAME = "billing"
OWNER = "billing"
"""Owns the schema. RDS keeps its password and changes it every week; only the migrations log in as it."""

PARAMETERS = {
    "rds.force_ssl": "1",
    "idle_in_transaction_session_timeout": "60000",
    "log_min_duration_statement": "1000",
    # a statement's values, and the key it failed on, may hold a user's data: none of it goes to the log
    "log_parameter_max_length": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
"""For all logins. What is for the functions alone, as `statement_timeout`, is set on their user (store/roles.py)."""

_STORAGE = (20, 500)  # GB: at first, and as far as it grows by itself


@dataclass(frozen=True)
class Server:
    """`resource_id`: what IAM calls it by in the name of a login. `owner_secret_arn`: kept and rotated by RDS."""

    target: rds.ProxyTarget
    resource_id: str
    owner_secret_arn: str


def add_aurora(scope: Construct, *, prefix: str, stage: Stage, network: Network, key: kms.IKey) -> Server:
    """One writer, and with `multi_az` a reader in another zone that takes over within seconds.

    Capacity never falls to nothing: the proxy's own connections keep it awake.
    """
    engine = rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.VER_17_9)
    reader = rds.ClusterInstance.serverless_v2("Reader", scale_with_writer=True, enable_performance_insights=True)
    cluster = rds.DatabaseCluster(
        scope,
        "Cluster",
        cluster_identifier=prefix,
        engine=engine,
        default_database_name=NAME,
        credentials=rds.Credentials.from_username(OWNER, encryption_key=key),
        manage_master_user_password=True,
        iam_authentication=True,
        writer=rds.ClusterInstance.serverless_v2("Writer", enable_performance_insights=True),
        readers=[reader] if stage.multi_az else None,
        serverless_v2_min_capacity=stage.capacity_min,
        serverless_v2_max_capacity=stage.capacity_max,
        parameter_group=rds.ParameterGroup(scope, "Parameters", engine=engine, parameters=PARAMETERS),
        vpc=network.vpc,
        vpc_subnets=network.database,
        security_groups=[_group(scope, network)],
        storage_encrypted=True,
        storage_encryption_key=key,
        backup=rds.BackupProps(retention=Duration.days(stage.backup_days)),
        copy_tags_to_snapshot=True,
        cloudwatch_logs_exports=["postgresql"],
        deletion_protection=stage.retain,
        removal_policy=_removal(stage),
    )
    cluster.node.add_dependency(_log(scope, f"/aws/rds/cluster/{prefix}/postgresql", stage))
    _accept_losing(cluster, stage)
    resource = cast("rds.CfnDBCluster", cluster.node.default_child)
    return Server(
        rds.ProxyTarget.from_cluster(cluster),
        resource.attr_db_cluster_resource_id,
        resource.attr_master_user_secret_secret_arn,
    )


def add_rds(scope: Construct, *, prefix: str, stage: Stage, network: Network, key: kms.IKey) -> Server:
    """One instance, and with `multi_az` a standby in another zone that takes over within two minutes."""
    engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_17_9)
    instance = rds.DatabaseInstance(
        scope,
        "Instance",
        instance_identifier=prefix,
        engine=engine,
        database_name=NAME,
        credentials=rds.Credentials.from_username(OWNER, encryption_key=key),
        manage_master_user_password=True,
        iam_authentication=True,
        instance_type=ec2.InstanceType(stage.instance_class),
        multi_az=stage.multi_az,
        storage_type=rds.StorageType.GP3,
        allocated_storage=_STORAGE[0],
        max_allocated_storage=_STORAGE[1],
        parameter_group=rds.ParameterGroup(scope, "Parameters", engine=engine, parameters=PARAMETERS),
        enable_performance_insights=True,
        vpc=network.vpc,
        vpc_subnets=network.database,
        security_groups=[_group(scope, network)],
        storage_encrypted=True,
        storage_encryption_key=key,
        backup_retention=Duration.days(stage.backup_days),
        copy_tags_to_snapshot=True,
        cloudwatch_logs_exports=["postgresql"],
        deletion_protection=stage.retain,
        removal_policy=_removal(stage),
    )
    instance.node.add_dependency(_log(scope, f"/aws/rds/instance/{prefix}/postgresql", stage))
    _accept_losing(instance, stage)
    Validations.of(instance).acknowledge(
        Acknowledgment(
            id="AwsSolutions-RDS11",
            reason="Only the proxy's security group reaches it; another port would hide it from nobody.",
        )
    )
    if not stage.multi_az:
        Validations.of(instance).acknowledge(
            Acknowledgment(id="AwsSolutions-RDS3", reason="This stage takes some minutes' absence for half the price.")
        )
    resource = cast("rds.CfnDBInstance", instance.node.default_child)
    return Server(
        rds.ProxyTarget.from_instance(instance),
        resource.attr_dbi_resource_id,
        resource.attr_master_user_secret_secret_arn,
    )


def _group(scope: Construct, network: Network) -> ec2.SecurityGroup:
    """Lets in what the proxy adds to it, and lets nothing out."""
    return ec2.SecurityGroup(scope, "Group", vpc=network.vpc, description="PostgreSQL itself", allow_all_outbound=False)


def _log(scope: Construct, name: str, stage: Stage) -> logs.CfnLogGroup:
    """Made before RDS makes it, which would keep it for ever."""
    group = logs.CfnLogGroup(scope, "Log", log_group_name=name, retention_in_days=stage.log_days)
    group.apply_removal_policy(_removal(stage))
    return group


def _accept_losing(server: Construct, stage: Stage) -> None:
    if not stage.retain:
        Validations.of(server).acknowledge(
            Acknowledgment(id="AwsSolutions-RDS10", reason="This stage's data may be lost, and goes with its stack.")
        )


def _removal(stage: Stage) -> RemovalPolicy:
    return RemovalPolicy.RETAIN if stage.retain else RemovalPolicy.DESTROY

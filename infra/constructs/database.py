"""PostgreSQL behind RDS Proxy. Who connects brings a token of IAM; the functions' user has no password at all."""

from collections.abc import Sequence
from typing import cast

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from billing.store.login import IAM
from billing.store.roles import FUNCTIONS_USER
from infra.constructs.network import POSTGRESQL, Network
from infra.constructs.server import NAME, OWNER, Server, add_aurora, add_rds
from infra.constructs.watched import WatchedDatabase
from infra.stages import Stage

BORROW_SECONDS = 3
"""How long the proxy lets a request wait for one of its connections, before that request fails as retryable."""

_IDLE_MINUTES = 30
_CONNECTIONS_PERCENT = 90  # of the server's; the rest is for whoever mends it


class PostgreSql(Construct):
    """Aurora Serverless v2 or RDS as the stage says, and the proxy before it. Implements `places.Database`."""

    def __init__(
        self, scope: Construct, construct_id: str, *, prefix: str, stage: Stage, network: Network, key: kms.IKey
    ) -> None:
        super().__init__(scope, construct_id)
        add_server = add_aurora if stage.database == "aurora" else add_rds
        server = add_server(self, prefix=prefix, stage=stage, network=network, key=key)
        self._proxy = self._add_proxy(prefix, network, server, key)
        self.watched = WatchedDatabase(stage.database, prefix, prefix)
        self.vpc: ec2.IVpc | None = network.vpc
        self.subnets: ec2.SubnetSelection | None = network.functions
        self.security_groups: Sequence[ec2.ISecurityGroup] = (network.functions_group,)
        self.url = self._url(FUNCTIONS_USER)
        self.owner_url = self._url(OWNER)

    def grant_connect(self, grantee: iam.IGrantable) -> None:
        self._proxy.grant_connect(grantee, FUNCTIONS_USER)

    def grant_own(self, grantee: iam.IGrantable) -> None:
        """Let it log in as the schema's owner."""
        self._proxy.grant_connect(grantee, OWNER)

    def _url(self, user: str) -> str:
        return f"{IAM}{user}@{self._proxy.endpoint}:5432/{NAME}"

    def _add_proxy(self, prefix: str, network: Network, server: Server, key: kms.IKey) -> rds.DatabaseProxy:
        """Clients log in by IAM alone. It logs in by IAM too, but as the owner, whose first login needs a password."""
        group = ec2.SecurityGroup(
            self, "ProxyGroup", vpc=network.vpc, description="RDS Proxy", allow_all_outbound=False
        )
        network.functions_group.connections.allow_to(group, POSTGRESQL, "Functions to the proxy")
        role = self._role(server)
        secret = secretsmanager.Secret.from_secret_attributes(
            self, "Owner", secret_complete_arn=server.owner_secret_arn, encryption_key=key
        )
        proxy = rds.DatabaseProxy(
            self,
            "Proxy",
            db_proxy_name=prefix,
            proxy_target=server.target,
            default_auth_scheme=rds.DefaultAuthScheme.IAM_AUTH,
            secrets=[secret],
            iam_auth=True,
            require_tls=True,
            role=role,
            borrow_timeout=Duration.seconds(BORROW_SECONDS),
            idle_client_timeout=Duration.minutes(_IDLE_MINUTES),
            max_connections_percent=_CONNECTIONS_PERCENT,
            vpc=network.vpc,
            vpc_subnets=network.database,
            security_groups=[group],
        )
        pool = cast("rds.CfnDBProxyTargetGroup", proxy.node.find_child("ProxyTargetGroup"))
        pool.add_property_deletion_override("Tags")  # CloudFormation's published schema has none here
        proxy.node.add_dependency(role)  # with its policy: a proxy that may not log in yet waits for minutes
        return proxy

    def _role(self, server: Server) -> iam.Role:
        role = iam.Role(
            self,
            "ProxyRole",
            description="What RDS Proxy may do to log in at the database",
            assumed_by=iam.ServicePrincipal("rds.amazonaws.com"),
        )
        user = Stack.of(self).format_arn(
            service="rds-db",
            resource="dbuser",
            resource_name=f"{server.resource_id}/{FUNCTIONS_USER}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        role.add_to_policy(iam.PolicyStatement(sid="AsTheFunctions", actions=["rds-db:connect"], resources=[user]))
        return role

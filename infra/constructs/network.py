"""Where the database is out of reach, and from where functions reach it."""

from aws_cdk import Acknowledgment, Fn, RemovalPolicy, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.watched import WatchedNat
from infra.stages import Stage

POSTGRESQL = ec2.Port.tcp(5432)
HTTPS = ec2.Port.tcp(443)

ZONES = 2
"""A third would cost nothing by itself, but the region's names would have to be looked up at each synthesis."""

_CIDR = "10.42.0.0/16"
_FLOW_LOG_DAYS = 30


class Network(Construct):
    """Functions in private subnets, database and proxy in isolated ones, out through one NAT.

    DynamoDB and S3 are reached by gateway endpoints, which cost nothing. One NAT is the cheapest way to the rest
    (Stripe above all, which no endpoint leads to): an interface endpoint costs some $15 a month for each service in two
    zones. If its zone fails, checks that hit go on, for DynamoDB needs no NAT.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        nat = _nat(stage)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            vpc_name=prefix,
            ip_addresses=ec2.IpAddresses.cidr(_CIDR),
            availability_zones=[Fn.select(number, Fn.get_azs()) for number in range(ZONES)],
            nat_gateways=1,
            nat_gateway_provider=nat,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="functions", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
                ec2.SubnetConfiguration(name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
            gateway_endpoints={
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
            },
            restrict_default_security_group=False,  # it takes a function of the CDK's; nothing is in that group
        )
        self.functions = ec2.SubnetSelection(subnet_group_name="functions")
        self.database = ec2.SubnetSelection(subnet_group_name="database")
        self.functions_group = ec2.SecurityGroup(
            self,
            "FunctionsGroup",
            vpc=self.vpc,
            description="Functions that use the database",
            allow_all_outbound=False,
        )
        self.functions_group.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "AWS and Stripe")
        self._log_refused(prefix, stage)
        if isinstance(nat, ec2.NatInstanceProviderV2):
            self._open(nat)
        self.nat = WatchedNat(stage.nat, nat.configured_gateways[0].gateway_id)

    def _log_refused(self, prefix: str, stage: Stage) -> None:
        """What was refused is worth a look, and little; all that passed would cost more than it tells."""
        group = logs.LogGroup(
            self,
            "FlowLog",
            log_group_name=f"/aws/vpc/{prefix}-refused",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.RETAIN if stage.retain else RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            self,
            "FlowLogRole",
            description="What VPC flow logs may write",
            assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"),
        )
        self.vpc.add_flow_log(
            "Refused",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group, role),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )

    def _open(self, nat: ec2.NatInstanceProviderV2) -> None:
        nat.connections.allow_from(ec2.Peer.ipv4(_CIDR), HTTPS, "Functions on their way out")
        for instance in nat.gateway_instances:
            disk = ec2.CfnInstance.EbsProperty(encrypted=True, volume_type="gp3")
            instance.instance.block_device_mappings = [
                ec2.CfnInstance.BlockDeviceMappingProperty(device_name="/dev/xvda", ebs=disk)
            ]
            Validations.of(instance).acknowledge(
                Acknowledgment(
                    id="AwsSolutions-EC28", reason="A NAT instance is the cheap choice; five-minute metrics will do."
                ),
                Acknowledgment(id="AwsSolutions-EC29", reason="It holds nothing: deployed anew, it is whole again."),
            )


def _nat(stage: Stage) -> ec2.NatGatewayProvider | ec2.NatInstanceProviderV2:
    if stage.nat == "gateway":
        return ec2.NatGatewayProvider()
    return ec2.NatProvider.instance_v2(
        instance_type=ec2.InstanceType("t4g.nano"),
        machine_image=ec2.MachineImage.latest_amazon_linux2023(cpu_type=ec2.AmazonLinuxCpuType.ARM_64),
        default_allowed_traffic=ec2.NatTrafficDirection.OUTBOUND_ONLY,
        associate_public_ip_address=True,
    )

"""A Lambda function of the fleet: its own role with the rights it needs and no more, its log, its environment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from aws_cdk import Acknowledgment, ArnFormat, Duration, RemovalPolicy, Stack, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra import fleet
from infra.constructs.places import Database, Places
from infra.fleet import LIVEMODE, Part

_NETWORK = ("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface")
"""What Lambda does in a function's name to put it into a VPC; none of them can be bound to a resource."""


@dataclass(frozen=True)
class Shell:
    """What is the same for every function of a deployment. `layers` gives a function's; `log_days` None: no log group.

    `traced`, `restored`, `reserve`: X-Ray, SnapStart and reserved concurrency are had here.
    """

    prefix: str
    environment: Mapping[str, str]
    livemode: bool
    code: Callable[[str], lambda_.Code]
    layers: Callable[[Construct, str], Sequence[lambda_.ILayerVersion]]
    log_days: int | None = None
    log_removal: RemovalPolicy = RemovalPolicy.DESTROY
    traced: bool = True
    restored: bool = True
    reserve: bool = True


def add_function(scope: Construct, entry: fleet.Function, shell: Shell, places: Places) -> lambda_.Function:
    """The function named `<prefix>-<entry.name>`, with its rights on its places and nothing else."""
    function, role = bare_function(scope, entry, shell, places.database, environment(entry, shell, places))
    for part, actions in entry.rights.items():
        _grant(role, part, actions, places)
    return function


def bare_function(
    scope: Construct, entry: fleet.Function, shell: Shell, database: Database, variables: Mapping[str, str]
) -> tuple[lambda_.Function, iam.Role]:
    """The same without any right on the deployment's parts, and its role to add them to."""
    name = f"{shell.prefix}-{entry.name}"
    inside = Part.STORE in entry.rights and database.vpc is not None
    role = _role(scope, entry, name, inside=inside)
    function = lambda_.Function(
        scope,
        entry.logical_id,
        function_name=name,
        description=f"functions/{entry.folder}",
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        handler=entry.handler,
        code=shell.code(entry.folder),
        layers=list(shell.layers(scope, entry.folder)),
        memory_size=entry.memory,
        timeout=Duration.seconds(entry.timeout),
        environment=dict(variables),
        role=role.without_policy_updates(),
        tracing=lambda_.Tracing.ACTIVE if shell.traced else None,
        snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if shell.restored and entry.restored else None,
        reserved_concurrent_executions=entry.reserved if shell.reserve else None,
        vpc=database.vpc if inside else None,
        vpc_subnets=database.subnets if inside else None,
        security_groups=list(database.security_groups) if inside else None,
    )
    Validations.of(function).acknowledge(
        Acknowledgment(
            id="AwsSolutions-L1", reason="3.13 is the newest Python that our packages are built and tested for."
        )
    )
    if shell.log_days is not None:
        _log(scope, entry, name, shell, role)
    if shell.traced:
        _let_trace(role)
    return function, role


def environment(entry: fleet.Function, shell: Shell, places: Places) -> dict[str, str]:
    """Its variables: the stage's, where its parts are, and its own."""
    where: Mapping[Part, str] = {
        Part.STORE: places.database.url,
        Part.TABLE: places.table.table_name,
        Part.QUEUE: places.queue.queue_url,
        Part.DEAD_LETTERS: places.dead_letters.queue_url,
        Part.BUS: places.bus.event_bus_name,
        Part.STRIPE_KEY: places.stripe_key.secret_arn,
        Part.WEBHOOK_SECRETS: places.webhook_secrets.secret_arn,
        Part.SIGNING_KEYS: places.signing_keys.secret_arn,
    }
    own = {LIVEMODE: str(shell.livemode).lower()} if entry.livemode else {}
    return {**shell.environment, **{part.value: where[part] for part in entry.rights}, **own}


def _role(scope: Construct, entry: fleet.Function, name: str, *, inside: bool) -> iam.Role:
    role = iam.Role(
        scope,
        entry.logical_id + "Role",
        description=f"What functions/{entry.folder} may do",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
    )
    if inside:
        arn = Stack.of(scope).format_arn(
            service="lambda", resource="function", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
        role.add_to_policy(iam.PolicyStatement(sid="JoinTheNetwork", actions=list(_NETWORK), resources=["*"]))
        role.add_to_policy(  # Lambda does that for the function; its code may not
            iam.PolicyStatement(
                sid="NotTheCodeItself",
                effect=iam.Effect.DENY,
                actions=list(_NETWORK),
                resources=["*"],
                conditions={"ArnEquals": {"lambda:SourceFunctionArn": arn}},
            )
        )
    return role


def _log(scope: Construct, entry: fleet.Function, name: str, shell: Shell, role: iam.Role) -> None:
    group = logs.CfnLogGroup(
        scope, entry.logical_id + "Log", log_group_name=f"/aws/lambda/{name}", retention_in_days=shell.log_days
    )
    group.apply_removal_policy(shell.log_removal)
    write = ["logs:CreateLogStream", "logs:PutLogEvents"]
    role.add_to_policy(iam.PolicyStatement(sid="WriteItsLog", actions=write, resources=[group.attr_arn]))
    Validations.of(role).acknowledge(
        Acknowledgment(
            id=f"AwsSolutions-IAM5[Resource::<{Stack.of(scope).get_logical_id(group)}.Arn>]",
            reason="A log group's ARN ends in :*, which stands for the streams within this one group.",
        )
    )


def _let_trace(role: iam.Role) -> None:
    send = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    role.add_to_policy(iam.PolicyStatement(sid="SendTraces", actions=send, resources=["*"]))
    Validations.of(role).acknowledge(
        Acknowledgment(
            id="AwsSolutions-IAM5[Resource::*]",
            reason="X-Ray knows no resources for sending traces; network interfaces have no ARN before they exist, "
            "and the function's own code is denied them.",
        )
    )


def _grant(role: iam.Role, part: Part, actions: Sequence[str], places: Places) -> None:
    match part:
        case Part.STORE:
            places.database.grant_connect(role)
        case Part.STRIPE_KEY:
            _use_secret(role, actions, places.stripe_key)
        case Part.WEBHOOK_SECRETS:
            _use_secret(role, actions, places.webhook_secrets)
        case Part.SIGNING_KEYS:
            _use_secret(role, actions, places.signing_keys)
        case Part.TABLE:
            _allow(role, part, actions, places.table.table_arn)
        case Part.QUEUE:
            _allow(role, part, actions, places.queue.queue_arn)
        case Part.DEAD_LETTERS:
            _allow(role, part, actions, places.dead_letters.queue_arn)
        case Part.BUS:
            _allow(role, part, actions, places.bus.event_bus_arn)
        case _:
            assert_never(part)


def _allow(role: iam.Role, part: Part, actions: Sequence[str], arn: str) -> None:
    sid = "".join(word.capitalize() for word in part.name.split("_"))
    role.add_to_policy(iam.PolicyStatement(sid=sid, actions=list(actions), resources=[arn]))


def _use_secret(role: iam.Role, actions: Sequence[str], secret: secretsmanager.ISecret) -> None:
    """With its key, where it has one of ours."""
    role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=[secret.secret_arn]))
    if secret.encryption_key is not None:
        secret.encryption_key.grant_decrypt(role)
        if set(fleet.WRITE_SECRET) & set(actions):
            secret.encryption_key.grant(role, "kms:GenerateDataKey")

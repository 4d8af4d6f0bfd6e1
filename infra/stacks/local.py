"""The service on a laptop: `template-local.yaml` is this stack, synthesized by `make template`."""

from collections.abc import Mapping, Sequence

from aws_cdk import Aws, BootstraplessSynthesizer, CfnElement, CfnOutput, CfnParameter, CfnTag, SecretValue, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.constructs.front import document, let_invoke
from infra.constructs.function import Shell, add_function
from infra.constructs.messages import EventQueue, add_bus, feed
from infra.constructs.places import Places
from infra.constructs.schedules import add_schedule
from infra.constructs.table import EntitlementsTable
from infra.fleet import FLEET, SCHEDULES
from infra.routes import ROUTES

API_ID = "b1111111"
"""The API's address at every start."""

CUSTOM_ID_TAGS = ("ms-custom-id", "_custom_id_")
"""How MiniStack is told it, and LocalStack."""


class GivenDatabase:
    """PostgreSQL that somebody else runs, reached without a VPC. The URL says all."""

    vpc: ec2.IVpc | None = None
    subnets: ec2.SubnetSelection | None = None
    security_groups: Sequence[ec2.ISecurityGroup] = ()

    def __init__(self, url: str) -> None:
        self.url = url

    def grant_connect(self, grantee: iam.IGrantable) -> None:
        """It asks for no rights of AWS."""


class LocalStack(Stack):
    """One plain stack, with parameters for what is on this machine: a REST API in front, and no layers, which the free
    LocalStack stores but does not apply.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(
            scope,
            construct_id,
            synthesizer=BootstraplessSynthesizer(),
            description="The billing service on a laptop: written by `make template` from what production is made of",
        )
        prefix = Aws.STACK_NAME
        queue = EventQueue(self, "Events", prefix=prefix, retain=False)
        places = Places(
            GivenDatabase(self._parameter("DatabaseUrl", "PostgreSQL as seen from the functions", secret=True)),
            EntitlementsTable(self, "Entitlements", prefix=prefix, retain=False).table,
            queue.queue,
            queue.dead_letters,
            add_bus(self, prefix),
            self._secret("StripeApiKey", "stripe-api-key", 'JSON: {"api_key": "sk_test_…"}'),
            self._secret(
                "StripeWebhookSecrets", "stripe-webhook", 'A JSON object: {"secrets": ["whsec_…"]}, up to two'
            ),
            self._secret("SigningKeys", "signing-keys", 'JSON: {"keys": […]}, of billing.domain.token_keys'),
        )
        shell = self._shell()
        functions = {entry.folder: add_function(self, entry, shell, places) for entry in FLEET}
        feed(self, places.queue, functions["apply_events"])
        for schedule in SCHEDULES:
            add_schedule(self, schedule, prefix, functions)
        self._front(functions)
        self._tell(places)

    def _allocate_logical_id(self, cfn_element: CfnElement) -> str:
        """The path alone: one small stack in which names are read by people, and do not clash."""
        names = [name for name in cfn_element.node.path.split("/")[1:] if name not in ("Resource", "Default")]
        return "".join(names)

    def _shell(self) -> Shell:
        endpoint = self._parameter("AwsEndpointUrl", "The emulator as seen from the functions")
        stripe = self._parameter("StripeApiBase", "The Stripe double as seen from the functions")
        level = CfnParameter(self, "LogLevel", default="INFO").value_as_string
        version = self._parameter("CodeVersion", "Folder in the bucket; holds FUNCTION.zip for each function")
        bucket = s3.Bucket.from_bucket_name(
            self, "Code", self._parameter("CodeBucket", "S3 bucket of the functions' packages")
        )
        return Shell(
            prefix=Aws.STACK_NAME,
            environment={
                "STAGE": "local",
                "LOG_LEVEL": level,
                "AWS_ENDPOINT_URL": endpoint,
                "STRIPE_API_BASE": stripe,
            },
            livemode=False,
            code=lambda folder: lambda_.Code.from_bucket_v2(bucket, f"{version}/{folder}.zip"),
            layers=lambda _scope, _folder: (),
            traced=False,
            restored=False,
            reserve=False,
        )

    def _parameter(self, name: str, description: str, *, secret: bool = False) -> str:
        return CfnParameter(self, name, description=description, no_echo=secret or None).value_as_string

    def _secret(self, parameter: str, name: str, description: str) -> secretsmanager.ISecret:
        value = CfnParameter(self, parameter, description=description, no_echo=True).value_as_string
        return secretsmanager.Secret(
            self,
            parameter + "Secret",
            secret_name=f"{Aws.STACK_NAME}/{name}",
            secret_string_value=SecretValue.unsafe_plain_text(value),
        )

    def _front(self, functions: Mapping[str, lambda_.IFunction]) -> None:
        api = apigateway.CfnRestApi(
            self,
            "Api",
            name=Aws.STACK_NAME,
            body=document("billing", functions),
            tags=[
                CfnTag(key=key, value=API_ID) for key in ("ms-custom-id", "_custom_id_")
            ],  # MiniStack's, LocalStack's
        )
        for folder in sorted({route.function for route in ROUTES}):
            let_invoke(self, folder, functions[folder], None)
        deployment = apigateway.CfnDeployment(self, "ApiDeployment", rest_api_id=api.ref)
        apigateway.CfnStage(
            self, "ApiStage", stage_name="local", rest_api_id=api.ref, deployment_id=deployment.attr_deployment_id
        )
        CfnOutput(self, "ApiId", value=api.ref)

    def _tell(self, places: Places) -> None:
        CfnOutput(self, "TableName", value=places.table.table_name)
        CfnOutput(self, "QueueUrl", value=places.queue.queue_url)
        CfnOutput(self, "DeadLetterQueueUrl", value=places.dead_letters.queue_url)
        CfnOutput(self, "EventBusName", value=places.bus.event_bus_name)

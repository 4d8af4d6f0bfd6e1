"""The REST API: the front for those who need WAF, or an API that is reached from within their network alone."""

import hashlib
import json
from collections.abc import Mapping

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.constructs.front import ACCESS_LOG, document, let_invoke
from infra.constructs.watched import WatchedFront
from infra.routes import ROUTES
from infra.stages import Stage

STAGE_NAME = "live"

MANAGED_RULES = ("AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet")
COUNTED_ONLY = ("SizeRestrictions_BODY", "GenericRFI_BODY", "EC2MetaDataSSRF_BODY")
"""Rules that would refuse good requests: events and catalogs exceed 8 KB, and checkouts carry addresses to return to
(which are held to the project's allowed origins).
"""

REQUESTS_PER_ADDRESS = 20_000
"""In five minutes; more is refused. Micro-apps' servers ask for all their users from few addresses."""


class RestFront(Construct):
    """Every route, throttled, logged, behind a web ACL. `network`: the VPC of a private API, else None."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        stage: Stage,
        functions: Mapping[str, lambda_.IFunction],
        access_log_arn: str,
        network: ec2.IVpc | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        endpoint = self._endpoint(network) if network is not None else None
        api = apigateway.CfnRestApi(
            self,
            "Api",
            name=prefix,
            body=document(prefix, functions),
            fail_on_warnings=True,
            disable_execute_api_endpoint=bool(stage.domain),
            endpoint_configuration=apigateway.CfnRestApi.EndpointConfigurationProperty(
                types=["PRIVATE"] if endpoint else ["REGIONAL"],
                vpc_endpoint_ids=[endpoint.vpc_endpoint_id] if endpoint else None,
            ),
            policy=_only_from(endpoint) if endpoint else None,
        )
        live = self._stage(stage, api, access_log_arn)
        self._web_acl(live)
        stack = Stack.of(self)
        for folder in sorted({route.function for route in ROUTES}):
            source = stack.format_arn(service="execute-api", resource=api.ref, resource_name="*/*")
            let_invoke(self, folder, functions[folder], source)
        self.watched = WatchedFront("rest", prefix, STAGE_NAME)
        self.url = f"https://{api.ref}.execute-api.{stack.region}.{stack.url_suffix}/{STAGE_NAME}"
        if stage.domain:
            self.url = self._domain(stage, api, live)

    def _endpoint(self, network: ec2.IVpc) -> ec2.InterfaceVpcEndpoint:
        return ec2.InterfaceVpcEndpoint(
            self,
            "Endpoint",
            vpc=network,
            service=ec2.InterfaceVpcEndpointAwsService.APIGATEWAY,
            subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
        )

    def _stage(self, stage: Stage, api: apigateway.CfnRestApi, access_log_arn: str) -> apigateway.CfnStage:
        routes = sorted((route.method, route.path, route.function) for route in ROUTES)
        content = hashlib.sha256(json.dumps(routes).encode()).hexdigest()[:12]
        # a deployment is a copy of the API as it was: other routes need another deployment, and so another name
        deployment = apigateway.CfnDeployment(self, f"Deployment{content}", rest_api_id=api.ref)
        everything = apigateway.CfnStage.MethodSettingProperty(
            http_method="*",
            resource_path="/*",
            metrics_enabled=True,
            logging_level="ERROR",
            data_trace_enabled=False,
            throttling_rate_limit=stage.rate,
            throttling_burst_limit=stage.burst,
        )
        live = apigateway.CfnStage(
            self,
            "Stage",
            stage_name=STAGE_NAME,
            rest_api_id=api.ref,
            deployment_id=deployment.attr_deployment_id,
            tracing_enabled=True,
            method_settings=[everything],
            access_log_setting=apigateway.CfnStage.AccessLogSettingProperty(
                destination_arn=access_log_arn, format=ACCESS_LOG
            ),
        )
        live.add_resource_dependency(self._log_writer())
        Validations.of(live).acknowledge(
            Acknowledgment(
                id="AwsSolutions-APIG6", reason="Errors are logged for every method; each request is in the access log."
            )
        )
        Validations.of(api).acknowledge(
            Acknowledgment(
                id="AwsSolutions-APIG2",
                reason="Every function validates its whole request and says in one form of error what to mend.",
            )
        )
        return live

    def _log_writer(self) -> apigateway.CfnAccount:
        """REST APIs write logs with a role that is set once for the account and region."""
        role = iam.Role(
            self,
            "LogWriter",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonAPIGatewayPushToCloudWatchLogs")
            ],
        )
        Validations.of(role).acknowledge(
            Acknowledgment(
                id="AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]",
                reason="API Gateway's own policy for its account-wide log role: it may write logs and nothing else.",
            )
        )
        return apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)

    def _web_acl(self, live: apigateway.CfnStage) -> None:
        rules = [_managed(name, priority) for priority, name in enumerate(MANAGED_RULES, start=1)]
        acl = waf.CfnWebACL(
            self,
            "WebAcl",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_seen(self._prefix),
            rules=[_few_from_one_address(), *rules],
        )
        stack = Stack.of(self)
        arn = f"arn:{stack.partition}:apigateway:{stack.region}::/restapis/{live.rest_api_id}/stages/{live.ref}"
        waf.CfnWebACLAssociation(self, "WebAclAssociation", resource_arn=arn, web_acl_arn=acl.attr_arn)

    def _domain(self, stage: Stage, api: apigateway.CfnRestApi, live: apigateway.CfnStage) -> str:
        name = apigateway.CfnDomainName(
            self,
            "Domain",
            domain_name=stage.domain,
            regional_certificate_arn=stage.certificate_arn,
            endpoint_configuration=apigateway.CfnDomainName.EndpointConfigurationProperty(types=["REGIONAL"]),
            security_policy="TLS_1_2",
        )
        mapping = apigateway.CfnBasePathMapping(
            self, "Mapping", domain_name=name.ref, rest_api_id=api.ref, stage=live.ref
        )
        mapping.add_resource_dependency(live)
        return f"https://{stage.domain}"


def _only_from(endpoint: ec2.InterfaceVpcEndpoint) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "execute-api:Invoke",
                "Resource": "execute-api:/*",
                "Condition": {"StringEquals": {"aws:SourceVpce": endpoint.vpc_endpoint_id}},
            }
        ],
    }


def _few_from_one_address() -> waf.CfnWebACL.RuleProperty:
    limit = waf.CfnWebACL.RateBasedStatementProperty(limit=REQUESTS_PER_ADDRESS, aggregate_key_type="IP")
    return waf.CfnWebACL.RuleProperty(
        name="FewFromOneAddress",
        priority=0,
        action=waf.CfnWebACL.RuleActionProperty(block={}),
        statement=waf.CfnWebACL.StatementProperty(rate_based_statement=limit),
        visibility_config=_seen("FewFromOneAddress"),
    )


def _managed(name: str, priority: int) -> waf.CfnWebACL.RuleProperty:
    count = waf.CfnWebACL.RuleActionProperty(count={})
    overrides = [waf.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count) for rule in COUNTED_ONLY]
    group = waf.CfnWebACL.ManagedRuleGroupStatementProperty(
        name=name,
        vendor_name="AWS",
        rule_action_overrides=overrides if name == MANAGED_RULES[0] else None,
    )
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(managed_rule_group_statement=group),
        visibility_config=_seen(name),
    )


def _seen(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )

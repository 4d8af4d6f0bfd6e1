"""The HTTP API: the cheaper and faster front, and the default."""

from collections.abc import Mapping

from aws_cdk import Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.front import ACCESS_LOG, document, let_invoke
from infra.constructs.watched import WatchedFront
from infra.routes import ROUTES
from infra.stages import Stage


class HttpFront(Construct):
    """Every route, throttled, with an access log. Hands functions payload format 1.0."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        stage: Stage,
        functions: Mapping[str, lambda_.IFunction],
        access_log_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        api = apigateway.CfnApi(
            self,
            "Api",
            body=document(prefix, functions, payload="1.0"),
            fail_on_warnings=True,
            disable_execute_api_endpoint=bool(stage.domain),
        )
        live = apigateway.CfnStage(
            self,
            "Stage",
            api_id=api.ref,
            stage_name="$default",
            auto_deploy=True,
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=access_log_arn, format=ACCESS_LOG
            ),
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                detailed_metrics_enabled=True, throttling_rate_limit=stage.rate, throttling_burst_limit=stage.burst
            ),
        )
        stack = Stack.of(self)
        for folder in sorted({route.function for route in ROUTES}):
            source = stack.format_arn(service="execute-api", resource=api.ref, resource_name="*/*")
            let_invoke(self, folder, functions[folder], source)
        self.watched = WatchedFront("http", api.ref, "$default")
        self.url = f"https://{api.ref}.execute-api.{stack.region}.{stack.url_suffix}"
        if stage.domain:
            self.url = self._domain(stage, api, live)

    def _domain(self, stage: Stage, api: apigateway.CfnApi, live: apigateway.CfnStage) -> str:
        name = apigateway.CfnDomainName(
            self,
            "Domain",
            domain_name=stage.domain,
            domain_name_configurations=[
                apigateway.CfnDomainName.DomainNameConfigurationProperty(
                    certificate_arn=stage.certificate_arn, endpoint_type="REGIONAL", security_policy="TLS_1_2"
                )
            ],
        )
        mapping = apigateway.CfnApiMapping(self, "Mapping", api_id=api.ref, domain_name=name.ref, stage=live.ref)
        mapping.add_resource_dependency(live)
        return f"https://{stage.domain}"

"""What answers requests: the HTTP functions behind their aliases, and the front before them."""

from collections.abc import Mapping

from aws_cdk import CfnOutput, Environment, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.function import Shell, add_function
from infra.constructs.http_front import HttpFront
from infra.constructs.places import Places
from infra.constructs.rest_front import RestFront
from infra.constructs.schedules import add_schedule
from infra.constructs.shift import Shifts
from infra.fleet import SCHEDULES, function
from infra.routes import ROUTES
from infra.stages import Stage


class ApiStack(Stack):
    """`functions` by folder, `aliases` likewise: what the front invokes. `url` is where callers go."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        shell: Shell,
        places: Places,
        env: Environment | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            termination_protection=stage.retain,
            description="The HTTP API of the billing service",
        )
        answering = sorted({route.function for route in ROUTES})
        shifts = Shifts(self, "Shifts", prefix=shell.prefix, stage=stage)
        self.functions: Mapping[str, lambda_.Function] = {
            folder: add_function(self, function(folder), shell, places) for folder in answering
        }
        self.aliases: Mapping[str, lambda_.Alias] = {
            folder: shifts.add(function(folder), made) for folder, made in self.functions.items()
        }
        for schedule in SCHEDULES:
            if schedule.function in self.aliases:
                add_schedule(self, schedule, shell.prefix, self.aliases)
        self.front = self._front(stage, shell.prefix, places)
        CfnOutput(self, "ApiUrl", value=self.front.url, description="Where micro-apps, operators and Stripe call")

    def _front(self, stage: Stage, prefix: str, places: Places) -> HttpFront | RestFront:
        access_log = logs.CfnLogGroup(
            self,
            "AccessLog",
            log_group_name=f"/aws/vendedlogs/{prefix}-front",
            retention_in_days=stage.log_days,
        )
        access_log.apply_removal_policy(RemovalPolicy.RETAIN if stage.retain else RemovalPolicy.DESTROY)
        log_arn = access_log.attr_arn
        if stage.front == "http":
            return HttpFront(self, "Http", prefix=prefix, stage=stage, functions=self.aliases, access_log_arn=log_arn)
        network = places.database.vpc if stage.rest_private else None
        return RestFront(
            self,
            "Rest",
            prefix=prefix,
            stage=stage,
            functions=self.aliases,
            access_log_arn=log_arn,
            network=network,
        )

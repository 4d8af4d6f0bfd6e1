"""How a new version of a function comes to be asked: behind the alias `live`, little by little, back on an alarm."""

from typing import Any

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.alarms import RUNBOOKS
from infra.constructs.metrics import server_errors_name
from infra.fleet import Function
from infra.stages import Stage

ALIAS = "live"

FAULTS_A_MINUTE = 5
"""Answers above 500 that are too many: one may be the database's bad moment, and going back would not mend that."""

_MINUTELY: dict[str, Any] = {"period": Duration.minutes(1), "statistic": "Sum"}


class Shifts(Construct):
    """The deployments of one stage's HTTP functions."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._stage = stage
        if stage.shift == "all-at-once":
            return
        self._application = codedeploy.LambdaApplication(self, "Application", application_name=prefix)
        self._role = iam.Role(
            self,
            "Role",
            description="What CodeDeploy may do to shift an alias",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AWSCodeDeployRoleForLambdaLimited")
            ],
        )
        Validations.of(self._role).acknowledge(
            Acknowledgment(
                id="AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]",
                reason="AWS's own policy for this very task: aliases, alarms and CodeDeploy's topic, nothing else.",
            )
        )

    def add(self, entry: Function, function: lambda_.Function) -> lambda_.Alias:
        """The alias that callers invoke. Its newest version is reached by shifting, or at once."""
        alias = lambda_.Alias(self, entry.logical_id + "Alias", alias_name=ALIAS, version=function.current_version)
        if self._stage.shift == "all-at-once":
            return alias
        codedeploy.LambdaDeploymentGroup(
            self,
            entry.logical_id + "Shift",
            application=self._application,
            deployment_group_name=f"{self._prefix}-{entry.name}",
            alias=alias,
            role=self._role.without_policy_updates(),
            deployment_config=_config(self._stage),
            alarms=self._alarms(entry, alias),
        )
        return alias

    def _alarms(self, entry: Function, alias: lambda_.Alias) -> list[cloudwatch.Alarm]:
        """An error of the alias; and answers above 500, which are none to Lambda. A refused request is an answer."""
        crashes = self._alarm(f"{entry.logical_id}Errors", f"{entry.name}-shift", alias.metric_errors(**_MINUTELY), 1)
        if entry.folder == "health":  # its 503 is its answer
            return [crashes]
        name = server_errors_name(entry.folder)  # counted by the operations stack, off the function's log
        faults = cloudwatch.Metric(namespace=self._prefix, metric_name=name, **_MINUTELY)
        return [
            crashes,
            self._alarm(f"{entry.logical_id}Faults", f"{entry.name}-shift-5xx", faults, FAULTS_A_MINUTE),
        ]

    def _alarm(self, construct_id: str, name: str, metric: cloudwatch.IMetric, threshold: int) -> cloudwatch.Alarm:
        return cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=f"A new version fails: CodeDeploy goes back by itself. See {RUNBOOKS}, Alarms.",
            metric=metric,
            threshold=threshold,
            evaluation_periods=5,
            datapoints_to_alarm=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )


def _config(stage: Stage) -> codedeploy.ILambdaDeploymentConfig:
    if stage.shift == "linear":
        return codedeploy.LambdaDeploymentConfig.LINEAR_10_PERCENT_EVERY_1_MINUTE
    return codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES

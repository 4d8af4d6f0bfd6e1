"""EventBridge's rules that wake functions."""

import json
from collections.abc import Mapping

from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.fleet import Schedule


def add_schedule(
    scope: Construct, schedule: Schedule, prefix: str, functions: Mapping[str, lambda_.IFunction]
) -> events.CfnRule:
    """The rule, and its right to invoke. Written plainly: a rule's target is a function, with no retries of its own.

    EventBridge invokes asynchronously; what a failed tick left undone the next one does.
    """
    function = functions[schedule.function]
    target = events.CfnRule.TargetProperty(
        id=schedule.function,
        arn=function.function_arn,
        input=None if schedule.payload is None else json.dumps(schedule.payload),
    )
    logical_id = "".join(word.capitalize() for word in schedule.name.split("-"))
    rule = events.CfnRule(
        scope,
        logical_id + "Schedule",
        name=f"{prefix}-{schedule.name}",
        schedule_expression=schedule.expression,
        targets=[target],
    )
    lambda_.CfnPermission(
        scope,
        logical_id + "Permission",
        action="lambda:InvokeFunction",
        function_name=function.function_arn,
        principal="events.amazonaws.com",
        source_arn=rule.attr_arn,
    )
    return rule

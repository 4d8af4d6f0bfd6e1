"""What watches the service: alarms and whom they tell, the dashboard, saved queries of the logs."""

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from infra.constructs.alarm_table import ALARMS
from infra.constructs.alarms import RUNBOOKS, add_alarms, add_down
from infra.constructs.dashboard import add_dashboard
from infra.constructs.log_metrics import add_filters
from infra.constructs.queries import add_queries
from infra.constructs.topic import add_topic
from infra.constructs.watched import Watched
from infra.stages import Stage


class OperationsStack(Stack):
    """It refers to what it watches by name alone, and the functions' log groups must be there before it.

    `runbooks`: where docs/operations.md is read, for the links in alarms. What an emulator does not know can be left
    out of the template, for nothing else refers to it: composite alarms, alarms on metric math, saved queries.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        watched: Watched,
        runbooks: str = RUNBOOKS,
        env: Environment | None = None,
    ) -> None:
        super().__init__(scope, construct_id, stack_name=construct_id, env=env)
        topic = add_topic(self, watched.prefix, email=stage.alarm_email)
        add_filters(Construct(self, "LogMetrics"), watched)
        scoped = Construct(self, "Alarms")
        alarms = add_alarms(scoped, ALARMS, watched, topic, runbooks)
        add_down(scoped, watched, alarms, topic, runbooks)
        add_dashboard(Construct(self, "Graphs"), watched, list(alarms), runbooks)
        add_queries(Construct(self, "Queries"), watched)
        CfnOutput(self, "AlarmTopic", value=topic.topic_arn, description="Subscribe a pager to it")

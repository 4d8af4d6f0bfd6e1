"""From the table of alarms (`infra.constructs.alarm_table`) to CloudWatch's, each with the way to its runbook."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk.aws_cloudwatch import ComparisonOperator, MathExpression, Metric, TreatMissingData
from constructs import Construct

from infra.constructs.watched import Watched
from infra.stages import DatabaseKind

Severity = Literal["page", "ticket"]
"""`page`: somebody looks now. `ticket`: on the next working day."""

RUNBOOKS = "docs/operations.md"
"""Where the runbooks are: in the repository, or an address of the same page."""

DOWN = "service-down"
DOWN_SAYS = "Callers get errors, and the service's own work fails too."
DOWN_CALLERS = ("check-errors", "front-errors")
DOWN_OWN = ("background-errors", "not-ready", "outbox-silent")
DOWN_RULE = f"page: ({' or '.join(DOWN_CALLERS)}) and ({' or '.join(DOWN_OWN)})"


@dataclass(frozen=True)
class Alarm:
    """One alarm. It goes off where the metric is at `threshold` or beyond it in `hits` of the last `times` periods.

    `says`: what goes wrong, one sentence. `unit`: what the metric counts. `minutes`: of a period. `below`: less than
    the threshold is bad, not more. `silence_is_bad`: without data it goes off; otherwise there is nothing to count,
    which is fine. `only`: on this kind of database.
    """

    name: str
    says: str
    metric: Callable[[Watched], Metric | MathExpression]
    threshold: float
    unit: str
    severity: Severity
    minutes: int = 5
    hits: int = 1
    times: int = 1
    below: bool = False
    silence_is_bad: bool = False
    only: DatabaseKind | None = None

    @property
    def rule(self) -> str:
        """As runbooks quote it; CloudFormation keeps no letters beyond ASCII."""
        bound = f"{self.unit} {'<' if self.below else '>='} {self.threshold:,.0f}"
        often = f"in {self.hits} of {self.times} periods of {self.minutes} min"
        return f"{self.severity}: {bound} {often}, {'or no data' if self.silence_is_bad else 'no data is fine'}"


def add_alarms(
    scope: Construct, table: Iterable[Alarm], watched: Watched, topic: sns.ITopic, runbooks: str = RUNBOOKS
) -> dict[str, cloudwatch.Alarm]:
    """By name, those that apply to what is watched. Each tells the topic when it goes off and when it is over."""
    fitting = [alarm for alarm in table if alarm.only in (None, watched.database.kind)]
    return {alarm.name: _add(scope, alarm, watched, topic, runbooks) for alarm in fitting}


def add_down(
    scope: Construct,
    watched: Watched,
    alarms: Mapping[str, cloudwatch.Alarm],
    topic: sns.ITopic,
    runbooks: str = RUNBOOKS,
) -> cloudwatch.CompositeAlarm:
    """Requests fail, and so does what the service does by itself. No other resource refers to it."""
    rule = cloudwatch.AlarmRule
    callers, own = (
        rule.any_of(*(rule.from_alarm(alarms[name], cloudwatch.AlarmState.ALARM) for name in names))
        for names in (DOWN_CALLERS, DOWN_OWN)
    )
    down = cloudwatch.CompositeAlarm(
        scope,
        _logical_id(DOWN),
        composite_alarm_name=f"{watched.prefix}-{DOWN}",
        alarm_description=_description(DOWN, DOWN_SAYS, DOWN_RULE, runbooks),
        alarm_rule=rule.all_of(callers, own),
    )
    _tell(down, topic)
    return down


def _add(scope: Construct, alarm: Alarm, watched: Watched, topic: sns.ITopic, runbooks: str) -> cloudwatch.Alarm:
    made = cloudwatch.Alarm(
        scope,
        _logical_id(alarm.name),
        alarm_name=f"{watched.prefix}-{alarm.name}",
        alarm_description=_description(alarm.name, alarm.says, alarm.rule, runbooks),
        metric=alarm.metric(watched).with_(period=Duration.minutes(alarm.minutes)),
        threshold=alarm.threshold,
        comparison_operator=(
            ComparisonOperator.LESS_THAN_THRESHOLD
            if alarm.below
            else ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
        ),
        datapoints_to_alarm=alarm.hits,
        evaluation_periods=alarm.times,
        treat_missing_data=TreatMissingData.BREACHING if alarm.silence_is_bad else TreatMissingData.NOT_BREACHING,
    )
    _tell(made, topic)
    return made


def _description(name: str, says: str, rule: str, runbooks: str) -> str:
    return f"{says} ({rule}) Runbook: {runbooks}#alarm-{name}"  # as GitHub makes a heading's anchor


def _tell(alarm: cloudwatch.Alarm | cloudwatch.CompositeAlarm, topic: sns.ITopic) -> None:
    alarm.add_alarm_action(actions.SnsAction(topic))
    alarm.add_ok_action(actions.SnsAction(topic))


def _logical_id(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))

"""The operations stack and its page: each alarm has its runbook, and looks at what somebody writes."""

import ast
import io
import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, get_args

import pytest
from aws_cdk import App, CfnResource, Stack
from aws_cdk import aws_sns as sns

from billing.errors import Transient
from billing.http.exchange import Response, serve
from billing.runtime.log import Log
from billing.store.inbox import Status
from infra.constructs import metrics
from infra.constructs.alarm_table import ALARMS
from infra.constructs.alarms import DOWN, DOWN_RULE, add_alarms
from infra.constructs.log_metrics import FILTERS
from infra.constructs.messages import EventQueue, add_bus
from infra.constructs.queries import QUERIES
from infra.constructs.table import EntitlementsTable
from infra.constructs.topic import add_topic
from infra.constructs.watched import Watched, WatchedDatabase, WatchedFront, WatchedNat
from infra.fleet import FLEET
from infra.local.package import REPOSITORY
from infra.routes import BACKGROUND
from infra.stacks.operations import OperationsStack
from infra.stages import PROD
from tests.support.wire import CONTEXT, rest_event

PAGE = (REPOSITORY / "docs/operations.md").read_text()
RUNBOOKS = dict(re.findall(r"^## Alarm: (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
RULES = {alarm.name: alarm.rule for alarm in ALARMS} | {DOWN: DOWN_RULE}

WATCHED = Watched.of(
    PROD,
    WatchedFront("http", "a1b2c3", "$default"),
    WatchedDatabase("aurora", "billing-prod-store", "billing-prod-proxy"),
    WatchedNat("gateway", "nat-1"),
)
ON_REST_AND_RDS = Watched.of(
    PROD,
    WatchedFront("rest", "billing-prod", "live"),
    WatchedDatabase("rds", "store", "proxy"),
    WatchedNat("instance", "i-1"),
)


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    app = App(analytics_reporting=False, context={"aws:cdk:disable-metadata-stack-trace": True})
    told = PROD.model_copy(update={"alarm_email": "ops@billing.example"})
    stack = OperationsStack(app, "billing-prod-operations", stage=told, watched=WATCHED)
    found: dict[str, Any] = app.synth().get_stack_by_name(stack.stack_name).template["Resources"]
    return found


def of_type(resources: Mapping[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [each["Properties"] for each in resources.values() if each["Type"] in kinds]


def alarms_of(resources: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = of_type(resources, "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    return {each["AlarmName"].removeprefix("billing-prod-"): each for each in found}


def test_every_alarm_has_its_runbook_and_every_runbook_its_alarm() -> None:
    assert sorted(RUNBOOKS) == sorted(RULES)


def test_a_runbook_quotes_its_alarms_rule_and_says_where_to_look_what_to_do_and_when_it_is_over() -> None:
    for name, body in RUNBOOKS.items():
        assert body.strip().splitlines()[0] == f"`{RULES[name]}`", f"docs/operations.md, Alarm: {name}"
        assert re.findall(r"^- \*\*(\w+)\*\*: ", body, re.MULTILINE) == ["Look", "Do", "Over"], name


def test_a_runbook_names_queries_and_alarms_that_exist() -> None:
    known = {query.name for query in QUERIES} | set(RULES)
    for name, body in RUNBOOKS.items():
        look = re.sub(r"\s+", " ", body.partition("- **Look**")[2].partition("- **Do**")[0])
        named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", look))
        asked = set(re.findall(r"[Qq]uer(?:y|ies) `([a-z-]+)`", look))
        assert named | asked <= known, name


def test_an_alarm_leads_to_its_runbook_and_tells_the_topic_when_it_goes_off_and_when_it_is_over(
    resources: dict[str, Any],
) -> None:
    (topic,) = (name for name, each in resources.items() if each["Type"] == "AWS::SNS::Topic")
    alarms = alarms_of(resources)
    assert set(alarms) == {name for name in RULES if name != "database-storage"}
    for name, alarm in alarms.items():
        assert alarm["AlarmDescription"].endswith(f"({RULES[name]}) Runbook: docs/operations.md#alarm-{name}")
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": topic}]


def test_an_alarm_is_as_its_rule_says(resources: dict[str, Any]) -> None:
    late = alarms_of(resources)["run-old"]
    assert (late["Threshold"], late["ComparisonOperator"], late["TreatMissingData"]) == (
        26,
        "GreaterThanOrEqualToThreshold",
        "breaching",
    )
    assert (late["DatapointsToAlarm"], late["EvaluationPeriods"], late["Period"]) == (2, 2, 3600)
    misses = alarms_of(resources)["cache-misses"]
    assert (misses["Threshold"], misses["ComparisonOperator"], misses["TreatMissingData"]) == (
        70,
        "LessThanThreshold",
        "notBreaching",
    )
    assert {each["MetricStat"]["Period"] for each in misses["Metrics"] if "MetricStat" in each} == {300}


def test_no_alarm_looks_at_more_metrics_than_cloudwatch_takes(resources: dict[str, Any]) -> None:
    for name, alarm in alarms_of(resources).items():
        assert len([each for each in alarm.get("Metrics", ()) if "MetricStat" in each]) <= 10, name


def test_alarms_reach_people_over_an_encrypted_topic(resources: dict[str, Any]) -> None:
    (topic,) = of_type(resources, "AWS::SNS::Topic")
    (key,) = (name for name, each in resources.items() if each["Type"] == "AWS::KMS::Key")
    statements = resources[key]["Properties"]["KeyPolicy"]["Statement"]
    (subscription,) = of_type(resources, "AWS::SNS::Subscription")
    assert topic["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert {"Service": "cloudwatch.amazonaws.com"} in [each["Principal"] for each in statements]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@billing.example")


def test_without_an_address_nobody_is_subscribed() -> None:
    stack = Stack(App(analytics_reporting=False), "quiet")
    add_topic(stack, "billing-prod", email="")
    assert not [each for each in stack.node.find_all() if isinstance(each, sns.Subscription)]


def test_what_an_emulator_does_not_know_can_be_left_out(resources: dict[str, Any]) -> None:
    unknown = {
        name
        for name, each in resources.items()
        if each["Type"] in {"AWS::CloudWatch::CompositeAlarm", "AWS::Logs::QueryDefinition"}
        or "Metrics" in each["Properties"]
    }
    rest = json.dumps({name: each for name, each in resources.items() if name not in unknown})
    assert not [name for name in unknown if f'"{name}"' in rest]


def test_cloudformation_keeps_every_letter(resources: dict[str, Any]) -> None:
    assert json.dumps(resources, ensure_ascii=False).isascii()


def test_each_kind_of_database_has_the_alarm_of_its_own_limit() -> None:
    stack = Stack(App(analytics_reporting=False), "either")
    topic = sns.Topic(stack, "Topic")
    made = {
        watched.database.kind: set(add_alarms(_scope(stack, watched), ALARMS, watched, topic))
        for watched in (WATCHED, ON_REST_AND_RDS)
    }
    assert made["aurora"] - made["rds"] == {"database-at-most"}
    assert made["rds"] - made["aurora"] == {"database-storage"}


def _scope(stack: Stack, watched: Watched) -> Any:
    return Stack(stack, watched.database.kind)


def stated(metric: Any) -> tuple[str, str, dict[str, str]]:
    config = metric.to_metric_config().metric_stat
    return config.namespace, config.metric_name, {each.name: each.value for each in config.dimensions or ()}


def test_each_kind_of_front_and_nat_has_its_metrics_names() -> None:
    http, rest = (stated(metrics.of_front(each, "5xx")) for each in (WATCHED, ON_REST_AND_RDS))
    assert http == ("AWS/ApiGateway", "5xx", {"ApiId": "a1b2c3", "Stage": "$default"})
    assert rest == ("AWS/ApiGateway", "5XXError", {"ApiName": "billing-prod", "Stage": "live"})
    assert [stated(each)[1] for each in metrics.nat_bytes(ON_REST_AND_RDS)] == ["NetworkOut", "NetworkIn"]


def test_what_is_watched_has_the_names_it_is_made_with() -> None:
    stack = Stack(App(analytics_reporting=False), "made")
    queue = EventQueue(stack, "Events", prefix=WATCHED.prefix, retain=False)
    table = EntitlementsTable(stack, "Table", prefix=WATCHED.prefix, retain=False)
    bus = add_bus(stack, WATCHED.prefix)

    def name(of: Any, member: str) -> str:
        child = of.node.default_child
        assert isinstance(child, CfnResource)
        return str(getattr(child, member))

    assert (name(queue.queue, "queue_name"), name(queue.dead_letters, "queue_name")) == (
        WATCHED.queue,
        WATCHED.dead_letters,
    )
    assert (name(table.table, "table_name"), name(bus, "name")) == (WATCHED.table, WATCHED.bus)
    assert set(WATCHED.functions) == {entry.folder for entry in FLEET} == {*metrics.HTTP, *BACKGROUND}


def ours(resources: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(service, metric) of our own namespace, in alarms and on the dashboard; a filter's metric has no service."""
    for alarm in alarms_of(resources).values():
        for each in [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", ()) if "MetricStat" in part] or [
            alarm
        ]:
            if each.get("Namespace") == "billing-prod":
                dimensions = {one["Name"]: one["Value"] for one in each.get("Dimensions", ())}
                yield dimensions.get("service", ""), each["MetricName"]
    (dashboard,) = of_type(resources, "AWS::CloudWatch::Dashboard")
    body = json.dumps(dashboard["DashboardBody"])
    yield from (
        (found[1], found[0])
        for found in re.findall(r'\[\\*"billing-prod\\*",\\*"(\w+)\\*",\\*"service\\*",\\*"(\w+)', body)
    )
    yield from (("", name) for name in re.findall(r'\[\\*"billing-prod\\*",\\*"(\w+)\\*"(?:,\{|\])', body))


def written(service: str) -> set[str]:
    """What the function may count: the names in its code, and those made of an event's status."""
    tree = ast.parse((REPOSITORY / "functions" / service / "handler.py").read_text())
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    made = {"Event" + status.title().replace("_", "") for status in get_args(Status)}
    return (
        named
        | (made if service == "apply_events" else set())
        | ({"DriftRepaired", "DriftLeft", "DriftFailed", "DriftUnrepaired"} if service == "reconciliation" else set())
    )


def test_every_metric_of_ours_that_is_watched_is_written_by_somebody(resources: dict[str, Any]) -> None:
    watched = set(ours(resources))
    assert ("outbox", "OutboxOldestSeconds") in watched
    assert ("", "CheckMilliseconds") in watched
    filtered = {each.name for each in FILTERS}
    assert {name for service, name in watched if not service} <= filtered
    assert [(service, name) for service, name in watched if service and name not in written(service)] == []


def counted(folder: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """What the filters of the function's log read off a line, by CloudWatch's syntax as far as they use it."""
    found = {}
    for each in (one for one in FILTERS if one.folder == folder):
        clauses = re.findall(r'\$\.(\w+) (=|>=) (?:"([^"]*)"|(\d+))', each.pattern)
        assert clauses, each.pattern
        if any(_holds(line.get(field), operator, text, number) for field, operator, text, number in clauses):
            found[each.name] = line[each.value[2:]] if each.value.startswith("$.") else int(each.value)
    return found


def _holds(value: Any, operator: str, text: str, number: str) -> bool:
    if operator == ">=":
        return isinstance(value, int) and value >= int(number)
    return isinstance(value, str) and fnmatchcase(value, text)


def logged(service: str, method: str, route: str, answer: Response | Transient) -> dict[str, Any]:
    """The line that a request leaves, as functions write it."""
    stream = io.StringIO()

    def handle(_request: Any) -> Response:
        if isinstance(answer, Transient):
            raise answer
        return answer

    serve(rest_event(method, route), CONTEXT, Log(service, stream=stream), handle)
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


CHECK, BATCH = ("GET", "/api/v1/entitlements/check"), ("POST", "/api/v1/entitlements/check")


@pytest.mark.parametrize(
    ("route", "road", "expected"),
    [
        (CHECK, "hit", {"CacheHits", "CheckMilliseconds"}),
        (CHECK, "document", {"CacheHits", "CheckMilliseconds"}),
        (CHECK, "refill", {"CacheMisses", "CheckMilliseconds"}),
        (CHECK, "stale", {"StaleServed", "CheckMilliseconds"}),
        (BATCH, "document+hit", {"CacheHits"}),
        (BATCH, "hit+refill", {"CacheMisses"}),
        (BATCH, "hit+refill+stale", {"CacheMisses", "StaleServed"}),
        (("GET", "/api/v1/entitlements/explain"), "explain", set()),
    ],
)
def test_how_checks_were_answered_is_read_off_their_lines(
    route: tuple[str, str], road: str, expected: set[str]
) -> None:
    line = logged("entitlements", *route, Response(200, "{}", notes={"road": road}))
    assert set(counted("entitlements", line)) == expected


def test_a_checks_time_is_its_lines() -> None:
    line = logged("entitlements", *CHECK, Response(200, "{}", notes={"road": "hit"}))
    assert counted("entitlements", line)["CheckMilliseconds"] == line["duration_ms"]


@pytest.mark.parametrize("folder", [folder for folder in metrics.HTTP if folder != "health"])
def test_an_answer_of_500_and_more_is_counted_and_a_refusal_is_not(folder: str) -> None:
    down = logged(folder, "GET", "/x", Transient("unavailable", "Neither answered."))
    assert counted(folder, down) == {metrics.server_errors_name(folder): 1}
    assert counted(folder, logged(folder, "GET", "/x", Response(429, "{}"))) == {}


def test_not_being_ready_is_counted() -> None:
    assert counted("health", logged("health", "GET", "/ready", Response(503, "{}"))) == {"NotReady": 1}
    assert counted("health", logged("health", "GET", "/ready", Response(200, "{}"))) == {}

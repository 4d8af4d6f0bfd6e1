"""`template-local.yaml` in the emulator. The functions themselves are met end to end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.deploy import STACK, TEMPLATE, Deployed, deploy, function_name, session, start_functions
from infra.local.ministack import Aws, run_ministack
from infra.local.processes import LocalStackError
from tests.support.postgres import temporary_directory

pytestmark = pytest.mark.alone

PARAMETERS = {
    "DatabaseUrl": "postgresql://billing@127.0.0.1:1/billing",
    "StripeApiBase": "http://127.0.0.1:1",
    "StripeApiKey": '{"api_key": "sk_test_x"}',
    "StripeWebhookSecrets": '{"secrets": ["whsec_x"]}',
    "SigningKeys": '{"keys": []}',
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Aws]:
    with temporary_directory("billing-deploy-") as work_dir, run_ministack(work_dir) as running:
        yield running


@pytest.fixture(scope="module")
def deployed(emulator: Aws) -> Deployed:
    return put(emulator)


def put(emulator: Aws, **arguments: Any) -> Deployed:
    parameters = PARAMETERS | {"AwsEndpointUrl": emulator.endpoint_url}
    return deploy(emulator.endpoint_url, parameters, report=lambda _: None, **arguments)


def test_the_table_expires_items_though_the_emulator_skips_that_in_templates(emulator: Aws, deployed: Deployed) -> None:
    client = session().client("dynamodb", endpoint_url=emulator.endpoint_url)
    found = client.describe_time_to_live(TableName=deployed.table_name)["TimeToLiveDescription"]
    assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


def test_the_queue_feeds_the_worker_ten_at_a_time_in_two_workers(emulator: Aws, deployed: Deployed) -> None:
    client = session().client("lambda", endpoint_url=emulator.endpoint_url)
    (mapping,) = client.list_event_source_mappings()["EventSourceMappings"]
    assert mapping["BatchSize"] == 10
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_deploying_again_updates_in_place_and_keeps_the_addresses(emulator: Aws, deployed: Deployed) -> None:
    assert put(emulator) == deployed


def test_a_failure_names_the_resource_and_the_reason(tmp_path: Path) -> None:
    stray = "  Stray: {Type: AWS::Logs::LogStream, Properties: {LogStreamName: stray}}\n"
    message = failure_of(TEMPLATE.read_text().replace("Resources:\n", f"Resources:\n{stray}", 1), tmp_path)
    assert "Stray (AWS::Logs::LogStream)" in message
    assert "LogGroupName" in message


def test_a_template_that_is_none_is_refused_with_the_reason(tmp_path: Path) -> None:
    message = failure_of(TEMPLATE.read_text().replace("AWS::SQS::Queue", "AWS::SQS::Snake", 1), tmp_path)
    assert "AWS::SQS::Snake" in message


def failure_of(template: str, tmp_path: Path) -> str:
    broken = tmp_path / "broken.yaml"
    broken.write_text(template)
    with (
        temporary_directory("billing-deploy-") as work_dir,
        run_ministack(work_dir) as emulator,
        pytest.raises(LocalStackError) as failure,
    ):
        put(emulator, template=broken)
    return str(failure.value)


def test_functions_that_cannot_start_are_named_with_what_they_lack(emulator: Aws, deployed: Deployed) -> None:
    client = session().client("lambda", endpoint_url=emulator.endpoint_url)
    client.update_function_configuration(FunctionName=function_name(STACK, "webhooks"), Environment={"Variables": {}})
    with pytest.raises(LocalStackError, match="QUEUE_URL") as failure:
        start_functions(emulator.endpoint_url)
    assert "webhooks: " in str(failure.value)
    assert "health: " not in str(failure.value)

"""The data stack as it is synthesized: production on Aurora, and a small stage on RDS behind a NAT instance."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from billing.runtime.settings import load
from billing.usecases.accept_event import signing_secrets
from functions.migrations.handler import Settings
from infra.constructs.migrations import MIGRATIONS
from tests.support.assembly import Assembly

Resources = Mapping[str, Mapping[str, Any]]


@pytest.fixture
def prod(prod: Assembly) -> Resources:
    return prod.resources("data")


@pytest.fixture
def small(small: Assembly) -> Resources:
    return small.resources("data")


def every(resources: Resources, kind: str) -> list[dict[str, Any]]:
    return [dict(each["Properties"]) for each in resources.values() if each["Type"] == kind]


def only(resources: Resources, kind: str) -> dict[str, Any]:
    (found,) = every(resources, kind)
    return found


def test_clients_of_the_proxy_bring_a_token_of_iam_over_tls(prod: Resources, small: Resources) -> None:
    for resources in (prod, small):
        proxy = only(resources, "AWS::RDS::DBProxy")
        assert proxy["RequireTLS"] is True
        assert proxy["DefaultAuthScheme"] == "IAM_AUTH"
        assert {auth["IAMAuth"] for auth in proxy["Auth"]} == {"REQUIRED"}


def test_a_request_waits_seconds_for_a_connection_not_minutes(prod: Resources) -> None:
    pool = only(prod, "AWS::RDS::DBProxyTargetGroup")["ConnectionPoolConfigurationInfo"]
    assert pool == {"ConnectionBorrowTimeout": 3, "MaxConnectionsPercent": 90}


def test_the_proxy_itself_logs_in_as_the_functions_by_iam_and_as_no_other(prod: Resources) -> None:
    granted = [
        statement["Resource"]
        for policy in every(prod, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "rds-db:connect" and "DBClusterResourceId" in json.dumps(statement)
    ]
    assert [arn["Fn::Join"][1][-1] for arn in granted] == ["/billing_functions"]


def test_the_database_is_encrypted_backed_up_and_out_of_reach(prod: Resources, small: Resources) -> None:
    cluster, instance = only(prod, "AWS::RDS::DBCluster"), only(small, "AWS::RDS::DBInstance")
    for server in (cluster, instance):
        assert server["StorageEncrypted"] is True
        assert server["KmsKeyId"]["Fn::GetAtt"][0].startswith("Key")
        assert server["EnableIAMDatabaseAuthentication"] is True
    assert (cluster["BackupRetentionPeriod"], instance["BackupRetentionPeriod"]) == (14, 1)
    for server in (*every(prod, "AWS::RDS::DBInstance"), instance):
        assert server["PubliclyAccessible"] is False


def test_rds_keeps_the_owners_password_and_no_template_knows_one(prod: Resources, small: Resources) -> None:
    for resources, kind in ((prod, "AWS::RDS::DBCluster"), (small, "AWS::RDS::DBInstance")):
        server = only(resources, kind)
        assert server["ManageMasterUserPassword"] is True
        assert "MasterUserPassword" not in server


def test_the_server_takes_tls_alone_and_logs_no_values(prod: Resources, small: Resources) -> None:
    for resources, kind in ((prod, "AWS::RDS::DBClusterParameterGroup"), (small, "AWS::RDS::DBParameterGroup")):
        parameters = only(resources, kind)["Parameters"]
        assert parameters["rds.force_ssl"] == "1"
        assert parameters["log_parameter_max_length"] == "0"
        assert parameters["log_error_verbosity"] == "terse"


def test_only_the_proxy_reaches_the_server_and_only_the_functions_the_proxy(prod: Resources) -> None:
    ways = {
        (rule["SourceSecurityGroupId"]["Fn::GetAtt"][0], rule["GroupId"]["Fn::GetAtt"][0])
        for rule in every(prod, "AWS::EC2::SecurityGroupIngress")
    }
    proxy, server, functions = (
        next(name for name in prod if name.startswith(start) and prod[name]["Type"] == "AWS::EC2::SecurityGroup")
        for start in ("DatabaseProxyGroup", "DatabaseGroup", "NetworkFunctionsGroup")
    )
    assert ways == {(functions, proxy), (proxy, server)}
    assert all("SecurityGroupIngress" not in group for group in every(prod, "AWS::EC2::SecurityGroup"))


def test_functions_go_out_by_https_alone(prod: Resources) -> None:
    group = next(each for each in every(prod, "AWS::EC2::SecurityGroup") if "Functions" in each["GroupDescription"])
    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]] == [(443, 443)]


def test_dynamodb_and_s3_are_reached_without_the_nat(prod: Resources) -> None:
    endpoints = every(prod, "AWS::EC2::VPCEndpoint")
    assert [endpoint["VpcEndpointType"] for endpoint in endpoints] == ["Gateway", "Gateway"]
    assert sorted(endpoint["ServiceName"]["Fn::Join"][1][-1] for endpoint in endpoints) == [".dynamodb", ".s3"]


def test_there_is_one_way_out_as_the_stage_says(prod: Resources, small: Resources) -> None:
    assert len(every(prod, "AWS::EC2::NatGateway")) == 1
    assert every(prod, "AWS::EC2::Instance") == []
    assert every(small, "AWS::EC2::NatGateway") == []
    instance = only(small, "AWS::EC2::Instance")
    assert instance["SourceDestCheck"] is False
    assert instance["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def test_the_table_forgets_by_ttl_and_can_be_restored_to_a_point_in_time(prod: Resources) -> None:
    table = only(prod, "AWS::DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


KEPT = ("AWS::RDS::DBCluster", "AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::KMS::Key")


def test_production_cannot_be_deleted_by_mistake(prod: Resources) -> None:
    assert only(prod, "AWS::RDS::DBCluster")["DeletionProtection"] is True
    assert only(prod, "AWS::DynamoDB::Table")["DeletionProtectionEnabled"] is True
    kept = [each for each in prod.values() if each["Type"] in KEPT]
    assert {each["DeletionPolicy"] for each in kept} == {"Retain"}


def test_a_stage_that_keeps_nothing_goes_with_its_stack(small: Resources) -> None:
    held = [each for each in small.values() if each["Type"] in (*KEPT, "AWS::RDS::DBInstance")]
    assert {each["DeletionPolicy"] for each in held} == {"Delete"}


def test_no_template_knows_a_secret(prod: Resources) -> None:
    made = {secret["Name"]: secret for secret in every(prod, "AWS::SecretsManager::Secret")}
    assert sorted(made) == ["billing-prod/signing-keys", "billing-prod/stripe-api-key", "billing-prod/stripe-webhook"]
    assert all("SecretString" not in secret and "KmsKeyId" in secret for secret in made.values())


def test_webhooks_start_before_stripes_secret_is_stored_and_then_fit_no_delivery(prod: Resources) -> None:
    (made,) = (each for each in every(prod, "AWS::SecretsManager::Secret") if each["Name"].endswith("webhook"))
    generated = made["GenerateSecretString"]
    value = json.loads(generated["SecretStringTemplate"])
    assert value == {"secrets": []}
    assert signing_secrets(value | {generated["GenerateStringKey"]: "drawn" * 6}) == ["whsec_" + "drawn" * 6]


def test_the_migrations_run_as_the_owner_once_there_is_a_way_to_the_database(prod: Resources) -> None:
    function = only(prod, "AWS::Lambda::Function")
    variables = {name: json.dumps(value) for name, value in function["Environment"]["Variables"].items()}
    assert "postgresql+iam://billing@" in variables["DATABASE_URL"]
    load(Settings, variables)
    (schema,) = (each for each in prod.values() if each["Type"] == "Custom::Schema")
    first = {prod[name]["Type"] for name in schema["DependsOn"]}
    assert {"AWS::RDS::DBProxyTargetGroup", "AWS::RDS::DBInstance", "AWS::EC2::SecurityGroupEgress"} <= first
    assert int(schema["Properties"]["ServiceTimeout"]) > function["Timeout"] == MIGRATIONS.timeout


def test_no_policy_reaches_beyond_what_it_names_but_where_aws_names_nothing(prod: Resources) -> None:
    wide = {
        statement["Sid"]
        for policy in every(prod, "AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == "*" and statement["Effect"] == "Allow"
    }
    assert wide == {"JoinTheNetwork", "SendTraces"}

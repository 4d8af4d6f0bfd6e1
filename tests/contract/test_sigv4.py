"""Our signatures are botocore's, byte for byte."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing.runtime.presigned import Presigned
from billing.runtime.sigv4 import Credentials, Signer
from billing.store.login import token

visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
secret_keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
hosts = st.from_regex(r"[a-z][a-z0-9.-]{0,30}(:[1-9][0-9]{0,3})?", fullmatch=True)


@settings(max_examples=500, deadline=None)
@given(
    service=st.sampled_from(["dynamodb", "sqs", "secretsmanager", "events"]),
    region=st.from_regex(r"[a-z]{2}-[a-z]{4,9}-[1-9]", fullmatch=True),
    access_key=st.from_regex(r"[A-Z0-9]{16,20}", fullmatch=True),
    secret_key=secret_keys,
    token=st.none() | visible,
    host=hosts,
    target=st.from_regex(r"[A-Za-z_0-9]{1,20}\.[A-Za-z]{1,20}", fullmatch=True),
    body=st.binary(max_size=300),
)
@example("dynamodb", "eu-central-1", "A" * 16, "s", "t", "127.0.0.1:4566", "DynamoDB_20120810.BatchGetItem", b"")
def test_the_authorization_header_is_botocores(
    service: str, region: str, access_key: str, secret_key: str, token: str | None, host: str, target: str, body: bytes
) -> None:
    headers = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-target": target}
    theirs = AWSRequest("POST", f"https://{host}/", dict(headers), body)
    SigV4Auth(BotoCredentials(access_key, secret_key, token), service, region).add_auth(theirs)
    at = datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    ours = Signer(service, region).sign(Credentials(access_key, secret_key, token), headers, body, at)

    assert ours["authorization"] == theirs.headers["Authorization"]
    assert ours["x-amz-date"] == theirs.headers["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == theirs.headers.get("X-Amz-Security-Token")


def test_the_kept_key_follows_the_day_and_the_secret() -> None:
    headers = {"content-type": "x", "host": "h", "x-amz-target": "t"}
    one, other = Credentials("AKID", "one"), Credentials("AKID", "other")
    days = [datetime(2026, 11, day, 23, 59, 59, tzinfo=UTC) for day in (23, 24)]
    kept = Signer("dynamodb", "eu-central-1")
    for credentials in (one, other, one):
        for at in days:
            fresh = Signer("dynamodb", "eu-central-1").sign(credentials, headers, b"body", at)
            assert kept.sign(credentials, headers, b"body", at) == fresh


@settings(max_examples=100, deadline=None)
@given(
    access_key=st.from_regex(r"[A-Z0-9]{16,20}", fullmatch=True),
    secret_key=secret_keys,
    session=st.none() | visible,
    host=hosts.filter(lambda host: not host.endswith(":443")),  # its own port is left out of a Host header
    parameters=st.dictionaries(st.from_regex(r"[A-Za-z]{1,10}", fullmatch=True), visible, max_size=3),
)
@example("A" * 16, "s", "t/+=&", "h:5432", {"Action": "connect", "DBUser": "ann+b c&=%~"})
def test_a_presigned_query_is_botocores(
    access_key: str, secret_key: str, session: str | None, host: str, parameters: dict[str, str]
) -> None:
    theirs = AWSRequest("GET", f"https://{host}/", params=dict(parameters))
    boto = BotoCredentials(access_key, secret_key, session)
    SigV4QueryAuth(boto, "rds-db", "eu-central-1", expires=900).add_auth(theirs)
    query = urlsplit(theirs.url or "").query

    presigned = Presigned("rds-db", "eu-central-1", 900)
    ours = presigned.query(Credentials(access_key, secret_key, session), host, parameters, stamp_of(query))

    assert ours == query


def test_the_token_that_logs_in_at_postgresql_is_botocores() -> None:
    host, user = "billing-prod.proxy-x.eu-central-1.rds.amazonaws.com", "billing_functions"
    client = boto3.Session("AKID", "secret/+", "session/+=", "eu-central-1").client("rds")
    theirs = client.generate_db_auth_token(host, 5432, user)

    credentials = Credentials("AKID", "secret/+", "session/+=")
    assert token(credentials, "eu-central-1", host, 5432, user, stamp_of(theirs.partition("?")[2])) == theirs


def stamp_of(query: str) -> datetime:
    return datetime.strptime(parse_qs(query)["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

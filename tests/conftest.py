"""Real parts for any suite: each starts on first use, once a session. Nothing here runs for a pure unit test."""

from collections.abc import Iterator

import pytest

from infra.local.ministack import Aws, run_ministack
from tests.support.aws import make_queue, make_table
from tests.support.postgres import Databases, run_databases, temporary_directory


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    with run_databases() as running:
        yield running


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A database of this test's own, at the newest migration level."""
    with databases.lent() as url:
        yield url


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    with temporary_directory("billing-aws-") as work_dir, run_ministack(work_dir) as running:
        yield running


@pytest.fixture
def aws_endpoint(aws: Aws) -> str:
    return aws.endpoint_url


@pytest.fixture
def table_name(aws_endpoint: str) -> Iterator[str]:
    """An empty DynamoDB table of the entitlements' shape."""
    with make_table(aws_endpoint) as name:
        yield name


@pytest.fixture
def queue_url(aws_endpoint: str) -> Iterator[str]:
    """An empty standard SQS queue."""
    with make_queue(aws_endpoint) as url:
        yield url

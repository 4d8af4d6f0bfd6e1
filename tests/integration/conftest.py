import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from billing.cache import client
from billing.cache.client import Client
from billing.messages.bus import Bus
from billing.runtime.aws import DYNAMODB, EVENTBRIDGE, SQS, AwsClient
from billing.runtime.log import Log
from billing.store.connection import close
from billing.usecases.manage_projects import create_key
from billing.usecases.publish_outbox import Publisher
from functions.admin.desk import Desk
from functions.admin.handler import front
from infra.local.stripe_double.double import StripeDouble
from tests.support import shop as shops
from tests.support.aws import make_queue
from tests.support.office import Office, vault_of
from tests.support.shop import Shop

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture
def cache(aws_endpoint: str, table_name: str) -> Iterator[Client]:
    opened = client.connect(table_name, environ={**CREDENTIALS, "AWS_ENDPOINT_URL": aws_endpoint})
    yield opened
    opened.aws.close()


@pytest.fixture
def bus(aws_endpoint: str) -> Iterator[Bus]:
    opened = Bus(AwsClient(EVENTBRIDGE, 2, {**CREDENTIALS, "AWS_ENDPOINT_URL": aws_endpoint}), "default")
    yield opened
    opened.client.close()


@pytest.fixture
def publisher(database_url: str, cache: Client, bus: Bus) -> Iterator[Publisher]:
    yield Publisher(database_url, cache, bus)
    close(database_url)


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with StripeDouble(seed=7) as running:
        yield running


@pytest.fixture
def shop(double: StripeDouble, publisher: Publisher) -> Shop:
    return shops.open_shop(double, publisher)


@pytest.fixture
def empty_shop(double: StripeDouble, publisher: Publisher) -> Callable[[], Shop]:
    """A shop whose catalog was not applied yet."""
    return lambda: shops.empty_shop(double, publisher)


@pytest.fixture
def office(shop: Shop, aws_endpoint: str, table_name: str, queue_url: str) -> Iterator[Office]:
    key = create_key(shop.worker.database_url, project_id=None, name="ann the operator", mode="test").secret
    sqs = AwsClient(SQS, 2, {**CREDENTIALS, "AWS_ENDPOINT_URL": aws_endpoint})
    log = io.StringIO()
    with make_queue(aws_endpoint) as dead:
        worker = shop.worker
        vault = vault_of(sqs.environ)
        desk = Desk(worker.publisher, lambda: shop.stripe, worker.livemode, worker.now, sqs, queue_url, dead, vault)
        environ = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": aws_endpoint,
            "TABLE_NAME": table_name,
            "DATABASE_URL": shop.worker.database_url,
        }
        yield Office(shop, front(desk, Log("admin", stream=log)), key, log, queue_url, dead, environ, vault)
    sqs.close()


@pytest.fixture
def dead_publisher(publisher: Publisher) -> Publisher:
    """Nobody listens where its cache should be."""
    environ = {**CREDENTIALS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    dead = Client(AwsClient(DYNAMODB, 0.2, environ), publisher.cache.table, write_timeout=0.2)
    return replace(publisher, cache=dead)

"""An operator and a reader of one project, each behind a DynamoDB that a test can make refuse: no Stripe, no queue."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from stripe import StripeClient

from billing.cache import client as cache_client
from billing.cache.client import Client
from billing.messages.bus import Bus
from billing.runtime.aws import EVENTBRIDGE, SQS, AwsClient
from billing.runtime.breaker import Breaker
from billing.runtime.entrypoint import Handle
from billing.runtime.log import Log
from billing.store.connection import close
from billing.usecases import refill_snapshot as refills
from billing.usecases.answer_check import Answer as Checked
from billing.usecases.answer_check import Question, Reading, answer
from billing.usecases.check_batch import answer_batch
from billing.usecases.manage_projects import create_key
from billing.usecases.publish_outbox import Publisher, publish_customer
from functions.admin.desk import Desk
from functions.admin.handler import front
from tests.support.faulty_dynamodb import FaultyDynamoDB, run_faulty_dynamodb
from tests.support.gateway import Answer, ask
from tests.support.office import vault_of
from tests.support.world import START, World, make_world

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
SOON = 0.3
"""Seconds after which a put that is refused is given up."""


@dataclass
class Clerk:
    """`table_api` lies before the table for all but `cache`; `clock` is everybody's."""

    world: World
    table_api: FaultyDynamoDB
    cache: Client
    publisher: Publisher
    admin_key: str
    project_key: str
    clock: datetime = START + timedelta(days=10)
    log: io.StringIO = field(default_factory=io.StringIO)
    _desk: Handle | None = None

    def now(self) -> datetime:
        return self.clock

    def ask(
        self,
        route: str,
        body: object = None,
        *,
        key: str | None = None,
        idempotency: str | None = None,
        query: Mapping[str, str] | None = None,
        **path: str,
    ) -> Answer:
        """To the operators' function."""
        if self._desk is None:
            sqs = AwsClient(SQS, 2, self.publisher.cache.aws.environ)
            desk = Desk(self.publisher, _no_stripe, False, self.now, sqs, "", "", vault_of(sqs.environ))
            self._desk = front(desk, Log("admin", stream=self.log))
        headers = {} if idempotency is None else {"Idempotency-Key": idempotency}
        return ask(self._desk, route, body, key=key or self.admin_key, headers=headers, query=query, path=path)

    @contextmanager
    def colleague(self) -> Iterator["Clerk"]:
        """The same for a thread of its own: a process has one connection to each part, and no two threads share it."""
        endpoint = self.cache.aws.environ["AWS_ENDPOINT_URL"]
        with _publisher(self.world.database_url, endpoint, self.table_api.url, self.cache.table) as own:
            yield replace(self, publisher=own, _desk=None)

    def reading(self, *, store: bool = True, patience: float = SOON) -> Reading:
        """A reader that has just started; `store=False`: PostgreSQL cannot be reached."""
        url = self.world.database_url if store else NOWHERE
        cache = self.publisher.cache._replace(breaker=Breaker(), read_timeout=5.0, write_timeout=patience)
        return Reading(
            cache,
            lambda digest, now: refills.refill_key(url, cache, digest, now),
            lambda project_id, user_id, now: refills.refill_snapshot(url, cache, project_id, user_id, now),
            Breaker(failures=2),
        )

    def read(self, user_id: str = "ann", feature: str | None = "export", *, store: bool = True) -> Checked:
        return answer(self.reading(store=store), self.project_key, Question(user_id, feature), self.clock)

    def read_batch(self, *users: str, store: bool = True) -> list[Checked]:
        pairs = [(user_id, "export") for user_id in users]
        return answer_batch(self.reading(store=store), self.project_key, pairs, self.clock)

    def check(self, user_id: str, feature: str, at: datetime | None = None) -> dict[str, Any]:
        question = Question(user_id, feature)
        document: dict[str, Any] = json.loads(answer(self.reading(), self.project_key, question, at or self.clock).body)
        return document

    def allowed(self, user_id: str = "ann", feature: str = "export", *, store: bool = True) -> bool:
        return '"allowed":true' in self.read(user_id, feature, store=store).body

    def subscribe(self, user_id: str = "ann") -> int:
        """A month of pro, published. Returns our customer id."""
        customer_id = self.world.subscribe(user_id)
        publish_customer(self.publisher, customer_id, self.clock)
        return customer_id

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.world.database_url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def run_clerk(database_url: str, aws_endpoint: str, table_name: str) -> Iterator[Clerk]:
    world = make_world(database_url)
    with run_faulty_dynamodb(aws_endpoint) as table_api:
        direct = cache_client.connect(table_name, environ={**CREDENTIALS, "AWS_ENDPOINT_URL": aws_endpoint})
        with _publisher(database_url, aws_endpoint, table_api.url, table_name) as publisher:
            admin_key = create_key(database_url, project_id=None, name="ann the operator", mode="test").secret
            yield Clerk(world, table_api, direct, publisher, admin_key, world.key())
        direct.aws.close()


@contextmanager
def _publisher(database_url: str, aws_endpoint: str, table_url: str, table_name: str) -> Iterator[Publisher]:
    cache = cache_client.connect(table_name, environ={**CREDENTIALS, "AWS_ENDPOINT_URL": table_url})
    bus = Bus(AwsClient(EVENTBRIDGE, 2, {**CREDENTIALS, "AWS_ENDPOINT_URL": aws_endpoint}), "default")
    yield Publisher(database_url, cache._replace(write_timeout=SOON), bus)
    cache.aws.close()
    bus.client.close()
    close(database_url)


def _no_stripe() -> StripeClient:
    raise AssertionError("nothing here asks Stripe")

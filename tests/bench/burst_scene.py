"""The running parts of a burst: a store with customers, a table, a queue with its dead-letter queue, the secrets."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from billing.runtime.aws import SECRETS_MANAGER, SQS, AwsClient
from billing.store.connection import transaction
from infra.local.ministack import REGION
from tests.bench.burst_worker import left
from tests.support.aws import make_queue, make_table, sqs_client
from tests.support.world import make_world

SIGNING_SECRET = "whsec_burst"
RECEIPTS = 12
"""After which a message goes to the dead-letter queue, as in the template."""

MAKE_CUSTOMERS = """
WITH made AS (
  INSERT INTO customers (namespace, user_id) SELECT 'notes', n::text FROM generate_series(1, %s) AS n
  RETURNING id, user_id
)
INSERT INTO stripe_customers (id, customer_id) SELECT 'cus_' || user_id, id FROM made
"""


@dataclass(frozen=True)
class Scene:
    """Running parts with a project and its customers; `environ` is the functions' environment."""

    environ: dict[str, str]
    dead_letter_url: str

    @property
    def database_url(self) -> str:
        return self.environ["DATABASE_URL"]

    def waiting(self) -> dict[str, int]:
        with closing(AwsClient(SQS, 10.0, self.environ)) as sqs:
            queues = {"queue": self.environ["QUEUE_URL"], "dead-letter queue": self.dead_letter_url}
            return {name: left(sqs, url) for name, url in queues.items()}


@contextmanager
def scene(database_url: str, aws_endpoint: str, customers: int) -> Iterator[Scene]:
    """In an empty, migrated database and a running MiniStack. Stripe is nowhere: nothing in a burst needs it."""
    make_world(database_url)
    with transaction(database_url) as connection:
        connection.execute(MAKE_CUSTOMERS, (customers,))
    with ExitStack() as stack:
        table = stack.enter_context(make_table(aws_endpoint))
        queue = stack.enter_context(make_queue(aws_endpoint))
        dead = stack.enter_context(make_queue(aws_endpoint))
        environ = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": aws_endpoint,
            "DATABASE_URL": database_url,
            "TABLE_NAME": table,
            "QUEUE_URL": queue,
            "EVENT_BUS_NAME": "default",
            "STRIPE_WEBHOOK_SECRET_ID": f"webhook-{table}",
            "STRIPE_API_KEY_SECRET_ID": f"stripe-{table}",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STRIPE_LIVEMODE": "false",
            "LOG_LEVEL": "WARNING",
        }
        _give_up_into(aws_endpoint, queue, dead)
        _keep_secrets(environ)
        yield Scene(environ, dead)


def _give_up_into(aws_endpoint: str, queue: str, dead_letter: str) -> None:
    with sqs_client(aws_endpoint) as sqs:
        asked = sqs.get_queue_attributes(QueueUrl=dead_letter, AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": RECEIPTS}
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})


def _keep_secrets(environ: dict[str, str]) -> None:
    secrets = {
        environ["STRIPE_WEBHOOK_SECRET_ID"]: {"secrets": [SIGNING_SECRET]},
        environ["STRIPE_API_KEY_SECRET_ID"]: {"api_key": "sk_test_none"},
    }
    with closing(AwsClient(SECRETS_MANAGER, 10.0, environ)) as keeper:
        for name, value in secrets.items():
            made = {"Name": name, "SecretString": json.dumps(value), "ClientRequestToken": uuid.uuid4().hex}
            keeper.call("CreateSecret", made)
